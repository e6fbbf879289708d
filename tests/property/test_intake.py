"""Nothing that an exchange sends raises, and the counts always agree."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from data_collector.model.calendar import UtcCalendar
from data_collector.model.records import Record
from data_collector.observe.counters import Counters
from data_collector.pipeline.outlet.outlet import Outlet
from data_collector.pipeline.sequence.intake import Intake
from data_collector.pipeline.sequence.refusals import RAW_BYTES_MAX
from data_collector.pipeline.sequence.wanted_klines import WantedKlines
from data_collector.venues.binance.codec import BinanceCodec
from data_collector.venues.binance.speaker.frames import encode
from data_collector.venues.binance.venue import VENUE
from tests.judging import Notebook, shipped_gate
from tests.market import SYMBOL, aggregate_trade, kline, mini_ticker, quote, ticker, trade
from tests.property.strategies import records
from tests.receiving import receive
from tests.retaining import in_memory

CODEC = BinanceCodec()
GOOD = [
    trade(), trade(buyer_order_id=1, seller_order_id=2), kline(), kline(interval="1M"), ticker(), aggregate_trade(),
    mini_ticker(), quote(),
]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=8)
    | st.sampled_from(["trade", "kline", "1M", SYMBOL, "1e400", "0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("estkuTEpq"), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
FIELDS = st.sampled_from([*"eEstpqTmbakucohlvnxVQFLOC", "id", "result", "error", "code", "msg", "data", "stream"])


def intake() -> Intake:
    outlet = Outlet([SYMBOL], in_memory(SYMBOL), records_max=50, side_max=50)
    return Intake(shipped_gate(), outlet, WantedKlines(UtcCalendar(), VENUE.intervals), Counters(), Notebook())


def receive_all(frames: list[bytes]) -> None:
    made = intake()
    outlet = made._outlet
    for frame in frames:
        receive(made, frame)
        assert made.tally.judged == made.tally.validated + made.tally.errors
    batch = outlet.take()
    assert all(len(text) <= RAW_BYTES_MAX for entry in batch.side for text in entry.fields)
    for run in batch.trades:
        assert all(isinstance(json.loads(str(text)), dict) for text in run.entries[1::2])
        assert all(isinstance(ms, int) for ms in run.entries[::2])


@given(frames=st.lists(st.binary(max_size=200), max_size=5))
def test_any_bytes(frames: list[bytes]) -> None:
    receive_all(frames)


@given(values=st.lists(JSON, max_size=5))
def test_any_json(values: list[object]) -> None:
    receive_all([json.dumps(value).encode() for value in values])


@given(values=st.lists(st.dictionaries(FIELDS, JSON, max_size=6), max_size=4), combined=st.booleans())
def test_any_object_with_the_exchanges_keys(values: list[dict[str, object]], combined: bool) -> None:
    receive_all([json.dumps({"stream": "x", "data": value} if combined else value).encode() for value in values])


@given(
    changes=st.lists(
        st.tuples(st.sampled_from(GOOD), FIELDS, JSON, st.booleans(), st.booleans()), min_size=1, max_size=6
    )
)
def test_good_frames_with_one_field_changed(changes: list[tuple[Record, str, object, bool, bool]]) -> None:
    frames = []
    for record, field, value, inner, combined in changes:
        payload = json.loads(encode(record, combined=False))
        target = payload["k"] if inner and "k" in payload else payload
        target[field] = value
        frames.append(json.dumps({"stream": "x", "data": payload} if combined else payload).encode())
    receive_all(frames)


@given(found=st.lists(records(microseconds=False), max_size=5))
def test_any_records(found: list[Record]) -> None:
    receive_all([encode(record) for record in found])
