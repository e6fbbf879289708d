"""What becomes of a gap: told, raised, filled with flat candles, or passed over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Final, Literal, get_args

from msgspec.structs import replace

from data_collector.client.errors import WrongQuestion
from data_collector.client.records import CALENDAR, Gap, Item, Kline, ms_of, time_of
from data_collector.model.grid import KlineGrid
from data_collector.model.keys import Key

GapPolicy = Literal["mark", "raise", "fill", "skip"]

_NOTHING: Final = Decimal(0)


def checked_policy(policy: str, series: Iterable[Key]) -> GapPolicy:
    """Raises `WrongQuestion`."""
    known: dict[str, GapPolicy] = {name: name for name in get_args(GapPolicy)}
    if policy not in known:
        raise WrongQuestion(f"gaps={policy!r} is none of {', '.join(known)}.")
    if policy == "fill" and any(key.channel == "trade" for key in series):
        raise WrongQuestion('gaps="fill" makes flat candles, and no trade can be made: use "mark" where trades are.')
    return known[policy]


class Filling:
    """Flat candles at the last close in the place of gaps; one before which no candle is known stays a gap."""

    def __init__(self) -> None:
        self._newest: dict[tuple[str, str], Kline] = {}

    def filled(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items of one page after the other, in order."""
        for item in items:
            match item:
                case Kline(is_closed=True):
                    self._newest[item.symbol, item.interval] = item
                case Gap(interval=str(interval)) if (item.symbol, interval) in self._newest:
                    yield from _flat(item, self._newest[item.symbol, interval])
                    continue
            yield item


def parts_of(item: Item, most: int) -> Iterator[Item]:
    """A gap of candles as gaps of so many at most; other items as they are."""
    match item:
        case Gap(interval=str(interval), first=datetime() as first, last=datetime() as last):
            grid = KlineGrid(CALENDAR, interval)
            for first_ms, until_ms in grid.parts(ms_of(first), grid.following(ms_of(last)), most):
                last_ms, count = grid.span(first_ms, until_ms)
                yield replace(item, first=time_of(first_ms), last=time_of(last_ms), count=count)
        case _:
            yield item


def _flat(gap: Gap, before: Kline) -> Iterator[Kline]:
    assert isinstance(gap.first, datetime), "candles are missing by time"
    assert isinstance(gap.last, datetime), "candles are missing by time"
    open_ms, last_ms, close = ms_of(gap.first), ms_of(gap.last), before.close
    while open_ms <= last_ms:
        yield Kline(
            gap.symbol, time_of(open_ms), before.interval, close, close, close, close, _NOTHING, 0, True, _NOTHING,
            _NOTHING, _NOTHING, "filled",
        )  # fmt: skip
        open_ms = CALENDAR.next_open_ms(before.interval, open_ms)
