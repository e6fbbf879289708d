"""The frames that tell records: JSON numbers with the digits of the engine, several records in one. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

import msgspec

from data_collector.model.calendar import LENGTHS_MS, MINUTE_MS
from data_collector.model.records import Kline, Quote, Record, Ticker, Trade
from data_collector.simulator.market.candles import MONDAY_MS
from data_collector.venues.kraken.speaker.book import Levels, checksum

MINUTES = {
    interval: LENGTHS_MS[interval] // MINUTE_MS for interval in ("1m", "5m", "15m", "30m", "1h", "4h", "1d", "1w")
}  # fmt: skip

INTERVALS = {minutes: interval for interval, minutes in MINUTES.items()}

WEEKS_FROM = {"1w": MONDAY_MS}
"""Candles are counted from the epoch, so that weeks open on Thursdays, and not on Mondays."""

TINY = Decimal("1e-6")
"""Smaller numbers are written with an exponent."""

Row = dict[str, object]


def number(text: str) -> msgspec.Raw:
    """The JSON number of a text, digit for digit."""
    if text.startswith("0.00000") and (value := Decimal(text)) and value < TINY:
        text = f"{value.normalize():e}"
    return msgspec.Raw(text.encode())


def time_text(time_us: int) -> str:
    """`2023-09-25T07:49:37.708706Z`"""
    second, part_us = divmod(time_us, 1_000_000)
    return f"{_second_text(second)}.{part_us:06d}Z"


def nanosecond_text(time_ms: int) -> str:
    """`2023-09-25T07:49:37.708706297Z`"""
    return f"{time_text(time_ms * 1000)[:-1]}000Z"


@lru_cache(maxsize=1024)
def _second_text(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def message(channel: str, kind: str, rows: Iterable[Mapping[str, object]], **more: object) -> bytes:
    """A frame of data."""
    return msgspec.json.encode({"channel": channel, "type": kind, **more, "data": list(rows)})


def speak(record: Record) -> bytes:
    """The frame of one record."""
    match record:
        case Trade():
            return message("trade", "update", [trade_row(record)])
        case Ticker():
            return message("ticker", "update", [ticker_row(record)])
        case Kline():
            return message("ohlc", "update", [kline_row(record)], timestamp=nanosecond_text(record.event_ms))
        case Quote():
            bids, asks = {record.bid: record.bid_quantity}, {record.ask: record.ask_quantity}
            row = book_row(record.symbol, bids, asks, checksum(bids, asks))
            return message("book", "snapshot", [row | {"timestamp": time_text(record.update_id)}])
        case _:
            raise ValueError(f"the exchange has no {type(record).__name__}")


def trade_row(trade: Trade) -> Row:
    """One trade."""
    return {
        "symbol": trade.symbol,
        "side": "sell" if trade.is_buyer_maker else "buy",
        "price": number(trade.price),
        "qty": number(trade.quantity),
        "ord_type": "market" if is_market_order(trade.trade_id) else "limit",
        "trade_id": trade.trade_id,
        "timestamp": time_text(trade.time_ms * 1000 + (trade.sub_ms_us or 0)),
    }


def is_market_order(trade_id: int) -> bool:
    """The kind of the taker's order, which the market does not tell."""
    return trade_id % 3 > 0


def ticker_row(ticker: Ticker) -> Row:
    """The statistics of 24 hours."""
    numbers: dict[str, str | None] = {
        "bid": ticker.bid_price, "bid_qty": ticker.bid_qty, "ask": ticker.ask_price, "ask_qty": ticker.ask_qty,
        "last": ticker.last_price, "volume": ticker.volume, "vwap": ticker.weighted_avg_price,
        "low": ticker.low_price, "high": ticker.high_price, "change": ticker.price_change,
        "change_pct": ticker.price_change_percent,
    }  # fmt: skip
    row: Row = {"symbol": ticker.symbol}
    row |= {name: number(text) for name, text in numbers.items() if text is not None}
    return row | {"trades": ticker.count, "timestamp": time_text(ticker.event_ms * 1000)}


def kline_row(kline: Kline) -> Row:
    """One candle; `timestamp` is its end, whatever the exchange's page says."""
    volume, quote_volume = Decimal(kline.volume), Decimal(kline.quote_volume or 0)
    step = Decimal(1).scaleb(-len(kline.close.partition(".")[2]))
    vwap = (quote_volume / volume).quantize(step, ROUND_HALF_UP) if volume else Decimal(0)
    return {
        "symbol": kline.symbol, "open": number(kline.open), "high": number(kline.high), "low": number(kline.low),
        "close": number(kline.close), "trades": kline.trades, "volume": number(kline.volume),
        "vwap": number(format(vwap, "f")), "interval_begin": f"{_second_text(kline.open_ms // 1000)}.000000000Z",
        "interval": MINUTES[kline.interval], "timestamp": time_text((kline.close_ms + 1) * 1000),
    }  # fmt: skip


def book_row(symbol: str, bids: Mapping[str, str], asks: Mapping[str, str], digest: int) -> Row:
    """Levels of a book."""
    return {"symbol": symbol, "bids": _levels(bids), "asks": _levels(asks), "checksum": digest}


def _levels(levels: Levels) -> Sequence[Row]:
    return [{"price": number(price), "qty": number(quantity)} for price, quantity in levels.items()]
