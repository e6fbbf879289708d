"""The published files, as https://data.binance.vision has them: made of tape and candles when they are asked for.

`/data/spot/daily/trades/BTCUSDT/BTCUSDT-trades-2023-11-14.zip`, `/data/spot/monthly/klines/BTCUSDT/1mo/…`, and each
with `.CHECKSUM`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import zipfile
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from data_collector.model.keys import Key
from data_collector.simulator.market.candles import INTERVALS
from data_collector.simulator.market.market import Market, SymbolMarket
from data_collector.venues.binance.speaker import bodies

FOLDER = "/data/spot/"

_PATH = re.compile(
    FOLDER + r"(?:daily|(?P<monthly>monthly))/(?:trades|klines)/(?P<symbol>[^/]+)/(?:(?P<interval>[^/]+)/)?"
    r"(?P<name>(?P=symbol)-(?P<series>[^-/]+)-(?P<period>[\d-]+))\.zip(?P<sum>\.CHECKSUM)?"
)

_COLUMNS = ("id", "price", "qty", "quoteQty", "time", "isBuyerMaker", "isBestMatch")

_INTERVALS = {("1mo" if interval == "1M" else interval): interval for interval in INTERVALS}
"""By what the files call them: some file systems take `1m` and `1M` for the same."""

_BY_MONTH_ONLY = frozenset({"3d", "1w", "1M"})

MICROSECONDS_SINCE = datetime(2025, 1, 1, tzinfo=UTC)
"""Files of earlier times have milliseconds."""

ZIP_TIME = (1980, 1, 1, 0, 0, 0)
"""Bytes do not differ from one request to the next, because the checksum is asked for separately."""

KEPT_FILES = 2
"""A file is asked for right after its checksum, and a month takes a while to make."""

ROWS_AT_ONCE = 10_000

Rows = Iterable[Sequence[object]]


class _Asked(Struct, frozen=True):
    """What a path is the name of."""

    name: str
    key: Key
    first_ms: int
    until_ms: int
    unit: int
    """How many time units make a millisecond."""


class PublishedFiles:
    """What lies at which path: periods that are over, as far as nothing of them was thrown away."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._kept: dict[str, bytes] = {}

    def at(self, path: str) -> bytes | None:
        """An archive or its checksum; None where there is nothing."""
        match = _PATH.fullmatch(path)
        asked = None if match is None else _asked(match)
        if match is None or asked is None or asked.until_ms > self._market.now_ms:
            return None
        packed = self._packed(path.removesuffix(".CHECKSUM"), asked)
        if packed is None or not match["sum"]:
            return packed
        return f"{hashlib.sha256(packed).hexdigest()}  {asked.name}.zip\n".encode()

    def _packed(self, path: str, asked: _Asked) -> bytes | None:
        if path not in self._kept:
            symbol = self._market.symbol(asked.key.symbol)
            rows = None if symbol is None else _rows(symbol, asked, self._market.now_ms)
            if rows is None:
                return None
            while len(self._kept) >= KEPT_FILES:
                del self._kept[next(iter(self._kept))]
            self._kept[path] = _zipped(f"{asked.name}.csv", rows)
        return self._kept[path]


def _asked(match: re.Match[str]) -> _Asked | None:
    """None for a name that no file can have."""
    interval = None if match["interval"] is None else _INTERVALS.get(match["interval"])
    is_trades = f"/trades/{match['symbol']}/{match['symbol']}-trades-" in match.string
    is_klines = f"/klines/{match['symbol']}/{match['series']}/" in match.string and interval is not None
    if not is_trades and (not is_klines or (interval in _BY_MONTH_ONLY and not match["monthly"])):
        return None
    try:
        first = datetime.strptime(match["period"], "%Y-%m" if match["monthly"] else "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return None
    until = (first + timedelta(days=31)).replace(day=1) if match["monthly"] else first + timedelta(days=1)
    unit = 1000 if first >= MICROSECONDS_SINCE else 1
    key = Key("trade" if is_trades else "kline", match["symbol"], interval)
    return _Asked(match["name"], key, _ms(first), _ms(until), unit)


def _rows(symbol: SymbolMarket, asked: _Asked, now_ms: int) -> Rows | None:
    return _trades(symbol, asked) if asked.key.channel == "trade" else _klines(symbol, asked, now_ms)


def _trades(symbol: SymbolMarket, asked: _Asked) -> Rows | None:
    first_us, until_us = asked.first_ms * 1000, asked.until_ms * 1000
    tape = symbol.tape_between(first_us, until_us)
    if tape is None or (start := tape.position_of_time(first_us)) == (end := tape.position_of_time(until_us)):
        return None
    parts = (range(start, end)[begin : begin + ROWS_AT_ONCE] for begin in range(0, end - start, ROWS_AT_ONCE))
    return (
        [row[column] for column in _COLUMNS]
        for part in parts for row in bodies.trade_rows(tape, part.start, part.stop, asked.unit)
    )  # fmt: skip


def _klines(symbol: SymbolMarket, asked: _Asked, now_ms: int) -> Rows | None:
    series = symbol.series(asked.key.kline_interval)
    oldest_ms = series.first_open_ms
    if oldest_ms is None or (oldest_ms > asked.first_ms and series.was_cut):
        return None
    candles = series.between(
        asked.first_ms, asked.until_ms - 1, asked.until_ms - asked.first_ms, newest=False, exists=symbol.has_candle
    )
    # A week of this month may still go on in the next.
    if not candles or candles[-1].next_open_ms > now_ms:
        return None
    return [bodies.kline_row(candle, asked.unit) for candle in candles]


def _zipped(name: str, rows: Rows) -> bytes:
    text = io.StringIO()
    # Python writes truth as the files do: True and False.
    csv.writer(text, lineterminator="\n").writerows(rows)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(name, ZIP_TIME), text.getvalue(), zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def _ms(time: datetime) -> int:
    return int(time.timestamp()) * 1000
