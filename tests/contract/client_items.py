"""What tests of the client read, and how it is compared."""

from __future__ import annotations

from collections.abc import Iterable

from data_collector.client import Epoch, Gap, Item, Kline, Revision, Trade
from data_collector.client.records import ms_of
from data_collector.model.records import Trade as StoredTrade
from tests.market import MINUTE_MS, NOON_MS, SYMBOL, trade

TRADES, MINUTES = f"{SYMBOL}:trades", f"{SYMBOL}:1m"


def trades_from(first: int, last: int, **changes: object) -> list[StoredTrade]:
    """Both ends included, a millisecond apart."""
    return [trade(number, time_ms=NOON_MS + number, **changes) for number in range(first, last + 1)]


def told(items: Iterable[Item]) -> list[object]:
    """Ids of trades, minutes of candles, ranges and reasons of gaps, epochs."""
    return [_told(item) for item in items]


def _told(item: Item) -> object:
    match item:
        case Trade():
            return item.trade_id
        case Kline():
            return item.interval, minute_of(item)
        case Gap():
            return item.first, item.last, item.reason
        case Epoch():
            return f"epoch {item.epoch}"
        case Revision():
            return item.why


def minute_of(kline: Kline) -> int:
    """After noon."""
    return (ms_of(kline.timestamp) - NOON_MS) // MINUTE_MS
