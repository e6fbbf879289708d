"""What heals gaps, put together: spool, ledger, repair of the feed, refill of the store."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path

import structlog

from data_collector.model.protocols import History, TradeTail
from data_collector.observe.counters import Counters
from data_collector.pipeline.intake import Intake
from data_collector.pipeline.ledger import Ledger
from data_collector.pipeline.outlet import Outlet
from data_collector.pipeline.refill import Reach, Refill
from data_collector.pipeline.repair import TradeRepair
from data_collector.pipeline.resume import resume
from data_collector.pipeline.spool import Spool, SpoolLimits
from data_collector.pipeline.trade_sequence import TradeSequence
from data_collector.settings import Settings
from data_collector.sinks.redis.sink import RedisSink

SPOOL_FOLDER = "spool"

CLOSE_S = 1.0
"""How long a stop waits for the disk; a reload has 5 s for everything."""


class Repairs:
    """Made before the intake, because the outlet needs the spool; `join` adds the rest."""

    def __init__(self, settings: Settings, folder: Path, counters: Counters, *, empty: bool) -> None:
        self._settings = settings
        self._counters = counters
        self._folder = folder / SPOOL_FOLDER
        self._empty = empty
        self.ledger = Ledger(time.time, counters)
        limits = SpoolLimits(bytes_max=settings.spool_bytes_max)
        self.symbols = set(settings.symbols if "trade" in settings.channels else ())
        """Files of the spool wait until the store has what they hold of these."""
        self.spool = Spool(self._folder, counters, symbols=self.symbols, limits=limits)

    def join(self, outlet: Outlet, intake: Intake, history: History) -> None:
        """The parts that the repair works on."""
        self._outlet = outlet
        reach = Reach(self._settings.catch_up_seconds, self._settings.trades_maxlen)
        trades = self._trades = intake.trades
        refill = Refill(
            outlet, intake.refusals, self.spool, history, self.ledger, reach, intake.tally.exchange_now_ms,
            time.monotonic,
        )  # fmt: skip
        self._repair = TradeRepair(
            outlet, trades, refill, self.spool, history, self.ledger, self._counters, time.monotonic
        )

    async def open(self) -> None:
        """Take over what the disk holds; the folder is locked. Raises `Misconfigured`."""
        if self._empty:
            shutil.rmtree(self._folder, ignore_errors=True)
        await self.spool.open()

    async def begin(self, sink: RedisSink, *, was_filled: bool) -> None:
        """Each symbol goes on where the store, or what we hold for it, ends. Raises `SinkUnavailable`.

        Where the store `was_filled` before, what it has nothing of was lost.
        """
        sequences = self._trades.collected
        tails = await sink.tails(list(sequences))
        resume(sequences.values(), self._outlet, self.spool, tails, was_filled=was_filled)

    def resume(self, sequences: Iterable[TradeSequence], tails: Mapping[str, TradeTail | None]) -> None:
        """The same for some, when the store's tails are known."""
        resume(sequences, self._outlet, self.spool, tails)

    async def close(self) -> None:
        """Write out and sync the spool, when nothing comes any more."""
        try:
            async with asyncio.timeout(CLOSE_S):
                await self.spool.close()
        except TimeoutError:
            structlog.get_logger().error("spool_left", reason=f"the disk has not answered for {CLOSE_S:g} s")

    def tasks(self) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
        """Eternal ones, with their names."""
        return [("spool", self.spool.run), ("keep", self._outlet.keep), ("repair", self._repair.run)]
