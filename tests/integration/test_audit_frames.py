"""Frames of the audit: the gate's values in plain columns, and what the audit knows beside them."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np
import pytest
from msgspec import Raw, structs
from pandas import DataFrame

from data_collector.validation.audit.frames import AuditBatch, add_chunks, decimals, frame_of_batch, frame_of_rows
from data_collector.validation.audit.memory import TYPICAL_OF, TYPICAL_OF_MIN, Memory
from data_collector.validation.audit.specimens import specimen_frame
from data_collector.validation.auditing.messages import Chunk, encode
from data_collector.validation.gate.compiler import NUMBER_CHARACTERS_MAX, values_of
from data_collector.validation.rules.columns import COLUMNS, GATE_COLUMNS, KINDS, Checked, Kind, Value, kind_of
from tests.market import NOON_MS, kline, quote, ticker, trade

TEXTS = (
    "1",
    "0.1",
    "-0.0",
    "45180.50",
    "1e5",
    "1e-400",
    "5e-324",
    "9007199254740993",
    "0.1000000000000000055511151231257827",
)
BAD_TEXTS = ("", " ", "x", "1,2", "[1", "1]", "1.", "NaN", "Infinity", "1e400", "null", "true", "0x1", "01", "1" * 65)


def framed(*records: Checked, memory: Memory | None = None, source: str = "test", **said: object) -> DataFrame:
    chunk = structs.replace(Chunk(kind_of(records[0]), ""), **said)
    chunk.records = list(records)
    batch = AuditBatch(chunk.kind, "")
    batch.add(chunk, Raw())
    return frame_of_batch(source, batch, Memory() if memory is None else memory)


def batches_of(*chunks: Chunk) -> list[AuditBatch]:
    batches: dict[tuple[Kind, str], AuditBatch] = {}
    add_chunks(batches, [Raw(encode(chunk)) for chunk in chunks])
    return list(batches.values())


def column(frame: DataFrame, name: str) -> list[object]:
    return [None if isinstance(value, float) and math.isnan(value) else value for value in frame[name].tolist()]


@pytest.mark.parametrize("kind", KINDS)
def test_columns_are_those_of_the_kind_in_plain_types(kind: Kind) -> None:
    frame = specimen_frame(kind)

    assert list(frame.columns) == list(COLUMNS[kind])
    kinds = {"text": "O", "decimal": "f", "integer": "i", "flag": "b"}
    found = {name: frame[name].dtype.kind for name in COLUMNS[kind]}
    assert found == {name: kinds[column.type] for name, column in COLUMNS[kind].items()}
    assert not [name for name in COLUMNS[kind] if None in column(frame, name)]


@pytest.mark.parametrize(
    "record",
    [
        trade(), trade(2**60, buyer_order_id=-(2**60), received_ns=0), trade(2**63 + 5),
        trade(price="1e400", quantity="x"),
        kline(), kline(open="1" * 65, trades=-3, is_closed=False), ticker(), ticker(count=2**53, price_change=""),
        quote(), quote(update_id=2**60, ask="x"),
    ],
)  # fmt: skip
def test_frame_has_the_values_of_the_gate(record: Checked) -> None:
    frame = framed(record, record)
    values, _ = values_of(kind_of(record), record)

    assert [column(frame, name) for name in GATE_COLUMNS[kind_of(record)]] == [[value, value] for value in values]


def test_decimals_are_read_as_the_gate_reads_them() -> None:
    chance = random.Random(7)
    for _ in range(300):
        texts = chance.choices(TEXTS + BAD_TEXTS * chance.randint(0, 1), k=chance.randint(0, 6))
        alone = [values_of("trade", trade(price=text))[0][GATE_COLUMNS["trade"].index("price")] for text in texts]

        assert [None if np.isnan(number) else number for number in decimals(texts)] == alone, texts


def test_long_number_is_null_among_others() -> None:
    assert np.isnan(decimals(["1", "2" * (NUMBER_CHARACTERS_MAX + 1)])).tolist() == [False, True]


def test_text_that_is_two_numbers_does_not_shift_the_rest() -> None:
    assert np.isnan(decimals(["1,2", "3"])).tolist() == [True, False]


def test_null_makes_integers_floats() -> None:
    frame = framed(trade(1, buyer_order_id=7), trade(2))

    assert frame["buyer_order_id"].dtype.kind == "f"
    assert column(frame, "buyer_order_id") == [7.0, None]


def test_chunks_of_one_kind_and_suite_become_one_batch() -> None:
    first = Chunk("trade", "a", trades=[trade(1), trade(2)], broken={1: ["r"]}, refused=[1], sizes={"A": (1.0, 2.0)})
    other = Chunk("trade", "b", trades=[trade(9)])
    second = Chunk("trade", "a", trades=[trade(3), trade(4)], broken={0: ["r", "s"]}, late=[1], sizes={"B": (3.0, 4.0)})

    batches = batches_of(first, other, second, Chunk("kline", "k"))
    one, two = batches

    assert [one.record(row) for row in range(one.rows)] == [trade(1), trade(2), trade(3), trade(4)]
    assert column(frame_of_batch("test", one, Memory()), "trade_id") == [1, 2, 3, 4]
    assert (one.broken, one.refused, one.late) == ({"r": {1, 2}, "s": {2}}, [1], [3])
    assert one.sizes == {"A": (1.0, 2.0), "B": (3.0, 4.0)}
    assert (two.digest, two.rows) == ("b", 1)


@pytest.mark.parametrize("said", [{"late": [1]}, {"refused": [-1]}, {"broken": {5: ["r"]}}])
def test_row_that_does_not_exist_is_refused(said: dict[str, object]) -> None:
    chunk = structs.replace(Chunk("trade", "a", trades=[trade(1)]), **said)

    with pytest.raises(ValueError, match="does not have"):
        batches_of(chunk)


def test_flags_say_what_became_of_each_row() -> None:
    frame = framed(trade(1), trade(2), trade(3), refused=[1], late=[2])

    assert column(frame, "accepted") == [True, False, True]
    assert column(frame, "late") == [False, False, True]


def test_steps_are_the_symbols_own() -> None:
    records = [trade(1), trade(2, symbol="ETHUSDT"), trade(3, symbol="NEW")]

    frame = framed(*records, sizes={"BTCUSDT": (0.01, 0.001), "ETHUSDT": (0.5, 0.0)})

    assert column(frame, "tick_size") == [0.01, 0.5, None]
    assert column(frame, "step_size") == [0.001, None, None]


def test_record_before_is_known_within_the_batch_and_across() -> None:
    memory = Memory()
    first = framed(trade(1), trade(7, symbol="ETHUSDT"), trade(2), memory=memory)
    second = framed(trade(3), trade(8, symbol="ETHUSDT"), memory=memory)

    assert column(first, "previous_trade_id") == [None, None, 1.0]
    assert column(second, "previous_trade_id") == [2, 7]
    assert second["previous_trade_id"].dtype.kind == "i"


def test_refused_and_late_records_have_none_before_and_are_before_nobody() -> None:
    frame = framed(trade(1), trade(99), trade(2), trade(50), trade(3), refused=[1], late=[3])

    assert column(frame, "previous_trade_id") == [None, None, 1.0, None, 2.0]


def test_sources_kinds_and_intervals_have_histories_of_their_own() -> None:
    memory = Memory()
    framed(kline(0), memory=memory)
    framed(kline(0), memory=memory, source="other")

    frame = framed(kline(1, interval="5m"), kline(1), memory=memory)

    assert column(frame, "previous_open_ms") == [None, NOON_MS]
    assert len(memory) == 3


def test_median_is_of_the_batches_before_once_enough_is_known() -> None:
    memory = Memory()
    few = [trade(number, price="10") for number in range(TYPICAL_OF_MIN - 1)]
    framed(*few, memory=memory)
    unknown = framed(trade(100, price="10"), memory=memory)
    known = framed(*[trade(200 + n, price="30") for n in range(TYPICAL_OF)], trade(999), memory=memory, refused=[0])
    moved = framed(trade(400), memory=memory)

    assert column(unknown, "typical_price") == [None]
    assert set(column(known, "typical_price")) == {10.0}
    assert column(moved, "typical_price") == [30.0]


def test_median_of_klines_is_of_closed_ones() -> None:
    memory = Memory()
    records = [kline(n, closed=n % 2 == 0, volume="5" if n % 2 == 0 else "1000") for n in range(2 * TYPICAL_OF_MIN)]
    framed(*records, memory=memory)

    frame = framed(kline(999), memory=memory)

    assert column(frame, "typical_volume") == [5.0]
    assert column(frame, "typical_close") == [45180.5]


def test_history_forgets_what_it_saw_least_recently() -> None:
    memory = Memory(keys_max=2)
    for symbol in ("A", "B", "A", "C"):
        framed(trade(1, symbol=symbol), memory=memory)

    frame = framed(trade(2, symbol="A"), trade(2, symbol="B"), memory=memory)

    assert column(frame, "previous_trade_id") == [1.0, None]
    assert len(memory) == 2


def test_source_with_many_keys_does_not_make_others_forget() -> None:
    memory = Memory(keys_max=2, all_keys_max=5)
    framed(trade(1, symbol="A"), memory=memory, source="quiet")
    for symbol in "ABCDEF":
        framed(trade(1, symbol=symbol), memory=memory, source="large")

    frame = framed(trade(2, symbol="A"), memory=memory, source="quiet")

    assert column(frame, "previous_trade_id") == [1.0]
    assert len(memory) == 3


def test_sources_that_ended_are_forgotten_when_there_is_no_room() -> None:
    memory = Memory(keys_max=2, all_keys_max=3)
    for source in ("ended", "one", "other"):
        framed(trade(1, symbol="A"), trade(1, symbol="B"), memory=memory, source=source)

    known = [framed(trade(2, symbol="B"), memory=memory, source=source) for source in ("one", "other", "ended")]

    assert [column(frame, "previous_trade_id") for frame in known] == [[1.0], [1.0], [None]]
    assert len(memory) == 3


def test_rows_that_are_sent_are_accepted_and_have_no_past() -> None:
    frame = frame_of_rows("trade", [sent(price=1.5, trade_id=7, is_buyer_maker=True, symbol="A"), sent()])

    assert list(frame.columns) == list(COLUMNS["trade"])
    assert column(frame, "price") == [1.5, None]
    assert column(frame, "trade_id") == [7.0, None]
    assert column(frame, "is_buyer_maker") == [True, None]
    assert column(frame, "symbol") == ["A", None]
    assert (column(frame, "accepted"), column(frame, "late")) == ([True, True], [False, False])
    assert column(frame, "tick_size") == column(frame, "previous_trade_id") == [None, None]


def test_whole_numbers_are_decimals_too() -> None:
    assert column(frame_of_rows("trade", [sent(price=3)]), "price") == [3.0]


@pytest.mark.parametrize(
    ("name", "value"),
    [("price", "1"), ("price", True), ("trade_id", 1.0), ("trade_id", False), ("symbol", 1), ("is_buyer_maker", 1)],
)
def test_value_of_another_type_is_refused(name: str, value: Value) -> None:
    with pytest.raises(ValueError, match=f"row 1: {name} must be"):
        frame_of_rows("trade", [sent(), sent(**{name: value})])


@pytest.mark.parametrize("row", [[], [None], [None] * 99])
def test_row_of_another_length_is_refused(row: Sequence[Value]) -> None:
    with pytest.raises(ValueError, match="row 0 has"):
        frame_of_rows("trade", [row])


def sent(**values: Value) -> list[Value]:
    return [values.get(name) for name in GATE_COLUMNS["trade"]]
