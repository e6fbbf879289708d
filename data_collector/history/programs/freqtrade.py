"""Files that freqtrade opens as data that it has downloaded: Feather, one of each pair and timeframe.

Names and columns are those of its `FeatherDataHandler`, for spot markets:
<https://www.freqtrade.io/en/stable/data-download/>.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import pyarrow as pa

from data_collector.history.export_format import Placed, Rows, Table
from data_collector.history.programs.pairs import Pair
from data_collector.model.keys import Key
from data_collector.model.records import Kline, Trade

_NUMBERS = ("open", "high", "low", "close", "volume")
CANDLES = pa.schema([("date", pa.timestamp("ms", tz="UTC")), *((name, pa.float64()) for name in _NUMBERS)])
"""`date` is the open time; `volume` is of the base."""

TRADES = pa.schema(
    [("timestamp", pa.int64()), *((name, pa.string()) for name in ("id", "type", "side"))]
    + [(name, pa.float64()) for name in ("price", "amount", "cost")]
)
"""`timestamp` in ms; `side` is the taker's; `type`, that of its order, is not known; `cost` is price times amount."""

_REPLACED = str.maketrans(dict.fromkeys("/ .@$+:", "_"))
"""In names of files."""


class FreqtradeLayout:
    """A folder that is to be a `datadir`: `BTC_USDT-1m.feather`, `BTC_USDT-1Mo.feather`, `BTC_USDT-trades.feather`."""

    def __init__(self, folder: Path, pairs: Mapping[str, Pair]) -> None:
        self._folder = folder
        self._pairs = pairs
        self._files: list[Path] = []

    def open(self, series: Key) -> Table:
        """Named by the pair."""
        pair = self._pairs[series.symbol]
        kind = "trades" if series.interval is None else series.interval.replace("M", "Mo")
        path = self._folder / f"{f'{pair.base}/{pair.quote}'.translate(_REPLACED)}-{kind}.feather"
        self._files.append(path)
        return _FeatherTable(path, CANDLES if series.channel == "kline" else TRADES)

    def finish(self) -> Placed:
        """They are as they shall be."""
        return Placed(self._files)


class _FeatherTable:
    """A batch a page."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        self._writer = pa.ipc.new_file(path, schema, options=pa.ipc.IpcWriteOptions(compression="lz4"))

    def add(self, rows: Rows) -> None:
        lines = [_candle(row.record) if isinstance(row.record, Kline) else _trade(row.record) for row in rows]
        types = [field.type for field in self._schema]
        arrays = [pa.array(column, type_) for column, type_ in zip(zip(*lines, strict=True), types, strict=True)]
        self._writer.write_batch(pa.record_batch(arrays, schema=self._schema))

    def close(self) -> None:
        self._writer.close()


def _candle(row: Kline) -> tuple[object, ...]:
    return (row.open_ms, *map(float, (row.open, row.high, row.low, row.close, row.volume)))


def _trade(row: Trade) -> tuple[object, ...]:
    side = None if row.is_buyer_maker is None else "sell" if row.is_buyer_maker else "buy"
    cost = float(Decimal(row.price) * Decimal(row.quantity))
    return (row.time_ms, str(row.trade_id), None, side, float(row.price), float(row.quantity), cost)
