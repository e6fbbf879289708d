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
from data_collector.pipeline.sequence.trade_sequence import TradeSequence


class Feed(Protocol):
    """What lets trades through: the trade intake."""

    sequences: dict[str, TradeSequence]
    collected: dict[str, TradeSequence]
    holdback: Holdback

    def take(self, trade: Trade) -> None:
        """A trade of a stream."""

    def spill(self, sequence: TradeSequence) -> None:
        """Put what is held back into the spool."""


class Lives:
    """Suspends symbols, and lets them go on in their epoch or in the next."""

    def __init__(self, feed: Feed, outlet: Outlet, ledger: Ledger, tally: Tally) -> None:
        self._feed = feed
        self._outlet = outlet
        self._ledger = ledger
        self._tally = tally
        self.suspended: dict[str, TradeSequence] = {}
        """They are not among the collected ones."""

    def suspend_where_ids_begin_anew(self, sequence: TradeSequence) -> None:
        """Let nothing through until it is decided: ids that grow would come to those that are due."""
        symbol, feed = sequence.symbol, self._feed
        if sequence.new_life.has_begun and feed.collected.get(symbol) is sequence:
            self.suspended[symbol] = feed.collected.pop(symbol)
            self._outlet.queues[symbol].is_suspended = True
            structlog.get_logger().warning("ids_seem_to_begin_anew", symbol=symbol, due=sequence.next_id)

    def take(self, trade: Trade) -> None:
        """A trade of a symbol that is not collected, or not now."""
        sequence = self.suspended.get(trade.symbol)
        if sequence is None:
            self._tally.refuse_unknown(trade)
            return
        sequence.new_life.follow(trade)
        self.count_copy(sequence, trade)

    def count_copy(self, sequence: TradeSequence, trade: Trade) -> None:
        """What is kept of a new life is counted when it is let through."""
        self._tally.copy("trade", sequence.new_life.take_forgotten() + (not sequence.new_life.is_kept(trade)))

    def go_on(self, symbol: str) -> None:
        """Its ids have not begun anew: what came meanwhile, and was not kept, is missing, and repaired."""
        sequence = self._feed.sequences[symbol]
        came = sequence.new_life.take_old()
        sequence.new_life.reset()
        self._tally.copy("trade", sequence.new_life.take_forgotten())
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
        came = new_life.take_new(sequence.held) if new_life.has_begun else []
        self._feed.spill(sequence)
        self._outlet.adopt_epoch(symbol, epoch, next_id)
        self._enter(sequence, epoch, next_id, came)

    def _enter(self, sequence: TradeSequence, epoch: int, next_id: int, came: list[Trade]) -> None:
        sequence.begin_epoch(epoch, next_id)
        self._ledger.forget(Key("trade", sequence.symbol))
        self._rejoin(sequence, came)

    def _rejoin(self, sequence: TradeSequence, came: list[Trade]) -> None:
        self._outlet.queues[sequence.symbol].is_suspended = False
        if self.suspended.pop(sequence.symbol, None) is not None:
            self._feed.collected[sequence.symbol] = sequence
        self._feed.holdback.note(sequence)
        for trade in came:
            self._feed.take(trade)
