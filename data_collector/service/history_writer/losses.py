"""What the store threw away before it was written: recorded for the backfill, and told until that has brought it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from data_collector.model.gaps import Gap
from data_collector.model.keys import Key
from data_collector.service.history_writer.messages import Lost
from data_collector.service.history_writer.reading import Trimmed
from data_collector.sinks.postgres.following import FollowedDatabase
from data_collector.sinks.redis.entries import entry_id

LOOK_S = 5.0
"""How often it is asked whether they are there now."""

KLINES_TOLD_S = 3600.0
"""Which candles are missing only the backfill finds out, so nobody knows when it has brought them."""

LOST_MAX = 100
"""Told at a time; all trades are recorded."""

ID_MAX = 2**63 - 1
"""The database's."""


class Losses:
    """Of one writer."""

    def __init__(self, clock: Callable[[], float], known: Sequence[Lost] = ()) -> None:
        """`known` are those that a writer before this one told."""
        self._clock = clock
        self._looked_s = float("-inf")
        self._klines = {lost.symbol: (lost, clock()) for lost in known if not lost.count}
        """By symbol, with the time when that was seen."""
        self._trades = [lost for lost in known if lost.count]
        self._log = structlog.get_logger()

    @property
    def told(self) -> list[Lost]:
        """What is missing, as far as is known."""
        since_s = self._clock() - KLINES_TOLD_S
        return [*self._trades, *(lost for lost, seen_s in self._klines.values() if seen_s > since_s)][:LOST_MAX]

    def note_klines(self, found: Trimmed) -> None:
        """Candles are recorded by nobody: comparing finds them."""
        self._warn(found)
        self._klines[found.symbol] = (self._lost(found, Gap(0, 0, 0, "skipped")), self._clock())

    async def record_trades(self, found: Trimmed, database: FollowedDatabase) -> None:
        """All before the `oldest` of its epoch. Where ids began anew, nobody knows how far the former ones went.

        Raises as `FollowedDatabase.put`.
        """
        self._warn(found)
        read, oldest = entry_id(found.read).number, entry_id(found.oldest).number
        up_to, symbol, epoch = read, found.symbol, found.epoch
        if epoch:
            up_to = await database.trades_up_to(symbol, epoch, min(read, ID_MAX), min(oldest, ID_MAX))
            if up_to != read:
                self._log.warning("history_end_of_epoch_unknown", symbol=symbol, read_up_to=read, next_epoch=epoch)
        if up_to + 1 < oldest:
            gap = Gap(up_to + 1, oldest - 1, oldest - 1 - up_to, "skipped")
            await database.put([], [], [], [(Key("trade", symbol), gap, epoch)], {})
            self._trades = [lost for lost in self._trades if (lost.symbol, lost.first) != (symbol, gap.first)]
            self._trades.append(self._lost(found, gap))

    async def look(self, database: FollowedDatabase) -> None:
        """Forget what has been brought meanwhile."""
        if self._trades and self._clock() - self._looked_s > LOOK_S:
            self._looked_s = self._clock()
            for lost in self._trades[:LOST_MAX]:
                if await database.is_explained(lost.symbol, lost.epoch, lost.first, lost.last):
                    self._trades.remove(lost)

    def _warn(self, found: Trimmed) -> None:
        self._log.warning(
            "history_stream_trimmed", stream=found.stream, read_up_to=found.read, oldest=found.oldest
        )  # fmt: skip

    def _lost(self, found: Trimmed, gap: Gap) -> Lost:
        before_ms, after_ms = entry_id(found.read).ms, entry_id(found.oldest).ms
        return Lost(found.symbol, gap.first, gap.last, gap.count, found.epoch, before_ms, after_ms)
