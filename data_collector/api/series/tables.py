"""Records as CSV or Arrow, in pieces that follow each other: the exchange's own digits, or decimals, never floats.

What PostgreSQL has written as CSV goes through as it is, or is read into columns without a step of Python per row.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Literal, Protocol

from data_collector.history.export_format import Rows, text_columns
from data_collector.model.records import Kline, Trade
from data_collector.model.wire import open_time_text, trade_time_text


class NoDecimal(Exception):
    """A number does not fit; its message is the sentence."""


class Table(Protocol):
    """The bytes of a table: its head, pieces of rows, its tail."""

    def head(self) -> bytes:
        """What comes before all rows."""

    def rows(self, rows: Rows) -> bytes:
        """A piece. Raises `NoDecimal`."""

    def lines(self, text: bytes) -> bytes:
        """A piece of lines of CSV, whose columns are those of the table. Raises `NoDecimal`."""

    def tail(self) -> bytes:
        """What comes behind all rows."""


class CsvTable:
    """With a line of names, those of the JSON; what a source does not tell is empty."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def head(self) -> bytes:
        """The names."""
        return _csv([self._names])

    def rows(self, rows: Rows) -> bytes:
        """A piece."""
        columns = text_columns(rows, self._names, [_time_text(row.record) for row in rows])
        return _csv(zip(*columns, strict=True))

    def lines(self, text: bytes) -> bytes:
        """They are what is asked for."""
        return text

    def tail(self) -> bytes:
        """Nothing."""
        return b""


def table_of(form: Literal["csv", "arrow"], names: Sequence[str]) -> Table:
    """A new one."""
    if form == "csv":
        return CsvTable(names)
    # Arrow's library takes 0.15 s and 45 MB; most services are never asked for it.
    from data_collector.api.series.arrow_table import ArrowTable  # noqa: PLC0415

    return ArrowTable(names)


def piece_of(table: Table, rows: Rows, text: bytes) -> bytes:
    """Of rows or lines, where the others are empty. Raises `NoDecimal`."""
    return table.lines(text) if text else table.rows(rows)


def whole_of(table: Table, rows: Rows, text: bytes) -> bytes:
    """A table of one piece alone. Raises `NoDecimal`."""
    return table.head() + piece_of(table, rows, text) + table.tail()


def _csv(rows: Iterable[Iterable[object]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _time_text(record: Kline | Trade) -> str:
    if isinstance(record, Kline):
        return open_time_text(record.open_ms)
    return trade_time_text(record.time_ms, record.sub_ms_us)
