"""What the live store keeps of a series, as records: one side of an audit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

import msgspec
from msgspec import Raw, Struct

from data_collector.history.audit import LiveRows
from data_collector.model.calendar import Calendar
from data_collector.model.errors import Unavailable
from data_collector.model.records import Kline, Trade
from data_collector.sinks.redis.connection import StoreConnection
from data_collector.sinks.redis.entries import StreamEntry, entries_of

PAGE_ENTRIES = 2000


class _Kline(Struct):
    """The contract's record, numbers as the digits that stand there."""

    timestamp: datetime
    interval: str
    open: Raw
    high: Raw
    low: Raw
    close: Raw
    volume: Raw
    trades: int
    is_closed: bool
    quote_volume: Raw
    taker_buy_base_volume: Raw
    taker_buy_quote_volume: Raw


class _Trade(Struct):
    """The same of a trade."""

    timestamp: datetime
    trade_id: int
    price: Raw
    quantity: Raw
    is_buyer_maker: bool


_decode_kline = msgspec.json.Decoder(_Kline).decode
_decode_trade = msgspec.json.Decoder(_Trade).decode


class RedisRows:
    """Reads `stream:`, `kline:` and `trades:`."""

    def __init__(self, connection: StoreConnection, prefix: str, calendar: Calendar) -> None:
        self._connection = connection
        self._prefix = prefix
        self._calendar = calendar

    async def closed_klines(self, symbol: str, interval: str) -> LiveRows:
        """All closed ones of `stream:`; where `kline:` has a revision, that one."""
        kept: dict[int, Kline] = {}
        doubled = 0
        async for entries in self._pages(f"{self._prefix}stream:{symbol}", symbol):
            read = [_kline_of(entry.fields.get("data", ""), entry) for entry in entries]
            page = [kline for kline in read if kline.is_closed and kline.interval == interval]
            for kline in await self._revised(symbol, page):
                row = _record(symbol, kline, self._calendar)
                doubled += row.open_ms in kept
                kept[row.open_ms] = row
        return LiveRows(klines=kept, doubled=doubled)

    async def kept_trades(self, symbol: str) -> LiveRows:
        """All of `trades:`."""
        kept: dict[int, Trade] = {}
        doubled = 0
        async for entries in self._pages(f"{self._prefix}trades:{symbol}", symbol):
            for entry in entries:
                trade = _trade_of(symbol, entry)
                doubled += trade.trade_id in kept
                kept[trade.trade_id] = trade
        return LiveRows(trades=kept, doubled=doubled)

    async def _pages(self, key: str, symbol: str) -> AsyncIterator[list[StreamEntry]]:
        after = "-"
        while True:
            (reply,) = await self._connection.execute([("XRANGE", key, after, "+", "COUNT", PAGE_ENTRIES)])
            entries = entries_of(reply, symbol, key)
            yield entries
            if len(entries) < PAGE_ENTRIES:
                return
            after = f"({entries[-1].id}"

    async def _revised(self, symbol: str, klines: Sequence[_Kline]) -> list[_Kline]:
        """Each, or what its key says, if that is closed too and not expired."""
        if not klines:
            return []
        keys = [
            f"{self._prefix}kline:{symbol}:{each.interval}:{each.timestamp.isoformat(timespec='seconds')}"
            for each in klines
        ]
        (reply,) = await self._connection.execute([("MGET", *keys)])
        texts = msgspec.convert(reply, list[str | None])
        newest: list[_Kline] = []
        for kline, text in zip(klines, texts, strict=True):
            revised = None if text is None else _decode_kline(text)
            newest.append(kline if revised is None or not revised.is_closed else revised)
        return newest


def _kline_of(content: str, entry: StreamEntry) -> _Kline:
    try:
        return _decode_kline(content)
    except msgspec.DecodeError as error:
        raise Unavailable(f"Entry {entry.id} of stream:{entry.symbol} is no kline record.") from error


def _trade_of(symbol: str, entry: StreamEntry) -> Trade:
    try:
        row = _decode_trade(entry.fields.get("data", ""))
    except msgspec.DecodeError as error:
        raise Unavailable(f"Entry {entry.id} of trades:{symbol} is no trade record.") from error
    time_ms = _ms_of(row.timestamp)
    return Trade(symbol, row.trade_id, _text(row.price), _text(row.quantity), time_ms, time_ms, row.is_buyer_maker)


def _record(symbol: str, row: _Kline, calendar: Calendar) -> Kline:
    open_ms = _ms_of(row.timestamp)
    after_ms = calendar.next_open_ms(row.interval, open_ms)
    return Kline(
        symbol, row.interval, open_ms, after_ms - 1, open=_text(row.open), high=_text(row.high), low=_text(row.low),
        close=_text(row.close), volume=_text(row.volume), quote_volume=_text(row.quote_volume),
        taker_buy_base_volume=_text(row.taker_buy_base_volume),
        taker_buy_quote_volume=_text(row.taker_buy_quote_volume), trades=row.trades, is_closed=True, event_ms=after_ms,
    )  # fmt: skip


def _text(number: Raw) -> str:
    return bytes(number).decode()


def _ms_of(time: datetime) -> int:
    """Whole milliseconds: a float of seconds would round some of them."""
    return int(time.timestamp()) * 1000 + time.microsecond // 1000
