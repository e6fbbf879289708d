"""What the live store keeps of a series, as records: one side of an audit."""

from __future__ import annotations

from collections.abc import Sequence

from data_collector.history.ports import LiveRows
from data_collector.model.calendar import Calendar
from data_collector.model.keys import StoreKeys
from data_collector.model.records import Kline, Trade
from data_collector.model.wire import open_time_text
from data_collector.sinks.redis.connection import StoreConnection
from data_collector.sinks.redis.entries import kline_of, pages_of, texts_told, trade_of
from data_collector.sinks.redis.stored_records import epoch_or_first, kline_or_none

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
        doubled = foreign = 0
        async for entries in pages_of(self._connection, self._keys.key("stream", symbol), symbol, PAGE_ENTRIES):
            read = [kline_of(entry, self._calendar) for entry in entries]
            ours = [kline for kline in read if kline is not None]
            foreign += len(read) - len(ours)
            page = [kline for kline in ours if kline.is_closed and kline.interval == interval]
            for kline in await self._revised(symbol, page):
                doubled += kline.open_ms in kept
                kept[kline.open_ms] = kline
        return LiveRows(klines=kept, doubled=doubled, foreign=foreign)

    async def kept_trades(self, symbol: str) -> LiveRows:
        """All of `trades:` that is of the newest epoch."""
        kept: dict[int, Trade] = {}
        doubled = newest = foreign = 0
        async for entries in pages_of(self._connection, self._keys.key("trades", symbol), symbol, PAGE_ENTRIES):
            for entry in entries:
                trade, epoch = trade_of(entry), epoch_or_first(entry.fields)
                if trade is None:
                    foreign += 1
                    continue
                if epoch > newest:
                    doubled, newest = 0, epoch
                    kept.clear()
                doubled += trade.trade_id in kept
                kept[trade.trade_id] = trade
        return LiveRows(trades=kept, doubled=doubled, epoch=newest, foreign=foreign)

    async def _revised(self, symbol: str, klines: Sequence[Kline]) -> list[Kline]:
        """Each, or what its key says, if that is closed too and not expired."""
        if not klines:
            return []
        keys = [self._keys.kline(symbol, each.interval, open_time_text(each.open_ms)) for each in klines]
        (reply,) = await self._connection.execute([("MGET", *keys)])
        texts = texts_told(reply, f"klines of {symbol}", len(keys))
        newest: list[Kline] = []
        for kline, text in zip(klines, texts, strict=True):
            revised = None if text is None else kline_or_none(text, self._calendar)
            newest.append(kline if revised is None or not revised.is_closed else revised)
        return newest
