"""Good trades, klines, tickers and quotes in which something is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, assert_never

from hypothesis import strategies as st
from msgspec import structs

from data_collector.validation.auditing.messages import Chunk
from data_collector.validation.rules.columns import COLUMNS, Checked, ColumnType, Kind
from tests.differential.values import INTEGERS, TEXTS
from tests.market import MINUTE_MS, NOON_MS, kline, quote, ticker, trade

RECORDS_MAX: Final = 12
MUTATIONS_MAX: Final = 3

NUMBER_TEXTS: Final = (
    "0", "0.00000000", "-0", "-1", "1", "45180.50", "45180.500000000001", "45200.00", "45100.00", "45099.99", "0.123",
    "5567890.12", "5570000", "123.456", "61.728", "1e-400", "1e308", "1e400", "9" * 64, "9" * 65, "", " ", "1,2", "NaN",
    "0x1", "١٢", "1_000", "+1", "01", "1.", "-94.99999800", "-94.99999801", "-100", "-100.1", "45.150",
)  # fmt: skip
TIMES: Final = (
    *INTEGERS, -(2**63), 10**400, 10**12, 10**12 - 1, 4_102_444_800_000, 4_102_444_800_001, NOON_MS - MINUTE_MS,
    NOON_MS - MINUTE_MS - 1, NOON_MS + MINUTE_MS - 1, NOON_MS + 2 * MINUTE_MS, NOON_MS + 123, NOON_MS + 86_400_123,
    NOON_MS + 86_400_124, 1333, 1334, 100, 99, 1234, 1235,
)  # fmt: skip


def chunks(kind: Kind) -> st.SearchStrategy[Chunk]:
    """Records of a kind as the audit gets them; about half of them are good."""
    records = st.lists(_mutated(kind), min_size=1, max_size=RECORDS_MAX)
    return records.map(lambda made: _chunk(kind, made))


def records_of(chunk: Chunk) -> list[Checked]:
    """Those of the chunk's kind."""
    return [*chunk.records]


def _chunk(kind: Kind, records: list[Checked]) -> Chunk:
    chunk = Chunk(kind, "digest")
    chunk.records = records
    return chunk


@st.composite
def _mutated(draw: st.DrawFn, kind: Kind) -> Checked:
    good = _good(kind, draw(st.integers(0, 3)), closed=draw(st.booleans()))
    if draw(st.booleans()):
        return good
    names = [name for name, column in COLUMNS[kind].items() if not column.audit_only]
    changed = draw(st.lists(st.sampled_from(names), min_size=1, max_size=MUTATIONS_MAX, unique=True))
    return structs.replace(good, **dict(draw(_change(kind, name)) for name in changed))


def _good(kind: Kind, number: int, *, closed: bool) -> Checked:
    match kind:
        case "trade":
            return trade(123_456_789 + number)
        case "kline":
            return kline(number, closed=closed)
        case "ticker":
            return ticker(NOON_MS + number)
        case "quote":
            return quote(update_id=400_900_217 + number)
        case _:
            assert_never(kind)


def _change(kind: Kind, name: str) -> st.SearchStrategy[tuple[str, object]]:
    if name == "received_ms":
        times = st.sampled_from([0, 1, NOON_MS * 10**6, (NOON_MS + MINUTE_MS + 124) * 10**6])
        return st.tuples(st.just("received_ns"), times)
    values: Mapping[ColumnType, st.SearchStrategy[object]] = {
        "text": st.sampled_from(TEXTS),
        "decimal": st.sampled_from(NUMBER_TEXTS),
        "integer": st.sampled_from(TIMES),
        "flag": st.booleans(),
    }
    column = COLUMNS[kind][name]
    value = values[column.type]
    return st.tuples(st.just(name), st.none() | value if column.nullable else value)
