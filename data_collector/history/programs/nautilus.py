"""Files that NautilusTrader opens as a `ParquetDataCatalog`: bars, trade ticks, and an instrument of each symbol.

Columns, metadata and names are those that its catalog writes (1.221 and later, with 128-bit numbers, as its wheels
for Linux and macOS have them): <https://nautilustrader.io/docs/latest/concepts/data>.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data_collector.history.export_format import PRECISION, Placed, Rows, Table
from data_collector.history.programs.forms import FIXED_PLACES
from data_collector.history.programs.pairs import Pair
from data_collector.model.calendar import Calendar
from data_collector.model.errors import Misconfigured
from data_collector.model.keys import Key
from data_collector.model.records import Kline, Trade

NS_OF_MS, NS_OF_US, NS_OF_S = 1_000_000, 1_000, 1_000_000_000

Kind = Literal["price", "size"]

LIMITS: dict[Kind, int] = {"price": 17_014_118_346_046, "size": 34_028_236_692_093}
"""The largest that its numbers hold."""

UNITS = {"s": "SECOND", "m": "MINUTE", "h": "HOUR", "d": "DAY", "w": "WEEK", "M": "MONTH"}

NO_AGGRESSOR, BUYER, SELLER = 0, 1, 2

COPIED_ROWS = 50_000
"""At once, when a file gets its metadata."""

_NUMBER = pa.binary(16)
"""The number times 10^16, as a little-endian integer."""


def _schema(types: Mapping[str, pa.DataType]) -> pa.Schema:
    times = {"ts_event": pa.uint64(), "ts_init": pa.uint64()}
    return pa.schema([pa.field(name, type_, nullable=False) for name, type_ in {**types, **times}.items()])


BARS = _schema(dict.fromkeys(("open", "high", "low", "close", "volume"), _NUMBER))
TICKS = _schema({"price": _NUMBER, "size": _NUMBER, "aggressor_side": pa.uint8(), "trade_id": pa.string()})

_OF_FEW = pa.dictionary(pa.int16(), pa.string())
INSTRUMENT = pa.schema(
    [("id", pa.dictionary(pa.int64(), pa.string())), ("raw_symbol", pa.string())]
    + [(name, _OF_FEW) for name in ("base_currency", "quote_currency")]
    + [(name, pa.uint8()) for name in ("price_precision", "size_precision")]
    + [(name, _OF_FEW) for name in ("price_increment", "size_increment", "multiplier", "lot_size", "max_quantity")]
    + [(name, _OF_FEW) for name in ("min_quantity", "max_notional", "min_notional", "max_price", "min_price")]
    + [(name, pa.string()) for name in ("margin_init", "margin_maint", "maker_fee", "taker_fee")]
    + [("info", pa.binary()), ("ts_event", pa.uint64()), ("ts_init", pa.uint64())],
    metadata={"class": "CurrencyPair"},
)


class NautilusLayout:
    """A catalog: `data/bar/BTCUSDT.EXCHANGE-1-MINUTE-LAST-EXTERNAL/…`, `data/trade_tick/…`, `data/currency_pair/…`.

    How many places a symbol has is known when all of its rows are written, so files get their metadata, and with it
    their names, at the end.
    """

    def __init__(self, folder: Path, exchange: str, pairs: Mapping[str, Pair], calendar: Calendar) -> None:
        self._folder = folder
        self._exchange = exchange.upper()
        self._pairs = pairs
        self._calendar = calendar
        self._places: dict[str, dict[Kind, int]] = {}
        self._tables: list[_FixedTable] = []

    def open(self, series: Key) -> Table:
        """Under a name that it does not keep."""
        path = self._folder / f".{len(self._tables)}.parquet"
        places = self._places.setdefault(series.symbol, {"price": 0, "size": 0})
        table = _FixedTable(path, series, places, self._calendar)
        self._tables.append(table)
        return table

    def finish(self) -> Placed:
        """Each file is copied to its place."""
        return Placed([self._placed(table) for table in self._tables], [self._instrument(each) for each in self._pairs])

    def _placed(self, table: _FixedTable) -> Path:
        series, identifier = table.series, self._identifier(table.series.symbol)
        stated = self._stated(series.symbol)
        if series.interval is None:
            kind = "trade_tick"
        else:
            kind = "bar"
            identifier += f"-{series.interval[:-1]}-{UNITS[series.interval[-1]]}-LAST-EXTERNAL"
            stated["bar_type"] = identifier
        path = self._path(kind, identifier, table.first_ns or 0, table.last_ns)
        schema = table.schema.with_metadata(stated)
        with pq.ParquetFile(table.path) as written, pq.ParquetWriter(path, schema) as copy:
            for batch in written.iter_batches(COPIED_ROWS):
                copy.write_batch(pa.record_batch(batch.columns, schema=schema))
        table.path.unlink()
        return path

    def _instrument(self, symbol: str) -> Path:
        identifier, pair, places = self._identifier(symbol), self._pairs[symbol], self._places[symbol]
        row = {
            "id": identifier, "raw_symbol": symbol, "base_currency": pair.base, "quote_currency": pair.quote,
            "price_precision": places["price"], "size_precision": places["size"],
            "price_increment": _step(places["price"]), "size_increment": _step(places["size"]), "multiplier": "1",
            **dict.fromkeys(("margin_init", "margin_maint", "maker_fee", "taker_fee"), "0"),
            "info": b"null", "ts_event": 0, "ts_init": 0,
        }  # fmt: skip
        path = self._path("currency_pair", identifier, 0, 0)
        pq.write_table(pa.Table.from_pylist([row], INSTRUMENT), path)
        return path

    def _identifier(self, symbol: str) -> str:
        return f"{symbol}.{self._exchange}"

    def _stated(self, symbol: str) -> dict[str, str]:
        places = self._places[symbol]
        return {
            "instrument_id": self._identifier(symbol),
            "price_precision": str(places["price"]),
            "size_precision": str(places["size"]),
        }

    def _path(self, kind: str, identifier: str, first_ns: int, last_ns: int) -> Path:
        folder = self._folder / "data" / kind / identifier.replace("/", "")
        folder.mkdir(parents=True)
        return folder / f"{_time_text(first_ns)}_{_time_text(last_ns)}.parquet"


class _FixedTable:
    """Rows of one series, with the numbers of their texts."""

    def __init__(self, path: Path, series: Key, places: dict[Kind, int], calendar: Calendar) -> None:
        self.path = path
        self.series = series
        self.schema = TICKS if series.channel == "trade" else BARS
        self.first_ns: int | None = None
        self.last_ns = 0
        """As `first_ns` a `ts_init`: the catalog names a file by them."""
        self._places = places
        self._calendar = calendar
        self._writer = pq.ParquetWriter(path, self.schema)

    def add(self, rows: Rows) -> None:
        bars = [row.record for row in rows if isinstance(row.record, Kline)]
        ticks = [row.record for row in rows if isinstance(row.record, Trade)]
        columns, events = self._bars(bars) if bars else self._ticks(ticks)
        # A catalog is sorted by ts_init, which its readers take for granted; a trade may be told after a later one.
        inits = list(accumulate(events, max, initial=self.last_ns))[1:]
        self.first_ns = inits[0] if self.first_ns is None else self.first_ns
        self.last_ns = inits[-1]
        times = [pa.array(each, pa.uint64()) for each in (events, inits)]
        self._writer.write_batch(pa.record_batch([*columns, *times], schema=self.schema))

    def close(self) -> None:
        self._writer.close()

    def _bars(self, bars: Sequence[Kline]) -> tuple[list[pa.Array], list[int]]:
        """Columns, and when each ended."""
        interval = self.series.kline_interval
        ends = [self._calendar.next_open_ms(interval, bar.open_ms) * NS_OF_MS for bar in bars]
        prices = [
            self._numbers("price", texts)
            for texts in zip(*((bar.open, bar.high, bar.low, bar.close) for bar in bars), strict=True)
        ]
        return [*prices, self._numbers("size", [bar.volume for bar in bars])], ends

    def _ticks(self, ticks: Sequence[Trade]) -> tuple[list[pa.Array], list[int]]:
        """Columns, and when each took place."""
        columns = [
            self._numbers("price", [tick.price for tick in ticks]),
            self._numbers("size", [tick.quantity for tick in ticks]),
            pa.array([_aggressor(tick) for tick in ticks], pa.uint8()),
            pa.array([str(tick.trade_id) for tick in ticks], pa.string()),
        ]
        return columns, [tick.time_ms * NS_OF_MS + (tick.sub_ms_us or 0) * NS_OF_US for tick in ticks]

    def _numbers(self, kind: Kind, texts: Sequence[str]) -> pa.Array:
        places = max(len(text.partition(".")[2].rstrip("0")) for text in texts)
        try:
            numbers = pc.cast(pa.array(texts, pa.string()), pa.decimal128(PRECISION, FIXED_PLACES))
        except pa.ArrowInvalid as error:
            raise self._refused(kind) from error
        if pc.min_max(numbers).as_py()["max"] > LIMITS[kind]:
            raise self._refused(kind)
        self._places[kind] = max(self._places[kind], places)
        return numbers.view(_NUMBER)

    def _refused(self, kind: Kind) -> Misconfigured:
        return Misconfigured(
            f"{self.series.label} cannot be written for NautilusTrader: a {kind} has more than {FIXED_PLACES} decimal "
            f"places, or is larger than {LIMITS[kind]:,}."
        )


def _aggressor(tick: Trade) -> int:
    if tick.is_buyer_maker is None:
        return NO_AGGRESSOR
    return SELLER if tick.is_buyer_maker else BUYER


def _step(places: int) -> str:
    return "1" if not places else f"0.{'0' * (places - 1)}1"


def _time_text(time_ns: int) -> str:
    seconds, rest_ns = divmod(time_ns, NS_OF_S)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H-%M-%S}-{rest_ns:09d}Z"
