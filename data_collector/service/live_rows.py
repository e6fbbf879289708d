"""What the live store keeps of a series, as records: one side of an audit."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from data_collector.history.ports import LiveRows
from data_collector.model.calendar import Calendar
from data_collector.model.errors import Unavailable
from data_collector.model.keys import StoreKeys
from data_collector.model.records import Kline, Trade
from data_collector.model.wire import open_time_text
from data_collector.sinks.redis.connection import StoreConnection
from data_collector.sinks.redis.entries import StreamEntry, pages_of
from data_collector.sinks.redis.stored_records import NO_RECORD, epoch_or_first, stored_kline, stored_trade

PAGE_ENTRIES = 2000


class RedisRows:
    """Reads `stream:`, `kline:` and `trades:`."""

    def __init__(self, connection: StoreConnection, keys: StoreKeys, calendar: Calendar) -> None:
        self._connection = connection
        self._keys = keys
        self._calendar = calendar

    async def closed_klines(self, symbol: str, interval: str) -> LiveRows:
        """All closed ones of `stream:`; where `kline:` has a revision, that one."""
        kept: dict[int, Kline] = {}
        doubled = 0
        async for entries in pages_of(self._connection, self._keys.key("stream", symbol), symbol, PAGE_ENTRIES):
            read = [
                _kline_of(entry.fields.get("data", ""), self._calendar, f"Entry {entry.id} of stream:{entry.symbol}")
                for entry in entries
            ]
            page = [kline for kline in read if kline.is_closed and kline.interval == interval]
            for kline in await self._revised(symbol, page):
                doubled += kline.open_ms in kept
                kept[kline.open_ms] = kline
        return LiveRows(klines=kept, doubled=doubled)

    async def kept_trades(self, symbol: str) -> LiveRows:
        """All of `trades:` that is of the newest epoch."""
        kept: dict[int, Trade] = {}
        doubled = newest = 0
        async for entries in pages_of(self._connection, self._keys.key("trades", symbol), symbol, PAGE_ENTRIES):
            for entry in entries:
                trade, epoch = trade_of(entry), epoch_or_first(entry.fields)
                if epoch > newest:
                    doubled, newest = 0, epoch
                    kept.clear()
                doubled += trade.trade_id in kept
                kept[trade.trade_id] = trade
        return LiveRows(trades=kept, doubled=doubled, epoch=newest)

    async def _revised(self, symbol: str, klines: Sequence[Kline]) -> list[Kline]:
        """Each, or what its key says, if that is closed too and not expired."""
        if not klines:
            return []
        keys = [self._keys.kline(symbol, each.interval, open_time_text(each.open_ms)) for each in klines]
        (reply,) = await self._connection.execute([("MGET", *keys)])
        texts = msgspec.convert(reply, list[str | None])
        newest: list[Kline] = []
        for kline, key, text in zip(klines, keys, texts, strict=True):
            revised = None if text is None else _kline_of(text, self._calendar, key)
            newest.append(kline if revised is None or not revised.is_closed else revised)
        return newest


def _kline_of(text: str, calendar: Calendar, place: str) -> Kline:
    try:
        return stored_kline(text, calendar)
    except NO_RECORD as error:
        raise Unavailable(f"{place} is no kline record.") from error


def trade_of(entry: StreamEntry) -> Trade:
    """Of an entry of `trades:`. Raises `Unavailable` for one that is no trade."""
    try:
        return stored_trade(entry.fields.get("data", ""))
    except NO_RECORD as error:
        raise Unavailable(f"Entry {entry.id} of trades:{entry.symbol} is no trade record.") from error
