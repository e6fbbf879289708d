"""What heals gaps, put together: spool, ledger, repair of the feed, refill of the store."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import structlog

from data_collector.model.keys import Key
from data_collector.model.sink import TradeTail
from data_collector.model.status import GapsStatus, Snapshot
from data_collector.model.subscriptions import Subscriptions
from data_collector.model.venue import ExchangeApi, Venue
from data_collector.observe.counters import Counters
from data_collector.pipeline.gaps.ledger import Ledger
from data_collector.pipeline.outlet.outlet import Outlet
from data_collector.pipeline.repair.ahead import AheadOfTickers
from data_collector.pipeline.repair.kline_building import KlineBuilding
from data_collector.pipeline.repair.kline_repair import KlineRepair
from data_collector.pipeline.repair.places import Places
from data_collector.pipeline.repair.refill import Reach, Refill
from data_collector.pipeline.repair.resuming import resume
from data_collector.pipeline.repair.trade_repair import TradeRepair
from data_collector.pipeline.sequence.intake import Intake
from data_collector.pipeline.sequence.trade_sequence import TradeSequence
from data_collector.pipeline.spool.spool import Spool, SpoolLimits
from data_collector.service.epochs import EpochHome
from data_collector.service.part import NAMES_SHOWN, Part, PartHealth, Spawn, names
from data_collector.settings import Settings
from data_collector.time_limit import time_limit

SPOOL_FOLDER = "spool"

CLOSE_S = 1.0
"""How long a stop waits for the disk; a reload has 5 s for everything."""

GAP_TOLD_AFTER_S = 0.2
"""Before that a gap is no more than a record which another line may bring at once."""

GAP_TOLERATED_S = 5.0
"""A gap that is open longer makes the service not ready: readers wait for the repair."""


class SpoolHome(Part):
    """The spool with its folder. Its task runs with the collection, beside those that need it."""

    awaited = "the spool to reach the disk"

    def __init__(self, settings: Settings, folder: Path, counters: Counters, *, empty: bool) -> None:
        self._folder = folder / SPOOL_FOLDER
        self._empty = empty
        limits = SpoolLimits(bytes_max=settings.spool_bytes_max)
        self.symbols = set(settings.symbols if "trade" in settings.channels else ())
        """Files of the spool wait until the store has what they hold of these."""
        self.spool = Spool(self._folder, counters, symbols=self.symbols, limits=limits)

    async def open(self) -> None:
        """Take over what the disk holds; the folder is locked. Raises `Misconfigured`."""
        if self._empty:
            shutil.rmtree(self._folder, ignore_errors=True)
        await self.spool.open()

    async def close(self) -> None:
        """Write out and sync the spool, when nothing comes any more."""
        try:
            async with time_limit(CLOSE_S):
                await self.spool.close()
        except TimeoutError:
            structlog.get_logger().error("spool_left", reason=f"the disk has not answered for {CLOSE_S:g} s")


class Repairs(Part):
    """What is missing in the feed and in the store, and those who bring it."""

    def __init__(
        self, settings: Settings, outlet: Outlet, intake: Intake, rest: ExchangeApi, home: SpoolHome, ledger: Ledger,
        epochs: EpochHome, counters: Counters, *, venue: Venue,
    ) -> None:  # fmt: skip
        self._outlet = outlet
        self._symbols = home.symbols
        self._spool = spool = home.spool
        self._ledger = ledger
        self._epochs = epochs
        # Where an exchange answers slowly and its streams leave trades out, an open gap is nothing special.
        self._told_after_s = max(GAP_TOLD_AFTER_S, 2 * venue.cost.seconds_per_call)
        self._places = Places(intake.trades.sequences)
        reach = Reach(settings.catch_up_seconds, settings.trades_maxlen)
        refill = Refill(
            outlet, intake.refusals, spool, rest, ledger, reach, intake.tally.exchange_now_ms,
            time.monotonic, note=intake.tally.note_refilled, places=self._places,
            page_trades=venue.reach.trades_per_answer,
        )  # fmt: skip
        self._of_trades = TradeRepair(outlet, intake.trades, refill, spool, ledger, counters, time.monotonic)
        self._of_klines = KlineRepair(intake, rest, venue.reach.klines_per_answer, trades=rest)
        self._intake, self._ahead = intake, AheadOfTickers()
        built, clock = intake.klines.built, self._of_klines.exchange_clock
        self._building = None if built is None else KlineBuilding(built, intake, rest, clock)

    def unknown_epochs(self, symbols: Iterable[str], tails: Mapping[str, TradeTail | None]) -> str | None:
        """Why trades of these cannot be stored yet; None where they can."""
        spool = self._spool
        new = [symbol for symbol in symbols if symbol not in tails and not spool.newest_epoch(symbol)]
        return self._epochs.needs([symbol for symbol in new if spool.oldest_id(symbol) is None])

    def resume(
        self, sequences: Iterable[TradeSequence], tails: Mapping[str, TradeTail | None], *, was_filled: bool = False
    ) -> None:
        """Each symbol goes on where the store, or what we hold for it, ends.

        Where the store `was_filled` before, what it has nothing of was lost.
        """
        epochs = self._epochs
        self._places.note_stored(tails)
        resume(
            sequences, self._outlet, self._spool, tails, was_filled=was_filled, epochs=epochs.known,
            ended_ms=epochs.ended_ms,
        )  # fmt: skip

    def use(self, subscriptions: Subscriptions) -> None:
        """These are collected from now on."""
        self._symbols.clear()
        self._symbols.update(subscriptions.symbols if "trade" in subscriptions.channels else ())

    def forget(self, key: Key) -> None:
        """Gaps of what is collected no longer."""
        self._ledger.forget(key)

    def start(self, spawn: Spawn) -> None:
        """See `Part`."""
        spawn("spool", self._spool.run)
        spawn("keep", self._outlet.keep)
        spawn("repair", self._of_trades.run)
        spawn("exchange_clock", self._of_klines.exchange_clock.run)
        spawn("kline_repair", self._of_klines.run)
        if self._building is not None:
            spawn("kline_building", self._building.run)
            spawn("kline_proofs", self._building.run_proofs)

    def report(self, snapshot: Snapshot) -> PartHealth:
        """Gaps, and what the store lacks."""
        snapshot.gaps = gaps = self._ledger.status()
        unclosed = self._of_klines.unclosed
        ready = is_repaired(gaps) and oldest_debt_s(self._outlet) <= GAP_TOLERATED_S and not unclosed
        refusals = sorted(self._of_trades.refusals | self._of_klines.refusals)
        refused = [f"the exchange will not give what is missing: {refusal}" for refusal in refusals[:NAMES_SHOWN]]
        reasons = (
            gap_reasons(gaps, self._told_after_s)
            + self._of_trades.doubts[:NAMES_SHOWN]
            + self._of_klines.doubts[:NAMES_SHOWN]
            + self._ahead.told(self._intake.trades.collected.values(), time.monotonic())[:NAMES_SHOWN]
            + unclosed_reasons(unclosed, are_built=self._building is not None)
            + _debt_reasons(self._outlet)
            + refused
        )
        return PartHealth(reasons, ready=ready)


def is_repaired(gaps: GapsStatus) -> bool:
    """Whether readers wait for nothing, or not for long."""
    return gaps.oldest_open_s <= GAP_TOLERATED_S


def gap_reasons(gaps: GapsStatus, told_after_s: float = GAP_TOLD_AFTER_S) -> list[str]:
    """A sentence for each of the oldest gaps that are being repaired, and one for all others."""
    if gaps.oldest_open_s < told_after_s:
        return []
    reasons: list[str] = []
    for life in gaps.open[:NAMES_SHOWN]:
        plural = "" if life.missing == 1 else "s"
        open_s = gaps.oldest_open_s - (life.opened_at_s - gaps.open[0].opened_at_s)
        reasons.append(f"repairing {life.missing:,} {life.key.unit}{plural} of {life.key.symbol} since {open_s:.0f} s")
    if gaps.open_count > len(reasons):
        more = gaps.open_count - len(reasons)
        reasons.append(f"repairing {more:,} more gap" + "s" * (more != 1))
    return reasons


def unclosed_reasons(unclosed: Sequence[Key], *, are_built: bool = False) -> list[str]:
    """What never closes, and so is not stored."""
    if not unclosed:
        return []
    labels = names([key.label for key in unclosed])
    cause = (
        "trades have come for two intervals: some are missing in each"
        if are_built
        else "updates have come for two intervals: the exchange, or a proxy before it, sends no closing frames"
    )
    reason = (
        f"no kline of {labels} has closed, although {cause}; no closed kline of these series is stored, and "
        "`data-collector backfill` alone can bring them, to PostgreSQL"
    )
    return [reason]


def oldest_debt_s(outlet: Outlet) -> float:
    """How long the store has lacked something; 0 when it lacks nothing."""
    begun = [debt.since_s for debt in outlet.debts.payable()]
    return time.monotonic() - min(begun) if begun else 0.0


def _debt_reasons(outlet: Outlet) -> list[str]:
    """What the store lacks and is being brought."""
    owing = outlet.debts.payable()
    if not owing or oldest_debt_s(outlet) < GAP_TOLD_AFTER_S:
        return []
    # Of an epoch that is over only the spool knows how much there is.
    queues = [(outlet.queues[debt.symbol], debt) for debt in owing]
    count = sum(queue.next_id - debt.due_id for queue, debt in queues if queue.epoch == debt.epoch)
    return [f"bringing {count:,} trades of {names([debt.symbol for debt in owing])} to the store"]
