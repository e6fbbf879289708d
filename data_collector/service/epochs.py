"""In which epoch the trade ids of every symbol are, and what becomes of those that seem to begin anew."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
import structlog

from data_collector.embedded.record import write_file
from data_collector.model.backoff import Backoff
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
from data_collector.service.part import NAMES_SHOWN, Part, PartHealth, Spawn, names
from data_collector.settings import Settings
from data_collector.settings.texts import EMBEDDED
from data_collector.sinks.postgres.following import kept_epochs
from data_collector.sinks.redis.sink import RedisSink
from data_collector.time_limit import time_limit

FILE = "epochs.json"
ENDS_FILE = "epoch_ends.json"

ASK_S = 2.0
"""A store that is away keeps nobody from deciding."""

PATIENCE_S = 10.0
RETRY_FIRST_S = 1.0
RETRY_LONGEST_S = 30.0
"""For a PostgreSQL that has not told at the start."""

Content = TypeVar("Content")

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
        self._folder = folder
        self._empty = empty
        self.known: dict[str, int] = {}
        """Of symbols that are not in their first epoch."""
        self.ended_ms: dict[str, dict[int, int]] = {}
        """Symbol to epochs whose ids the next one ran past unseen, and when they had ended."""
        self._is_needed = settings.postgres_trades
        self._untold: str | None = None
        """Why PostgreSQL has not told its numbers; None when it has, or need not."""
        self._awaited = asyncio.Event()
        """Set unless its answer is worth waiting for."""
        self._awaited.set()
        self.told_late: dict[str, int] = {}
        """What it told after the start."""
        self.waiting_for: str | None = None
        """What is in the way of a first trade."""

    async def open(self) -> None:
        """Read them; the folder is locked. PostgreSQL may have newer ones: the folder can be an old copy."""
        if self._empty:
            for name in (FILE, ENDS_FILE):
                (self._folder / name).unlink(missing_ok=True)
            return
        self.known |= await asyncio.to_thread(_read, self._folder / FILE, dict[str, int])
        self.ended_ms |= await asyncio.to_thread(_read, self._folder / ENDS_FILE, dict[str, dict[int, int]])
        await self._ask_database(ASK_S)

    def start(self, spawn: Spawn) -> None:
        """See `Part`."""
        if self._untold is not None:
            spawn("epochs_in_database", self._ask_until_told)

    def report(self, snapshot: Snapshot) -> PartHealth:
        """Whether PostgreSQL has told."""
        if self._untold is None:
            return PartHealth()
        reason = (
            "the numbers of trade epochs in PostgreSQL are not known, and asked for again; those of the store and of "
            f"VAR_DIR count meanwhile: {self._untold}"
        )
        return PartHealth([reason])

    def needs(self, symbols: Sequence[str]) -> str | None:
        """Why trades of these cannot be stored yet, of which the store and the spool have nothing; None where they can.

        Where PostgreSQL keeps trades, they would lie among those of another life there.
        """
        unknown = [symbol for symbol in symbols if symbol not in self.known]
        if not unknown or not self._is_needed or self._awaited.is_set():
            return None
        return (
            f"PostgreSQL keeps trades (POSTGRES_TRADES=1) and must tell in which epoch those of {names(unknown)} are "
            f"before the first is stored: {self._untold}"
        )

    async def wait(self, reason: str) -> None:
        """Until it has told, or refuses."""
        self.waiting_for = reason
        await self._awaited.wait()
        self.waiting_for = None

    async def _ask_until_told(self) -> None:
        """Never returns."""
        backoff = Backoff(RETRY_FIRST_S, RETRY_LONGEST_S, jitter=False)
        while self._untold is not None:
            await asyncio.sleep(backoff.next_delay_s())
            await self._ask_database(PATIENCE_S)
        structlog.get_logger().info("epochs_told", symbols=len(self.known))
        await asyncio.Event().wait()

    async def _ask_database(self, limit_s: float) -> None:
        if self._database is None:
            return
        try:
            async with time_limit(limit_s):
                kept = await kept_epochs(self._database, self._exchange)
        except (TimeoutError, SinkUnavailable, Misconfigured) as error:
            reason = str(error) or f"It did not answer within {limit_s:g} s."
            if reason != self._untold:
                structlog.get_logger().warning("epochs_not_in_database", reason=reason)
            self._untold = reason
            # A login that is refused stays so until somebody mends it.
            if isinstance(error, Misconfigured):
                self._awaited.set()
            else:
                self._awaited.clear()
            return
        newer = {symbol: epoch for symbol, epoch in kept.items() if epoch > self.known.get(symbol, 0)}
        self.known |= newer
        if self._untold is not None:
            self.told_late = newer
        self._untold = None
        self._awaited.set()

    async def remember(self, symbol: str, epoch: int, ended_ms: int | None = None) -> None:
        """See `EpochRegister`."""
        if epoch <= self.known.get(symbol, 0):
            return
        if ended_ms is not None:
            self.ended_ms.setdefault(symbol, {})[epoch - 1] = ended_ms
            await self._write(ENDS_FILE, self.ended_ms)
        self.known[symbol] = epoch
        await self._write(FILE, self.known)

    async def _write(self, name: str, content: Mapping[str, object]) -> None:
        file = self._folder / name
        try:
            await asyncio.to_thread(write_file, file, msgspec.json.encode(dict(sorted(content.items()))) + b"\n")
        except OSError as error:
            # The store and PostgreSQL have the numbers too.
            structlog.get_logger().warning("epochs_not_written", file=str(file), reason=error.strerror)


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

    async def remember(self, symbol: str, epoch: int, ended_ms: int | None = None) -> None:
        """See `EpochRegister`."""
        await self._home.remember(symbol, epoch, ended_ms)

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
        newer = [
            f"{symbol} is filled under epoch {sequence.epoch} of its trade ids, and PostgreSQL has epoch {epoch}: "
            "restart the collector, which goes on in that then"
            for symbol, epoch in self._home.told_late.items()
            if (sequence := self._intake.sequences.get(symbol)) is not None and sequence.epoch < epoch
        ]
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
            + _some(newer, "symbols are in an epoch that is over")
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
    refusal = sequence.new_life.refusal
    if refusal is not None:
        return (
            f"{came}, and the exchange refuses to tell whether they do ({refusal}): nothing is proven, and the next "
            f"trade in its turn ends this. If the exchange has announced that they do, {order}"
        )
    return f"{came}: the exchange is being asked whether they do"


def _read(file: Path, kind: type[Content]) -> Content:
    """What is unreadable is nothing."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except FileNotFoundError:
        pass
    except (OSError, msgspec.MsgspecError, RecursionError) as error:
        structlog.get_logger().warning("epochs_unreadable", file=str(file), reason=str(error))
    return kind()


def _some(sentences: Sequence[str], of: str) -> list[str]:
    more = len(sentences) - NAMES_SHOWN
    return [*sentences[:NAMES_SHOWN], *([f"{more} more {of}"] if more > 0 else [])]
