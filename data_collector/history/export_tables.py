"""Files of an export: Parquet or CSV, written a page of rows at a time.

A page is a row group, so neither writing nor reading needs more memory than a page. Numbers become floats only where
that is asked for.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from data_collector.history.export_format import (
    FLAGS,
    INTEGERS,
    ORIGIN_NAMES,
    PRECISION,
    SCALE,
    STATED_DECIMALS,
    TEXTS,
    Decimals,
    Form,
    Placed,
    Rows,
    Table,
    columns_of,
    text_columns,
)
from data_collector.model.errors import Misconfigured
from data_collector.model.keys import Key
from data_collector.model.records import Kline, Trade
from data_collector.model.wire import KLINE_NAMES, TRADE_NAMES, open_time_text, trade_time_text

EXPORTED_KLINE_NAMES = tuple(name for name in KLINE_NAMES if name != "is_closed")
"""All of them are closed."""

NUMBER_OF: dict[Decimals, Callable[[str], object]] = {"decimal": Decimal, "text": str, "float": float}
"""Makes a number of the stored text."""

NUMBER_TYPES: dict[Decimals, pa.DataType] = {
    "decimal": pa.decimal128(PRECISION, SCALE),
    "text": pa.string(),
    "float": pa.float64(),
}


class PlainLayout:
    """One file of each series, side by side; `stated` goes into the metadata of those that have any."""

    def __init__(
        self, folder: Path, form: Form, decimals: Decimals, stated: Mapping[str, str], *, with_origin: bool
    ) -> None:
        self._folder = folder
        self._form = form
        self._decimals = decimals
        self._stated = stated
        self._with_origin = with_origin
        self._files: list[Path] = []

    def open(self, series: Key) -> Table:
        """Columns in the order of the records."""
        of_trades = series.channel == "trade"
        names = (TRADE_NAMES if of_trades else EXPORTED_KLINE_NAMES) + (ORIGIN_NAMES if self._with_origin else ())
        path = self._folder / f"{_file_stem(series)}.{self._form}"
        self._files.append(path)
        if self._form == "csv":
            return _CsvTable(path, names)
        types = arrow_types(names, self._decimals, "us" if of_trades else "ms")
        stated = {**self._stated, "symbol": series.symbol, "series": series.interval or "trades"}
        return _ParquetTable(path, types, self._decimals, stated)

    def finish(self) -> Placed:
        """They are as they shall be."""
        return Placed(self._files)


def _file_stem(series: Key) -> str:
    """Some file systems take `1m` and `1M` for the same; a symbol may hold a slash."""
    kind = "1mo" if series.interval == "1M" else series.interval or "trades"
    return f"{quote(series.symbol, safe='')}-{kind}"


class _ParquetTable:
    def __init__(
        self, path: Path, types: Mapping[str, pa.DataType], decimals: Decimals, stated: Mapping[str, str]
    ) -> None:
        self._number = NUMBER_OF[decimals]
        self._types = types
        self._schema = pa.schema(types.items()).with_metadata({**stated, "decimals": STATED_DECIMALS[decimals]})
        self._path = path
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")

    def add(self, rows: Rows) -> None:
        arrays = []
        columns = columns_of(rows, list(self._types), [_stamp(row.record) for row in rows], self._number)
        for (name, type_), column in zip(self._types.items(), columns, strict=True):
            try:
                arrays.append(pa.array(column, type_))
            except pa.ArrowInvalid as error:
                raise Misconfigured(
                    f"{self._path.name} cannot be written: a number of column {name} does not fit into "
                    f"{STATED_DECIMALS['decimal']}. Ask for --numbers text."
                ) from error
        self._writer.write_batch(pa.record_batch(arrays, schema=self._schema))

    def close(self) -> None:
        self._writer.close()


class _CsvTable:
    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._names = names
        self._rows = csv.writer(self._file, lineterminator="\n")
        self._rows.writerow(names)

    def add(self, rows: Rows) -> None:
        times = [_time_text(row.record) for row in rows]
        self._rows.writerows(zip(*text_columns(rows, self._names, times), strict=True))

    def close(self) -> None:
        self._file.close()


def _stamp(row: Kline | Trade) -> int:
    return row.open_ms if isinstance(row, Kline) else row.time_ms * 1000 + (row.sub_ms_us or 0)


def _time_text(row: Kline | Trade) -> str:
    return open_time_text(row.open_ms) if isinstance(row, Kline) else trade_time_text(row.time_ms, row.sub_ms_us)


def arrow_types(names: Sequence[str], decimals: Decimals, time_unit: Literal["ms", "us"]) -> dict[str, pa.DataType]:
    """Name to type of the columns of records."""
    types = dict.fromkeys(names, NUMBER_TYPES[decimals]) | {"timestamp": pa.timestamp(time_unit, tz="UTC")}
    if "warnings" in types:
        types["warnings"] = pa.list_(pa.string())
    for known, type_ in ((INTEGERS, pa.int64()), (TEXTS, pa.string()), (FLAGS, pa.bool_())):
        types |= {name: type_ for name in names if name in known}
    return types
