"""Files of an export: Parquet or CSV, written a page of rows at a time.

A page is a row group, so neither writing nor reading needs more memory than a page. Numbers never become floats.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from data_collector.history.export_format import PRECISION, SCALE, STATED_DECIMALS, Decimals, Form, Table
from data_collector.model.errors import Misconfigured
from data_collector.model.records import Kline, Trade
from data_collector.model.wire import open_time_text, trade_time_text

KLINE_NAMES = (
    "symbol", "timestamp", "interval", "open", "high", "low", "close", "volume", "trades", "quote_volume",
    "taker_buy_base_volume", "taker_buy_quote_volume",
)  # fmt: skip
TRADE_NAMES = (
    "symbol", "timestamp", "trade_id", "price", "quantity", "buyer_order_id", "seller_order_id", "is_buyer_maker",
)  # fmt: skip

_INTEGERS = frozenset(("trades", "trade_id", "buyer_order_id", "seller_order_id"))
_TEXTS = frozenset(("symbol", "interval"))

Column = Sequence[object]


def open_table(
    path: Path, *, of_trades: bool, form: Form, decimals: Decimals, stated: Mapping[str, str]
) -> Table:  # fmt: skip
    """A new file; `stated` goes into its metadata, where it has any."""
    if form == "csv":
        return _CsvTable(path, TRADE_NAMES if of_trades else KLINE_NAMES)
    return _ParquetTable(path, of_trades=of_trades, decimals=decimals, stated=stated)


class _ParquetTable:
    def __init__(self, path: Path, *, of_trades: bool, decimals: Decimals, stated: Mapping[str, str]) -> None:
        self._number: Callable[[str], object] = Decimal if decimals == "decimal" else str
        self._types = _types(of_trades=of_trades, decimals=decimals)
        self._schema = pa.schema(self._types).with_metadata({**stated, "decimals": STATED_DECIMALS[decimals]})
        self._path = path
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")

    def add_klines(self, klines: Sequence[Kline]) -> None:
        self._add(kline_columns(klines, self._number, [kline.open_ms for kline in klines]))

    def add_trades(self, trades: Sequence[Trade]) -> None:
        times_us = [trade.time_ms * 1000 + (trade.sub_ms_us or 0) for trade in trades]
        self._add(trade_columns(trades, self._number, times_us))

    def close(self) -> None:
        self._writer.close()

    def _add(self, columns: Sequence[Column]) -> None:
        arrays = []
        for (name, type_), column in zip(self._types, columns, strict=True):
            try:
                arrays.append(pa.array(column, type_))
            except pa.ArrowInvalid as error:
                raise Misconfigured(
                    f"{self._path.name} cannot be written: a number of column {name} does not fit into "
                    f"{STATED_DECIMALS['decimal']}. Ask for --decimals text."
                ) from error
        self._writer.write_batch(pa.record_batch(arrays, schema=self._schema))


class _CsvTable:
    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._rows = csv.writer(self._file, lineterminator="\n")
        self._rows.writerow(names)

    def add_klines(self, klines: Sequence[Kline]) -> None:
        times = [open_time_text(kline.open_ms) for kline in klines]
        self._rows.writerows(zip(*kline_columns(klines, str, times), strict=True))

    def add_trades(self, trades: Sequence[Trade]) -> None:
        times = [trade_time_text(trade.time_ms, trade.sub_ms_us) for trade in trades]
        columns = trade_columns(trades, str, times)
        truth = ["true" if trade.is_buyer_maker else "false" for trade in trades]
        self._rows.writerows(zip(*columns[:-1], truth, strict=True))

    def close(self) -> None:
        self._file.close()


def kline_columns(klines: Sequence[Kline], number: Callable[[str], object], times: Column) -> list[Column]:
    """In the order of `KLINE_NAMES`."""
    return [
        [k.symbol for k in klines],
        times,
        [k.interval for k in klines],
        [number(k.open) for k in klines],
        [number(k.high) for k in klines],
        [number(k.low) for k in klines],
        [number(k.close) for k in klines],
        [number(k.volume) for k in klines],
        [k.trades for k in klines],
        [number(k.quote_volume) for k in klines],
        [number(k.taker_buy_base_volume) for k in klines],
        [number(k.taker_buy_quote_volume) for k in klines],
    ]


def trade_columns(trades: Sequence[Trade], number: Callable[[str], object], times: Column) -> list[Column]:
    """In the order of `TRADE_NAMES`."""
    return [
        [t.symbol for t in trades],
        times,
        [t.trade_id for t in trades],
        [number(t.price) for t in trades],
        [number(t.quantity) for t in trades],
        [t.buyer_order_id for t in trades],
        [t.seller_order_id for t in trades],
        [t.is_buyer_maker for t in trades],
    ]


def _types(*, of_trades: bool, decimals: Decimals) -> list[tuple[str, pa.DataType]]:
    exact = pa.decimal128(PRECISION, SCALE) if decimals == "decimal" else pa.string()
    types: list[tuple[str, pa.DataType]] = []
    for name in TRADE_NAMES if of_trades else KLINE_NAMES:
        if name == "timestamp":
            types.append((name, pa.timestamp("us" if of_trades else "ms", tz="UTC")))
        elif name in _INTEGERS:
            types.append((name, pa.int64()))
        elif name in _TEXTS:
            types.append((name, pa.string()))
        else:
            types.append((name, pa.bool_() if name == "is_buyer_maker" else exact))
    return types
