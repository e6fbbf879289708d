"""Sequencer, spool, repair and writer as a machine: whatever befalls them in whatever order, the promises hold."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.property.chain import Chain

FIRST = 1_000
LINES = st.sampled_from(("a", "b"))


class TradePath(RuleBasedStateMachine):
    """A tape grows; two lines read it at their own pace, and lose, double and spoil what they like."""

    @initialize(records_max=st.sampled_from([3, 10, 100_000]))
    def start(self, records_max: int) -> None:
        self.chain = Chain(records_max=records_max)
        self.chain.name_head(FIRST)
        self.newest = FIRST - 1
        self.waiting: dict[str, list[int]] = {"a": [], "b": []}

    @rule(count=st.integers(1, 5), absent=st.integers(0, 3))
    def trades_happen(self, count: int, absent: int) -> None:
        """After ids that the exchange itself has left out."""
        if self.newest < FIRST:
            absent = 0
        ids = list(range(self.newest + absent + 1, self.newest + absent + 1 + count))
        self.newest = ids[-1]
        self.chain.exchange.tape += ids
        for waiting in self.waiting.values():
            waiting.extend(ids)

    @rule(place=st.integers(0, 5))
    def rest_spoils(self, place: int) -> None:
        tape = self.chain.exchange.tape
        if place < len(tape):
            self.chain.exchange.bad.add(tape[-1 - place])

    @rule(line=LINES, place=st.integers(0, 4), good=st.sampled_from([True, True, True, False]), again=st.booleans())
    def trade_arrives(self, line: str, place: int, good: bool, again: bool) -> None:
        """Not always in order, and perhaps once more later."""
        waiting = self.waiting[line]
        if waiting:
            place = min(place, len(waiting) - 1)
            self.chain.arrive(waiting[place] if again else waiting.pop(place), good=good)

    @rule(line=LINES, count=st.integers(1, 8))
    def trades_arrive(self, line: str, count: int) -> None:
        ids, self.waiting[line] = self.waiting[line][:count], self.waiting[line][count:]
        for trade_id in ids:
            self.chain.arrive(trade_id)

    @rule(line=LINES, count=st.integers(1, 4))
    def trades_are_lost(self, line: str, count: int) -> None:
        del self.waiting[line][:count]

    @rule(seconds=st.sampled_from([0.05, 0.2, 3.0]))
    def time_passes(self, seconds: float) -> None:
        self.chain.wait(seconds)

    @rule()
    def exchange_answers(self) -> None:
        self.chain.answer()

    @rule(up=st.booleans())
    def exchange_goes_or_comes(self, up: bool) -> None:
        self.chain.exchange.up = up

    @rule(up=st.booleans())
    def store_goes_or_comes(self, up: bool) -> None:
        self.chain.store.up = up

    @rule(reply_lost=st.booleans())
    def batch_is_written(self, reply_lost: bool) -> None:
        self.chain.flush(reply_lost=reply_lost)

    @rule(steps=st.integers(1, 4))
    def store_forgets_the_newest(self, steps: int) -> None:
        self.chain.store.roll_back(steps)

    @rule()
    def store_forgets_all(self) -> None:
        self.chain.store.wipe()

    @precondition(lambda self: self.chain.store.up)
    @rule()
    def store_is_asked(self) -> None:
        self.chain.verify()

    @rule(unsynced=st.integers(0, 3))
    def process_is_killed(self, unsynced: int) -> None:
        self.chain.kill(unsynced)

    @rule()
    def process_stops_in_order(self) -> None:
        self.chain.stop()

    @invariant()
    def nothing_is_doubled(self) -> None:
        self.chain.check_order()

    def teardown(self) -> None:
        self.chain.end()
        self.chain.check()


TradePath.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)

TestTradePath = TradePath.TestCase
