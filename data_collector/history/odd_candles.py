"""What the exchange has and what is no whole candle of its interval: named, counted and refused.

An exchange's own past can have such rows: before a standstill a candle ends early, after one some open off the grid.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from data_collector.history.events import ODD_TOLD, OddCandle, SeriesEnded, Tell
from data_collector.model.calendar import LATEST_MS, Calendar, is_whole, place_ms
from data_collector.model.records import Kline
from data_collector.model.wire import trade_time_text


def parted(
    calendar: Calendar, klines: Iterable[Kline], anchor_ms: int | None = None
) -> tuple[list[Kline], list[Kline]]:  # fmt: skip
    """Those that are whole, and those that are not; `anchor_ms` as `place_ms` has it."""
    whole: list[Kline] = []
    odd: list[Kline] = []
    for kline in klines:
        is_good = is_whole(calendar, kline.interval, kline.open_ms, kline.close_ms, anchor_ms)
        (whole if is_good else odd).append(kline)
    return whole, odd


def places_of(
    calendar: Calendar, odd: Iterable[Kline], whole: Iterable[Kline], anchor_ms: int | None = None
) -> dict[int, Kline]:  # fmt: skip
    """By the open times of which the exchange has them in place of a whole one: of two the first."""
    taken = {kline.open_ms for kline in whole}
    places: dict[int, Kline] = {}
    for kline in odd:
        place = place_ms(calendar, kline.interval, kline.open_ms, anchor_ms)
        if place is not None and place not in taken:
            places.setdefault(place, kline)
    return places


class OddCandles:
    """Tells of those of one series."""

    def __init__(self, report: SeriesEnded, tell: Tell, source: str) -> None:
        self._report = report
        self._tell = tell
        self._source = source
        self._known: set[int] = set()

    def note(self, klines: Sequence[Kline]) -> None:
        """Each is counted once, and the first ones are named."""
        for kline in klines:
            if kline.open_ms in self._known:
                continue
            self._known.add(kline.open_ms)
            self._report.odd += 1
            if self._report.odd <= ODD_TOLD:
                times = (_time_text(kline.open_ms), _time_text(kline.close_ms))
                self._tell(OddCandle(self._report.series, *times, self._source))


def _time_text(time_ms: int) -> str:
    return trade_time_text(time_ms) if 0 <= time_ms <= LATEST_MS else str(time_ms)
