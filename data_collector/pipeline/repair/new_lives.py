"""Decides whether the trade ids of a symbol have begun anew, and begins its next epoch.

Life cycle: the service makes one and runs it in a task. The trade intake suspends a symbol when a hundred ids in a row
look like those of another life; from then on nothing of it is let through until it is decided here
(docs/decisions/0016-epochs.md). What is asked is asked again until there is an answer, or a refusal: then an operator
decides.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Protocol

import structlog

from data_collector.model.errors import VenueRefused, VenueUnreachable
from data_collector.model.records import Trade
from data_collector.model.venue import ExchangeApi, TradesRefused
from data_collector.observe.counters import Counters
from data_collector.pipeline.sequence.new_life import NEW_IDS
from data_collector.pipeline.sequence.trade_intake import TradeIntake
from data_collector.pipeline.sequence.trade_sequence import JUMP_MAX, TradeSequence

LOOK_S = 0.5

DOUBT_LOOKS = 4
"""So often a symbol is looked at while trades that are too few may be of its next life; then the exchange is asked."""

DOUBT_LOOKS_MAX = 128
"""The same where its ids went on each time that it was asked."""

DENIALS_MIN = 3
"""So often an exchange must deny the new ids that does not have a later trade than we either."""

RETRY_S = 5.0
"""Between two questions to an exchange that did not answer, or not clearly."""


class EpochRegister(Protocol):
    """The number of every symbol's epoch, and what operators have ordered."""

    @property
    def known(self) -> dict[str, int]:
        """Of symbols that are not in their first epoch."""

    async def remember(self, symbol: str, epoch: int, ended_ms: int | None = None) -> None:
        """Before anything of it is written; `ended_ms`: when the one before ended, where its ids were run past."""

    async def ordered(self, symbols: Sequence[str]) -> dict[str, int]:
        """Symbols of which somebody has ordered that this epoch ends."""


class NewLives:
    """One eternal task."""

    def __init__(
        self, intake: TradeIntake, rest: ExchangeApi, register: EpochRegister, counters: Counters, *, is_automatic: bool
    ) -> None:
        """Unless it `is_automatic`, an epoch begins only where that was ordered."""
        self._intake = intake
        self._rest = rest
        self._register = register
        self._counters = counters
        self._is_automatic = is_automatic
        self.begun: dict[str, tuple[int, float]] = {}
        """Symbol to the epoch that began last, and when."""
        self._pauses: dict[str, int] = {}
        """Suspended symbols that wait for so many more looks until the exchange is asked about them again."""
        self._doubts: dict[str, int] = {}
        """How often a symbol was looked at since trades came that may be of its next life."""
        self._patience: dict[str, int] = {}
        """How often it must be, where its ids went on before."""
        counters.set("data_collector_epochs_awaited", 0)
        counters.add("data_collector_epochs_begun_total", 0)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            await self.look()

    async def look(self) -> None:
        """Once."""
        for symbol, sequence in self._intake.sequences.items():
            if sequence.epoch > self._register.known.get(symbol, 0):
                # Another collector has begun it.
                await self._register.remember(symbol, sequence.epoch)
                break
        self._suspend_doubted()
        suspended = self._intake.lives.suspended
        self._counters.set("data_collector_epochs_awaited", len(suspended))
        self._pauses = {symbol: left - 1 for symbol, left in self._pauses.items() if left > 1 and symbol in suspended}
        if not suspended:
            return
        ordered = await self._register.ordered(list(suspended))
        for symbol, sequence in list(suspended.items()):
            if ordered.get(symbol) == sequence.epoch:
                await self._begin(sequence)
            elif symbol not in self._pauses and not sequence.new_life.awaits_order:
                await self._decide(sequence)

    def _suspend_doubted(self) -> None:
        """Those of which few trades came: what is kept of them must not wait for the next."""
        lives = self._intake.lives
        self._doubts = {symbol: self._doubts.get(symbol, 0) + 1 for symbol in lives.doubted}
        for symbol, looks in self._doubts.items():
            if looks > self._patience.get(symbol, DOUBT_LOOKS):
                lives.suspend(lives.doubted[symbol])

    async def _decide(self, sequence: TradeSequence) -> None:
        symbol = sequence.symbol
        refusal: str | None = None
        try:
            agrees = await self._agrees(sequence)
        except VenueRefused as error:
            agrees, refusal = None, str(error)
        if symbol not in self._intake.lives.suspended:
            # A trade of the old life came meanwhile, or another collector was quicker.
            return
        if agrees is None and sequence.new_life.is_denied_by(sequence.next_id):
            agrees, refusal = False, None
        if refusal is not None:
            structlog.get_logger().error("epoch_awaits_order", symbol=symbol, reason=refusal)
            sequence.new_life.refusal = refusal
        elif agrees is None:
            self._pauses[symbol] = round(RETRY_S / LOOK_S)
        elif not agrees:
            structlog.get_logger().warning("ids_go_on", symbol=symbol, due=sequence.next_id)
            if sequence.new_life.is_past:
                sequence.new_life.disproved_id = sequence.next_id - 1
            self._patience[symbol] = min(2 * self._patience.get(symbol, DOUBT_LOOKS), DOUBT_LOOKS_MAX)
            self._intake.lives.go_on(symbol)
        elif self._is_automatic:
            await self._begin(sequence)
        else:
            structlog.get_logger().error("epoch_awaits_order", symbol=symbol, epoch=sequence.epoch + 1)
            sequence.new_life.is_proven = True

    async def _agrees(self, sequence: TradeSequence) -> bool | None:
        """Whether the exchange's REST side has the new ids too; None where it does not tell now.

        Raises `VenueRefused` where it never will.
        """
        watch = sequence.new_life
        try:
            tickers = await self._rest.tickers([sequence.symbol])
            heads = await self._rest.heads([sequence.symbol])
            told_id = heads.get(sequence.symbol, tickers[0].last_id if tickers else None)
            last_id = -1 if told_id is None else told_id
            agrees = await self._shows_new_life(sequence, last_id)
        except VenueUnreachable:
            return None
        if agrees is False and last_id < sequence.next_id and not watch.is_past:
            # Nothing that follows our newest trade: it may not know yet what the stream tells.
            watch.denials += 1
            return False if watch.denials >= DENIALS_MIN else None
        return agrees

    async def _shows_new_life(self, sequence: TradeSequence, last_id: int) -> bool | None:
        watch, first, last = sequence.new_life, sequence.new_life.first, sequence.new_life.last
        assert first is not None, "it has begun"
        assert last is not None, "it has begun"
        if last_id > watch.next_id + JUMP_MAX:
            return False
        if last_id < first.trade_id:
            return None
        # What waits in the spool may be newer than all that is known, and the exchange still has it.
        is_old = last_id >= sequence.next_id - 1 and not (watch.is_past or sequence.knows_newest)
        try:
            agrees = await self._has(sequence, first)
        except VenueRefused:
            # Where a key is wanted for older ones, the newest can be had without.
            return not is_old and await self._has(sequence, last)
        if agrees is False and first is not last:
            # The first may be a stray.
            agrees = bool(await self._has(sequence, last))
        return agrees and not is_old

    async def _has(self, sequence: TradeSequence, came: Trade) -> bool | None:
        """Whether the exchange's REST side has this trade, or one that follows; None where it does not reach it."""
        from_id = max(came.trade_id - NEW_IDS + 1, 0)
        try:
            trades = (await self._rest.trades(came.symbol, from_id)).trades
        except TradesRefused as error:
            # The newest ones alone, which may be all of a young life.
            trades = error.page.trades
            if not trades or trades[0].trade_id > came.trade_id:
                raise
            from_id = trades[0].trade_id
        if not trades or trades[-1].trade_id < came.trade_id:
            return None
        return sequence.new_life.compare(trades, from_id, sequence.newest_ms) and not sequence.shares(trades)

    async def _begin(self, sequence: TradeSequence) -> None:
        symbol, former_id, epoch = sequence.symbol, sequence.next_id - 1, sequence.epoch + 1
        new_life = sequence.new_life
        await self._register.remember(symbol, epoch, new_life.past_since_ms)
        if symbol not in self._intake.lives.suspended:
            return
        self._patience.pop(symbol, None)
        first_id = new_life.first_id
        self._intake.lives.begin_epoch(symbol)
        self.begun[symbol] = epoch, time.monotonic()
        self._counters.add("data_collector_epochs_begun_total")
        structlog.get_logger().warning(
            "epoch_begins", symbol=symbol, epoch=epoch, former_last_id=former_id, first_id=first_id
        )
