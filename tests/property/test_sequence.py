"""Two lines that lose, double and reorder: each id at most once, in order, and nothing missing without a word."""

from __future__ import annotations

import json
from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from data_collector.model.batch import Batch, TradeRun
from data_collector.model.calendar import UtcCalendar
from data_collector.model.gaps import Gap, explain_ids
from data_collector.observe.counters import Counters
from data_collector.pipeline.intake import Intake
from data_collector.pipeline.outlet import Outlet
from data_collector.venues.binance.codec import BinanceCodec
from tests.judging import Notebook, shipped_gate
from tests.market import NOON_MS, SYMBOL, ticker, trade

CODEC = BinanceCodec()
FIRST = 1_000

Sent = tuple[int, bool]
"""A trade id, and whether this copy is good."""


class Store:
    """Compare and append, as the server does it."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.gaps: list[Gap] = []
        self.quarantined: list[int] = []
        self.late: list[int] = []
        self._tail = -1

    def write(self, batch: Batch) -> None:
        for run in batch.trades:
            self._append(run)
        for entry in batch.side:
            content = json.loads(entry.fields[1])
            (self.late if entry.stream.startswith("late:") else self.quarantined).append(content["trade_id"])

    def _append(self, run: TradeRun) -> None:
        texts = [json.loads(str(text))["trade_id"] for text in run.entries[1::2]]
        assert texts == list(range(run.first_id, run.first_id + run.count)), "a run has no hole"
        if self._tail >= 0 and run.first_id > self._tail + 1:
            rules = {number: refusal.rules for number, refusal in run.refused.items()}
            self.gaps += explain_ids(self._tail + 1, run.first_id - 1, rules, "lost")
        self.quarantined += [number for number in run.refused if number > self._tail]
        self.ids += [number for number in texts if number > self._tail]
        self._tail = max(self._tail, run.first_id + run.count - 1)


@st.composite
def lines(draw: st.DrawFn) -> list[Sent]:
    """What two lines bring of one tape, in the order in which it comes."""
    count = draw(st.integers(1, 40))
    arrivals: list[tuple[float, Sent]] = []
    for _ in range(2):
        copies = draw(st.lists(st.integers(0, 2), min_size=count, max_size=count))
        delays = draw(st.lists(st.integers(0, 6), min_size=count, max_size=count))
        bad = draw(st.sets(st.integers(0, count - 1), max_size=5))
        lag = draw(st.integers(0, 10))
        for index in range(count):
            for copy in range(copies[index]):
                place = index + delays[index] + lag + 3 * copy
                arrivals.append((place, (FIRST + index, index not in bad)))
    return [sent for _, sent in sorted(arrivals, key=lambda arrival: arrival[0])]


def collect(sent: Iterable[Sent], takes: Iterable[int]) -> tuple[Store, Intake]:
    """Run it through; `takes` says after which arrivals a batch is written (negative: and refused ones passed over)."""
    outlet = Outlet([SYMBOL])
    now_s = [0.0]
    intake = Intake(
        CODEC, shipped_gate(), outlet, UtcCalendar(), ["1m"], Counters(), Notebook(), clock=lambda: now_s[0]
    )
    store = Store()
    intake.receive(memoryview(CODEC.encode(ticker(NOON_MS - 1, first_id=1, last_id=FIRST))), 1)
    cuts = set(takes)
    for index, (trade_id, good) in enumerate(sent, start=1):
        intake.receive(memoryview(CODEC.encode(trade(trade_id, price="1.5" if good else "0"))), 1)
        if index in cuts or -index in cuts:
            if -index in cuts:
                now_s[0] += 1.0
                intake.release_held()
            write(store, outlet, passing_over=-index in cuts)
        assert intake.received == intake.validated + intake.errors
    intake.release_held(everything=True)
    write(store, outlet, passing_over=True)
    return store, intake


def write(store: Store, outlet: Outlet, *, passing_over: bool) -> None:
    batch = outlet.take()
    if passing_over:
        batch.trades += [run for lane in outlet.lanes.values() if (run := outlet.pass_over(lane)) is not None]
    store.write(batch)


@given(sent=lines(), takes=st.sets(st.integers(-80, 80), max_size=12))
@settings(max_examples=300)
def test_delivered_and_gaps_are_the_tape(sent: list[Sent], takes: set[int]) -> None:
    store, intake = collect(sent, takes)

    assert store.ids == sorted(set(store.ids))
    missing = [number for gap in store.gaps for number in range(gap.first, gap.last + 1)]
    assert len(missing) == len(set(missing))
    assert not set(missing) & set(store.ids)
    if store.ids:
        told = sorted(missing + store.ids)
        assert told == list(range(store.ids[0], told[-1] + 1))
        assert set(store.late) <= set(missing)
        assert len(store.late) == len(set(store.late))
        # Whatever good came after the first was delivered in its place or late; nothing good was thrown away.
        came = {trade_id for trade_id, good in sent if good and trade_id >= store.ids[0]}
        assert came == set(store.ids) | set(store.late)
    assert intake.errors == sum(1 for _, good in sent if not good)


@given(sent=lines(), takes=st.sets(st.integers(-80, 80), max_size=12))
def test_every_refused_trade_is_kept_in_quarantine(sent: list[Sent], takes: set[int]) -> None:
    store, _ = collect(sent, takes)

    assert set(store.quarantined) >= {trade_id for trade_id, good in sent if not good}


@given(sent=lines())
def test_refused_trades_that_no_good_copy_replaced_are_told_as_refused(sent: list[Sent]) -> None:
    in_order = sorted(set(sent))
    store, _ = collect(in_order, [])

    good = {trade_id for trade_id, is_good in sent if is_good}
    reasons = {number: gap.reason for gap in store.gaps for number in range(gap.first, gap.last + 1)}
    bad = {trade_id for trade_id, is_good in sent if not is_good} - good
    assert {number for number, reason in reasons.items() if reason == "refused"} == {
        number for number in bad if store.ids and number > store.ids[0]
    }
