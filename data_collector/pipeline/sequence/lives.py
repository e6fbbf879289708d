"""Symbols whose trade ids seem to begin anew: nothing is let through of them until it is decided how they go on.

Life cycle: the trade intake makes one. What comes of a suspended symbol is kept, as far as there is room, and let
through in the life that it turns out to be of (`pipeline.repair.new_lives` decides).
"""

from __future__ import annotations

from typing import Protocol

import structlog

from data_collector.model.keys import Key
from data_collector.model.records import Trade
from data_collector.pipeline.gaps.ledger import Ledger
from data_collector.pipeline.outlet.outlet import Outlet
from data_collector.pipeline.sequence.holdback import Holdback
from data_collector.pipeline.sequence.tally import Tally
from data_collector.pipeline.sequence.trade_sequence import HELD_MAX, TradeSequence


class Feed(Protocol):
    """What lets trades through: the trade intake."""

    sequences: dict[str, TradeSequence]
    collected: dict[str, TradeSequence]
    trusted: dict[str, TradeSequence]
    holdback: Holdback

    def take(self, trade: Trade) -> None:
        """A trade of a stream."""

    def release(self, sequence: TradeSequence) -> None:
        """Let go what need not wait any more."""

    def spill(self, sequence: TradeSequence) -> None:
        """Put what is held back into the spool."""

    def drop(self, trade: Trade, first: Trade | None) -> None:
        """It seemed to be of a new life, and is of none; `first` was let through under its id, where that is known."""


class Lives:
    """Suspends symbols, and lets them go on in their epoch or in the next."""

    def __init__(self, feed: Feed, outlet: Outlet, ledger: Ledger, tally: Tally) -> None:
        self._feed = feed
        self._outlet = outlet
        self._ledger = ledger
        self._tally = tally
        self.suspended: dict[str, TradeSequence] = {}
        """They are not among the collected ones."""
        self.doubted: dict[str, TradeSequence] = {}
        """Trades came that may be of their next life, too few to suspend them; they are not among the trusted ones."""

    def doubt(self, sequence: TradeSequence, trade: Trade) -> None:
        """The watch has kept a trade that may be of the next life, or has it already."""
        symbol = sequence.symbol
        if not sequence.new_life.is_kept(trade):
            self._tally.copy("trade")
        if symbol not in self.suspended:
            self.doubted[symbol] = sequence
            self._feed.trusted.pop(symbol, None)
            if sequence.new_life.has_begun:
                self.suspend(sequence)
        if sequence.new_life.drops_many:
            self._drop(sequence)

    def suspend(self, sequence: TradeSequence) -> None:
        """Let nothing through until it is decided: ids that grow would come to those that are due."""
        symbol, feed = sequence.symbol, self._feed
        if feed.collected.pop(symbol, None) is None:
            return
        feed.trusted.pop(symbol, None)
        self.doubted.pop(symbol, None)
        self.suspended[symbol] = sequence
        self._outlet.queues[symbol].is_suspended = True
        structlog.get_logger().warning("ids_seem_to_begin_anew", symbol=symbol, due=sequence.next_id)

    def suspend_where_lives_meet(self, sequence: TradeSequence, trade: Trade) -> bool:
        """Whether a trade of a doubted symbol may be of either life: the symbol is suspended then.

        Where the new ids are far below, it shows that the old ones go on.
        """
        watch, due_id = sequence.new_life, sequence.next_id
        if trade.trade_id < due_id or not watch.precedes(trade):
            return False
        if watch.is_near(due_id):
            self.suspend(sequence)
            return True
        if trade.trade_id == due_id:
            self._trust(sequence)
        return False

    def take(self, trade: Trade) -> None:
        """A trade of a symbol that is not collected, or not now."""
        sequence = self.suspended.get(trade.symbol)
        if sequence is None:
            self._tally.refuse_unknown(trade)
            return
        watch = sequence.new_life
        if trade.trade_id < sequence.next_id and trade.time_ms <= sequence.newest_ms:
            # An old trade that is shown again.
            self._tally.copy("trade")
        elif trade.trade_id >= sequence.next_id and not watch.precedes(trade):
            self._hold(sequence, trade)
        else:
            watch.follow(trade)
            self.doubt(sequence, trade)
            if watch.refusal is not None and watch.is_denied_by(sequence.next_id):
                self.go_on(trade.symbol)

    def leave(self, sequence: TradeSequence) -> None:
        """Its trades are collected no longer."""
        self.suspended.pop(sequence.symbol, None)
        self.doubted.pop(sequence.symbol, None)
        self._drop(sequence)

    def go_on(self, symbol: str) -> None:
        """Its ids have not begun anew: what came meanwhile, and was not kept, is missing, and repaired."""
        sequence = self._feed.sequences[symbol]
        came = sequence.new_life.take_old(sequence.next_id)
        self._trust(sequence)
        self._rejoin(sequence, came)

    def begin_epoch(self, symbol: str) -> None:
        """The exchange's ids begin anew. What is held of the old ones goes first, then what came of the new ones."""
        sequence = self._feed.sequences[symbol]
        epoch, new_life = sequence.epoch + 1, sequence.new_life
        if new_life.past_since_ms is not None:
            self._outlet.queues[symbol].ended_ms[sequence.epoch] = new_life.past_since_ms
        came = new_life.take_new(sequence.held)
        self._feed.spill(sequence)
        next_id = came[0].trade_id if came else new_life.next_id
        self._outlet.begin_epoch(symbol, epoch, next_id)
        self._enter(sequence, epoch, next_id, came)
        if came:
            # What there was no room for is a hole as one after a start.
            sequence.resumed_id = came[-1].trade_id + 1 if new_life.is_full else -1

    def adopt_epoch(self, symbol: str, epoch: int, next_id: int) -> None:
        """Somebody else has begun an epoch, and the store wants this id of it next."""
        sequence, new_life = self._feed.sequences[symbol], self._feed.sequences[symbol].new_life
        structlog.get_logger().warning("epoch_adopted", symbol=symbol, epoch=epoch, next_id=next_id)
        came = new_life.take_new(sequence.held) if new_life.first is not None else []
        self._feed.spill(sequence)
        self._outlet.adopt_epoch(symbol, epoch, next_id)
        self._enter(sequence, epoch, next_id, came)

    def _enter(self, sequence: TradeSequence, epoch: int, next_id: int, came: list[Trade]) -> None:
        dropped = sequence.new_life.take_dropped()
        sequence.begin_epoch(epoch, next_id)
        self._ledger.forget(Key("trade", sequence.symbol))
        for trade in dropped:
            self._feed.drop(trade, None)
        self._rejoin(sequence, came)

    def _rejoin(self, sequence: TradeSequence, came: list[Trade]) -> None:
        symbol, feed = sequence.symbol, self._feed
        self._outlet.queues[symbol].is_suspended = False
        if self.suspended.pop(symbol, None) or self.doubted.pop(symbol, None):
            feed.collected[symbol] = feed.trusted[symbol] = sequence
        feed.holdback.note(sequence)
        for trade in came:
            feed.take(trade)
        feed.release(sequence)

    def _trust(self, sequence: TradeSequence) -> None:
        """Its ids go on; what seemed to be of the next life is of none."""
        self._drop(sequence)
        sequence.new_life.reset()
        self._drop(sequence)
        if self.doubted.pop(sequence.symbol, None) is not None:
            self._feed.trusted[sequence.symbol] = sequence

    def _drop(self, sequence: TradeSequence) -> None:
        for trade in sequence.new_life.take_dropped():
            if trade.trade_id < sequence.next_id and not sequence.new_life.is_vouched(trade):
                self._feed.drop(trade, sequence.known(trade.trade_id))
            else:
                self._tally.copy("trade")

    def _hold(self, sequence: TradeSequence, trade: Trade) -> None:
        """Of the old life, by a line that is behind: it waits for the others of that."""
        if trade.trade_id in sequence.held or len(sequence.held) >= HELD_MAX:
            self._tally.copy("trade")
        else:
            sequence.held[trade.trade_id] = trade
