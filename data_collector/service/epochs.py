"""In which epoch the trade ids of every symbol are, and what becomes of those that seem to begin anew."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec
import structlog

from data_collector.embedded.record import write_file
from data_collector.model.errors import Misconfigured, SinkUnavailable
from data_collector.model.status import Snapshot
from data_collector.model.venue import ExchangeApi
from data_collector.observe.counters import Counters
from data_collector.pipeline.outlet.outlet import Outlet
from data_collector.pipeline.outlet.pump import Question
from data_collector.pipeline.repair.closed_epochs import ClosedEpochs
from data_collector.pipeline.repair.new_lives import NewLives
from data_collector.pipeline.sequence.trade_intake import TradeIntake
from data_collector.pipeline.sequence.trade_sequence import TradeSequence
from data_collector.pipeline.spool.spool import Spool
from data_collector.service.part import NAMES_SHOWN, Part, PartHealth, Spawn
from data_collector.settings import Settings
from data_collector.settings.texts import EMBEDDED
from data_collector.sinks.postgres.following import kept_epochs
from data_collector.sinks.redis.sink import RedisSink
from data_collector.time_limit import time_limit

FILE = "epochs.json"

ASK_S = 2.0
"""A store that is away keeps nobody from deciding."""

TOLD_S = 600.0
"""How long it is told that an epoch has begun."""


class EpochHome(Part):
    """The numbers in the data folder: a store that has lost everything is filled under the same ones."""

    def __init__(self, settings: Settings, folder: Path, exchange: str, *, empty: bool) -> None:
        """`empty` forgets them."""
        url = None if settings.database_url is None else settings.database_url.get_secret_value()
        # The embedded one lies in the same folder.
        self._database = None if url == EMBEDDED else url
        self._exchange = exchange
        self._file = folder / FILE
        self._empty = empty
        self.known: dict[str, int] = {}
        """Of symbols that are not in their first epoch."""

    async def open(self) -> None:
        """Read them; the folder is locked. PostgreSQL may have newer ones: the folder can be an old copy."""
        if self._empty:
            self._file.unlink(missing_ok=True)
            return
        try:
            self.known |= msgspec.json.decode(await asyncio.to_thread(self._file.read_bytes), type=dict[str, int])
        except FileNotFoundError:
            pass
        except (OSError, msgspec.MsgspecError) as error:
            structlog.get_logger().warning("epochs_unreadable", file=str(self._file), reason=str(error))
        await self._ask_database()

    async def _ask_database(self) -> None:
        if self._database is None:
            return
        try:
            async with time_limit(ASK_S):
                kept = await kept_epochs(self._database, self._exchange)
                self.known |= {symbol: max(epoch, self.known.get(symbol, 0)) for symbol, epoch in kept.items()}
        except (TimeoutError, SinkUnavailable, Misconfigured) as error:
            structlog.get_logger().warning("epochs_not_in_database", reason=str(error) or f"no answer in {ASK_S:g} s")

    async def remember(self, symbol: str, epoch: int) -> None:
        """Before anything of it is written."""
        if epoch <= self.known.get(symbol, 0):
            return
        self.known[symbol] = epoch
        content = msgspec.json.encode(dict(sorted(self.known.items()))) + b"\n"
        try:
            await asyncio.to_thread(write_file, self._file, content)
        except OSError as error:
            # The store and PostgreSQL have it too.
            structlog.get_logger().warning("epochs_not_written", file=str(self._file), reason=error.strerror)


class Epochs(Part):
    """Decides, and tells of it. Made for each start of the collection."""

    def __init__(
        self, intake: TradeIntake, outlet: Outlet, spool: Spool, rest: ExchangeApi, home: EpochHome, sink: RedisSink,
        ask: Callable[[Question], Awaitable[None]], counters: Counters, *, is_automatic: bool,
    ) -> None:  # fmt: skip
        """`ask` has the store asked between two batches."""
        self._intake = intake
        self._home = home
        self._sink = sink
        self._ask = ask
        self._lives = NewLives(intake, rest, self, counters, is_automatic=is_automatic)
        self._closed = ClosedEpochs(outlet, spool, sink, ask, counters)

    @property
    def known(self) -> dict[str, int]:
        """See `EpochRegister`."""
        return self._home.known

    async def remember(self, symbol: str, epoch: int) -> None:
        """See `EpochRegister`."""
        await self._home.remember(symbol, epoch)

    async def ordered(self, symbols: Sequence[str]) -> dict[str, int]:
        """See `EpochRegister`."""
        found: dict[str, int] = {}

        async def look() -> None:
            found.update(await self._sink.epoch_orders(symbols))

        try:
            async with time_limit(ASK_S):
                await self._ask(look)
        except (TimeoutError, SinkUnavailable, Misconfigured):
            # The next look asks again.
            pass
        return found

    def start(self, spawn: Spawn) -> None:
        """See `Part`."""
        spawn("epochs", self._lives.run)
        spawn("closed_epochs", self._closed.run)

    def report(self, snapshot: Snapshot) -> PartHealth:
        """Symbols that wait for a decision, and those of which an epoch began a short while ago."""
        waiting = [explain_waiting(sequence) for sequence in self._intake.lives.suspended.values()]
        now_s = time.monotonic()
        begun = [
            f"the trade ids of {symbol} began anew {now_s - at_s:.0f} s ago: this is epoch {epoch}, and what was "
            f"stored before is epoch {epoch - 1} (docs/semantics.md)"
            for symbol, (epoch, at_s) in self._lives.begun.items()
            if now_s - at_s < TOLD_S
        ]
        late = [
            f"{count:,} trades of {symbol} are of epoch {epoch} of its trade ids, and another collector had begun the "
            f"next one in the store before they were written: they are in late:{symbol} (docs/semantics.md)"
            for symbol, (epoch, count, at_s) in self._closed.came_late.items()
            if now_s - at_s < TOLD_S
        ]
        reasons = (
            _some(waiting, "symbols wait for their next epoch")
            + _some(begun, "symbols are in a new epoch")
            + _some(late, "symbols had trades of an epoch that was over")
        )
        return PartHealth(reasons, ready=not waiting)


def explain_waiting(sequence: TradeSequence) -> str:
    """Why nothing of a suspended symbol is stored, and what helps."""
    symbol = sequence.symbol
    came = f"trades of {symbol} come with ids that were given before, as if they began anew"
    order = (
        f"none is stored until you run `data-collector epoch {symbol} --new`, which begins epoch "
        f"{sequence.epoch + 1} and leaves what is stored as it is"
    )
    if sequence.new_life.is_proven:
        return f"{came}, and the exchange agrees: {order} (AUTO_EPOCH=1 does it by itself)"
    if sequence.new_life.refusal is not None:
        return f"{came}, and the exchange refuses to tell whether they do ({sequence.new_life.refusal}): {order}"
    return f"{came}: the exchange is being asked whether they do"


def _some(sentences: Sequence[str], of: str) -> list[str]:
    more = len(sentences) - NAMES_SHOWN
    return [*sentences[:NAMES_SHOWN], *([f"{more} more {of}"] if more > 0 else [])]
