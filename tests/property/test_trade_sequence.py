"""One symbol's sequence: in any order, with copies, holes and heals, each id is let through once or explained."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from data_collector.model.gaps import Gap, GapReason
from data_collector.pipeline.sequence.trade_sequence import ARBITRATION_S, Outcome, TradeSequence
from tests.market import trade

FIRST = 100
IDS = st.integers(FIRST - 5, FIRST + 15)

STEPS = st.one_of(
    st.tuples(st.just("arrives"), IDS),
    st.tuples(st.just("is refused"), IDS),
    st.tuples(st.just("has other contents"), IDS),
    st.tuples(st.just("ticker names"), IDS),
    st.tuples(st.just("time passes"), st.integers(1, 30)),
    st.tuples(st.just("is brought"), st.integers(1, 10)),
    st.tuples(st.just("is given up"), st.integers(1, 10)),
)


class Feed:
    """What the trade intake does with a sequence, without judging and counting."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.sequence = TradeSequence("BTCUSDT", recent=64)
        self.sequence.resume(FIRST)
        self.through: list[int] = []
        self.gaps: list[Gap] = []
        self.late: list[int] = []
        self.refused: set[int] = set()

    def step(self, what: str, number: int) -> None:
        match what:
            case "arrives":
                self.arrive(number)
            case "is refused":
                if self.sequence.refuse(number, self.now_s):
                    self.refused.add(number)
            case "has other contents":
                self.arrive(number, price="2.0")
            case "ticker names":
                self.sequence.reference_id = number
                self.sequence.look_at_head(self.now_s)
            case "time passes":
                self.now_s += number / 10
            case "is brought":
                for _ in range(min(number, self.missing)):
                    self.let_through(self.sequence.next_id)
            case "is given up":
                if self.missing:
                    self.pass_over(self.sequence.next_id + min(number, self.missing) - 1, "lost")
        self.release()

    def arrive(self, trade_id: int, price: str = "1.0") -> None:
        """A trade of a stream."""
        sequence = self.sequence
        if trade_id == sequence.next_id:
            self.let_through(trade_id)
            return
        held, before = sequence.held.get(trade_id), sequence.known(trade_id)
        outcome = sequence.offer(trade(trade_id, price=price), self.now_s)
        if trade_id > sequence.next_id:
            copied = Outcome.COPY if held is None or held.price == price else Outcome.CONFLICT
            assert outcome is (Outcome.HELD if held is None else copied)
            assert trade_id in sequence.held
        elif any(gap.first <= trade_id <= gap.last for gap in self.gaps) and trade_id not in self.late:
            assert outcome is Outcome.LATE
            self.late.append(trade_id)
        else:
            differs = before is not None and before.price != price
            assert outcome is (Outcome.CONFLICT if differs else Outcome.COPY)

    def let_through(self, trade_id: int) -> None:
        assert trade_id == self.sequence.next_id
        self.sequence.advance(trade(trade_id, price="1.0"))
        self.through.append(trade_id)

    def pass_over(self, last_id: int, reason: GapReason) -> None:
        rules = dict.fromkeys(self.refused, ("price_positive",))
        self.gaps += self.sequence.pass_over(last_id, reason, rules)

    @property
    def missing(self) -> int:
        """How many ids are, from the due one on: all that a repair fills."""
        return 0 if self.sequence.gap is None else self.sequence.gap.last_id + 1 - self.sequence.next_id

    def release(self) -> None:
        """Let go what need not wait."""
        sequence = self.sequence
        while True:
            due = sequence.take_due()
            if due is not None:
                sequence.advance(due)
                self.through.append(due.trade_id)
            elif sequence.lacks_refused(self.now_s):
                self.pass_over(sequence.next_id, "refused")
            else:
                break
        sequence.settle(self.now_s)

    def check(self) -> None:
        sequence = self.sequence
        told = [number for gap in self.gaps for number in range(gap.first, gap.last + 1)]
        assert sorted(self.through) == self.through
        assert sorted(self.through + told) == list(range(FIRST, sequence.next_id)), "each id once, or in one gap"
        assert all(gap.count == gap.last - gap.first + 1 for gap in self.gaps)
        assert {number for gap in self.gaps if gap.rules for number in range(gap.first, gap.last + 1)} <= self.refused
        assert len(set(self.late)) == len(self.late)
        assert set(self.late) <= set(told)
        assert all(trade_id > sequence.next_id for trade_id in sequence.held)
        assert all(trade_id >= sequence.next_id for trade_id in sequence.refused_s)
        if sequence.held:
            assert sequence.gap is not None
            assert sequence.gap.last_id < min(sequence.held)
        if sequence.gap is not None:
            assert sequence.next_id <= sequence.gap.last_id


@given(steps=st.lists(STEPS, max_size=60))
@settings(max_examples=300, deadline=None)
def test_each_id_is_let_through_once_and_in_order_or_explained(steps: list[tuple[str, int]]) -> None:
    feed = Feed()

    for what, number in steps:
        feed.step(what, number)
        feed.check()


@given(order=st.permutations(range(FIRST, FIRST + 12)), copies=st.lists(st.integers(FIRST, FIRST + 11), max_size=10))
def test_any_order_with_copies_comes_through_whole(order: list[int], copies: list[int]) -> None:
    feed = Feed()

    for trade_id in [*copies, *order]:
        feed.step("arrives", trade_id)

    assert feed.through == list(range(FIRST, FIRST + 12))
    assert (feed.gaps, feed.sequence.gap, feed.sequence.waits) == ([], None, False)


@given(
    ids=st.lists(st.integers(0, 40).map(lambda number: 3 * number), min_size=1, max_size=10, unique=True),
    named=st.none() | st.integers(0, 120),
)
def test_sequence_begins_with_the_smallest_that_came(ids: list[int], named: int | None) -> None:
    sequence = TradeSequence("BTCUSDT")
    sequence.reference_id = -1 if named is None else named
    for trade_id in ids:
        assert sequence.offer(trade(trade_id), 0.0) is Outcome.HELD
        assert sequence.offer(trade(trade_id), 0.0) is Outcome.COPY

    assert sequence.begin(ARBITRATION_S / 2) is None
    strays = sequence.begin(ARBITRATION_S)

    if named is None and len(ids) == 1:
        assert strays is None, "nobody vouches for a lonely trade"
    else:
        assert (strays, sequence.next_id) == ([], min(ids))
