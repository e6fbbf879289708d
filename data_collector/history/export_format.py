"""What files of records can be, and their columns. Without pyarrow, which costs every command a fifth of a second."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Literal, Protocol

from msgspec import Struct, field

from data_collector.model.keys import Key
from data_collector.model.records import Kline, Origin, Sourced, Trade

Form = Literal["parquet", "csv"]
Decimals = Literal["decimal", "text", "float"]

PRECISION, SCALE = 38, 18
"""The widest that 16 bytes hold. Exchanges write 8 places, and tokens are divided into 10^18 at most; 20 digits are
left before the point."""

STATED_DECIMALS = {
    "decimal": f"decimal128({PRECISION}, {SCALE})",
    "text": "the stored decimal text",
    "float": "float64, the nearest to the stored decimal text",
}

INTEGERS = frozenset(("trades", "trade_id", "buyer_order_id", "seller_order_id"))
TEXTS = frozenset(("symbol", "interval", "source"))
FLAGS = frozenset(("is_closed", "is_buyer_maker"))
"""Fields of records; the others are numbers in the exchange's own digits."""

ORIGIN_NAMES = ("source", "warnings")
"""Columns behind those of a record."""

Column = Sequence[object]

Rows = Sequence[Sourced[Kline]] | Sequence[Sourced[Trade]]


class Table(Protocol):
    """A file that is being written."""

    def add(self, rows: Rows) -> None:
        """A page of rows."""

    def close(self) -> None:
        """Finish the file."""


class Placed(Struct, frozen=True):
    """The files of a finished export."""

    files: list[Path]
    """One of each series, in the order in which they were opened."""
    others: list[Path] = field(default_factory=list)
    """What holds no rows of a series."""


class Layout(Protocol):
    """How the files of an export are named, and what they hold."""

    def open(self, series: Key) -> Table:
        """A new file. One at a time: the one before is closed."""

    def finish(self) -> Placed:
        """When all of them are closed. May read and write for as long as they are large."""


def columns_of(
    rows: Rows,
    names: Sequence[str],
    times: Column,
    number: Callable[[str], object],
    flag: Callable[[bool], object] = bool,
    rules: Callable[[Sequence[str]], object] = list,
) -> list[Column]:
    """What the fields of `names` hold; `times` are the timestamps."""
    records: list[Kline | Trade] = [row.record for row in rows]
    origins: list[Origin] = [row.origin for row in rows]
    columns: list[Column] = []
    for name in names:
        if name == "timestamp":
            columns.append(times)
            continue
        if name == "warnings":
            columns.append([rules(origin.warnings) for origin in origins])
            continue
        values = map(attrgetter(name), origins if name in ORIGIN_NAMES else records)
        make = flag if name in FLAGS else number
        told = values if name in INTEGERS | TEXTS else (None if value is None else make(value) for value in values)
        columns.append(list(told))
    return columns


def text_columns(rows: Rows, names: Sequence[str], times: Column) -> list[Column]:
    """For CSV: the words of JSON, nothing for what is not told, and commas between rules."""
    return columns_of(rows, names, times, str, lambda truth: "true" if truth else "false", ",".join)
