"""Whether something is between the two stores of a series that neither holds: one fell behind, the other let go."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from data_collector.api.series.merge import Row, SeriesStore
from data_collector.api.series.window import Window
from data_collector.model.calendar import UtcCalendar
from data_collector.model.records import Kline, Sourced, Trade
from data_collector.model.wire import open_time_text

_CALENDAR = UtcCalendar()


class Hole(Struct, frozen=True):
    """Places (trade ids, or open times in ms)."""

    before: int
    """The newest of PostgreSQL."""
    after: int
    """Redis holds nothing older."""

    def sentence(self, window: Window) -> str:
        """For who reads over it."""
        if window.interval:
            what, first, last = "Candles", open_time_text(self.before), open_time_text(self.after)
        else:
            what, first, last = "Trades", str(self.before), str(self.after)
        return (
            f"{what} between {first} and {last} are missing: the newest in PostgreSQL lies before the oldest in Redis, "
            "as the history writer fell behind; /health tells more."
        )


async def hole_between(
    redis: SeriesStore[Row] | None, postgres: SeriesStore[Row] | None, window: Window, first: int,
    end: int | None = None,
) -> Hole | None:  # fmt: skip
    """Of what the window holds from the place `first` up to `end`. Raises `SinkUnavailable`.

    None without rows in either: where nothing is, nothing was passed over.
    """
    if redis is None or postgres is None:
        return None
    oldest_ms = await redis.oldest_ms()
    if oldest_ms is None or window.from_ms > oldest_ms:
        return None
    newest = _newest(await postgres.newest(1))
    begins = await redis.first_place()
    if newest is None or begins is None or _following(newest[0], window) >= begins or newest[1] >= window.to_ms:
        return None
    if first >= begins or (end is not None and end <= newest[0] + 1):
        return None
    if window.interval:
        # Of candles Redis tells when they would have expired, had it any.
        ours = await redis.newest(1)
        if not ours or ours[-1][0] <= newest[0]:
            return None
    return Hole(newest[0], begins)


def _newest(rows: Sequence[tuple[int, object]]) -> tuple[int, int] | None:
    """Its place and time."""
    if not rows:
        return None
    place, row = rows[-1]
    assert isinstance(row, Sourced)
    record: Kline | Trade = row.record
    return place, record.open_ms if isinstance(record, Kline) else record.time_ms


def _following(place: int, window: Window) -> int:
    return _CALENDAR.next_open_ms(window.interval, place) if window.interval else place + 1
