"""What files of records can be, and their columns. Without pyarrow, which costs every command a fifth of a second."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Literal, Protocol

from data_collector.model.records import Kline, Trade

Form = Literal["parquet", "csv"]
Decimals = Literal["decimal", "text"]

PRECISION, SCALE = 38, 18
"""The widest that 16 bytes hold. Exchanges write 8 places, and tokens are divided into 10^18 at most; 20 digits are
left before the point."""

STATED_DECIMALS = {
    "decimal": f"decimal128({PRECISION}, {SCALE})",
    "text": "the stored decimal text",
}


INTEGERS = frozenset(("trades", "trade_id", "buyer_order_id", "seller_order_id"))
TEXTS = frozenset(("symbol", "interval"))
FLAGS = frozenset(("is_closed", "is_buyer_maker"))
"""Fields of records; the others are numbers in the exchange's own digits."""

Column = Sequence[object]


class Table(Protocol):
    """A file that is being written."""

    def add(self, records: Sequence[Kline] | Sequence[Trade]) -> None:
        """A page of rows."""

    def close(self) -> None:
        """Finish the file."""


def columns_of(
    records: Sequence[Kline] | Sequence[Trade],
    names: Sequence[str],
    times: Column,
    number: Callable[[str], object],
    flag: Callable[[bool], object] = bool,
) -> list[Column]:
    """What the fields of `names` hold; `times` are the timestamps."""
    columns: list[Column] = []
    for name in names:
        if name == "timestamp":
            columns.append(times)
            continue
        values = map(attrgetter(name), records)
        make = flag if name in FLAGS else number
        told = values if name in INTEGERS | TEXTS else (None if value is None else make(value) for value in values)
        columns.append(list(told))
    return columns


def text_columns(records: Sequence[Kline] | Sequence[Trade], names: Sequence[str], times: Column) -> list[Column]:
    """For CSV: the words of JSON, and nothing for what is not told."""
    return columns_of(records, names, times, str, lambda truth: "true" if truth else "false")
