"""Records as an Arrow IPC stream; what PostgreSQL wrote as CSV becomes columns without a step of Python per row."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from data_collector.api.series.tables import NoDecimal
from data_collector.history.export_format import (
    FLAGS,
    INTEGERS,
    ORIGIN_NAMES,
    PRECISION,
    SCALE,
    TEXTS,
    Rows,
    columns_of,
)
from data_collector.history.export_tables import arrow_types
from data_collector.model.records import Kline, Trade

BLOCK_BYTES = 1 << 18
"""Of lines that become one batch: with its columns it stays in a processor's own cache, and out of the feed's."""

_END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"
"""As the IPC format has it."""

_DIGITS = bytes(ord("0") if byte in b"0123456789" else ord(",") for byte in range(256))

_DIGITS_BEFORE_POINT = PRECISION - SCALE

_COLUMN_AT_FAULT = re.compile(r"column #(\d+)")


class ArrowTable:
    """An IPC stream of the columns of the JSON; each piece is one batch or more."""

    def __init__(self, names: Sequence[str]) -> None:
        self._types = arrow_types(names, "decimal", "us")
        self._schema = pa.schema(self._types.items())

    def head(self) -> bytes:
        """The schema."""
        return self._schema.serialize().to_pybytes()

    def rows(self, rows: Rows) -> bytes:
        """A piece. Raises `NoDecimal`."""
        if not rows:
            return b""
        arrays = []
        columns = columns_of(rows, list(self._types), [_time_us(row.record) for row in rows], Decimal)
        for (name, type_), values in zip(self._types.items(), columns, strict=True):
            try:
                arrays.append(pa.array(values, type_))
            except pa.ArrowInvalid:
                raise _no_decimal(name) from None
        return pa.record_batch(arrays, schema=self._schema).serialize().to_pybytes()

    def lines(self, text: bytes) -> bytes:
        """A piece of lines of CSV. Raises `NoDecimal`."""
        if b"0" * (_DIGITS_BEFORE_POINT + 1) in text.translate(_DIGITS):
            self._check_sizes(text)
        types = self._types | ({"warnings": pa.string()} if "warnings" in self._types else {})
        try:
            return b"".join(_with_rules(batch).serialize().to_pybytes() for batch in _read(text, types))
        except pa.ArrowInvalid as error:
            fault = _COLUMN_AT_FAULT.search(str(error))
            raise _no_decimal("a number" if fault is None else list(types)[int(fault[1])]) from None

    def tail(self) -> bytes:
        """The mark of the end."""
        return _END_OF_STREAM

    def _check_sizes(self, text: bytes) -> None:
        """Digits of a number that is too large would wrap around: the library does not look."""
        table = _read(text, dict.fromkeys(self._types, pa.string())).read_all()
        for name in self._types.keys() - INTEGERS - TEXTS - FLAGS - {"timestamp", *ORIGIN_NAMES}:
            for number in table.column(name).to_pylist():
                if number is not None and Decimal(str(number)).adjusted() >= _DIGITS_BEFORE_POINT:
                    raise _no_decimal(name)


def _with_rules(batch: pa.RecordBatch) -> pa.RecordBatch:
    column = batch.schema.get_field_index("warnings")
    if column < 0:
        return batch
    rules = pc.split_pattern(batch.column(column), ",")
    return batch.set_column(column, "warnings", pc.fill_null(rules, pa.scalar([], rules.type)))


def _read(text: bytes, types: Mapping[str, pa.DataType]) -> arrow_csv.CSVStreamingReader:
    return arrow_csv.open_csv(
        pa.py_buffer(text),
        # More threads would take the feed its core.
        arrow_csv.ReadOptions(use_threads=False, column_names=list(types), block_size=BLOCK_BYTES),
        convert_options=arrow_csv.ConvertOptions(
            column_types=types,
            null_values=[""],
            true_values=["true", "t"],
            false_values=["false", "f"],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


def _no_decimal(name: str) -> NoDecimal:
    return NoDecimal(
        f"{name}: a number has more than {SCALE} decimal places or {_DIGITS_BEFORE_POINT} digits before the point, or "
        "is none, which Arrow's decimals cannot hold; ask for JSON or CSV."
    )


def _time_us(record: Kline | Trade) -> int:
    if isinstance(record, Kline):
        return 1000 * record.open_ms
    return 1000 * record.time_ms + (record.sub_ms_us or 0)
