"""In which epoch trades of a published file lie: a symbol that was listed anew has the same ids in several.

Lives of a market follow each other in time, and within one ids rise with time. What the database holds of each is
enough to tell most trades; one that could be of several, or contradicts all, is not stored.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from data_collector.model.records import Trade, same_moment
from data_collector.sinks.postgres.reading import PostgresReader

DISORDER_MS = 60_000
"""Times of an exchange rise with its ids, but for so much."""


class Life(Struct, frozen=True):
    """What is held of an epoch; None where nothing is."""

    epoch: int
    first: Trade | None
    last: Trade | None

    def may_hold(self, trade: Trade) -> bool:
        """Whether it could be a trade of this one."""
        return all(not _contradict(held, trade) for held in (self.first, self.last) if held is not None)


class TradeLives:
    """Of the symbols of a load; methods raise `SinkUnavailable`, `Misconfigured`."""

    def __init__(self, reader: PostgresReader) -> None:
        self._reader = reader
        self._lives: dict[str, list[Life]] = {}

    async def parted(self, trades: Sequence[Trade]) -> tuple[dict[int, list[Trade]], list[Trade]]:
        """Trades of one symbol, ids rising, by epoch; and those of which it cannot be told."""
        lives = await self._lives_of(trades[0].symbol)
        found: dict[int, list[Trade]] = {}
        untold: list[Trade] = []
        for trade in trades:
            epochs = [life.epoch for at, life in enumerate(lives) if _fits(lives, at, trade)]
            (found.setdefault(epochs[0], []) if len(epochs) == 1 else untold).append(trade)
        for epoch, rows in list(found.items()):
            beyond = await self._reader.in_epoch(epoch).trades_by_id(rows[0].symbol, rows[0].trade_id, _ID_MAX, 1)
            if beyond and any(_contradict(beyond[0], row) for row in rows):
                untold += found.pop(epoch)
        return found, untold

    async def _lives_of(self, symbol: str) -> list[Life]:
        if symbol not in self._lives:
            self._lives[symbol] = [await self._life(symbol, each) for each in await self._reader.epochs(symbol)]
        return self._lives[symbol]

    async def _life(self, symbol: str, epoch: int) -> Life:
        reader = self._reader.in_epoch(epoch)
        span = await reader.trade_span(symbol)
        if span is None:
            return Life(epoch, None, None)
        first, last = [(await reader.trades_by_id(symbol, each, each, 1))[0] for each in span]
        return Life(epoch, first, last)


_ID_MAX = 2**63 - 1


def _fits(lives: Sequence[Life], at: int, trade: Trade) -> bool:
    """Whether it may be a trade of the life there: behind all of those before, and before all of those after it."""
    before = [life.last.time_ms for life in lives[:at] if life.last is not None]
    after = [life.first.time_ms for life in lives[at + 1 :] if life.first is not None]
    is_in_time = all(each <= trade.time_ms for each in before) and all(trade.time_ms <= each for each in after)
    return is_in_time and lives[at].may_hold(trade)


def _contradict(held: Trade, trade: Trade) -> bool:
    """Whether two trades cannot be of one life."""
    if held.trade_id == trade.trade_id:
        return not same_moment(held, trade)
    earlier, later = (held, trade) if held.trade_id < trade.trade_id else (trade, held)
    return earlier.time_ms > later.time_ms + DISORDER_MS
