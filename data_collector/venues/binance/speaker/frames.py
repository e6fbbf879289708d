"""The frames that tell records: what the codec undoes. Pure."""

from __future__ import annotations

from typing import assert_never

import msgspec

from data_collector.model.channels import key_of
from data_collector.model.records import AggregateTrade, Kline, MiniTicker, Quote, Record, Ticker, Trade
from data_collector.venues.binance.codec import BinanceCodec
from data_collector.venues.binance.messages import (
    TIMES,
    AggregateTradeMessage,
    BookTickerMessage,
    MiniTickerMessage,
    TickerMessage,
)

CODEC = BinanceCodec()
"""For the names of streams."""


def speak(record: Record) -> bytes:
    """The frame of a record on a connection of ours, in the unit that its time is known in."""
    return encode(record, microseconds=isinstance(record, Trade) and record.sub_ms_us is not None)


def encode(record: Record, *, combined: bool = True, microseconds: bool = False) -> bytes:
    """The frame of a record; a combined one names the stream that it belongs to."""
    payload = payload_of(record, 1000 if microseconds else 1)
    if not combined:
        return msgspec.json.encode(payload)
    return msgspec.json.encode({"stream": CODEC.stream_name(key_of(record)), "data": payload})


def wrapped(stream: str, payload: bytes) -> bytes:
    """The payload as a combined connection gets it."""
    return b'{"stream":"' + stream.encode() + b'","data":' + payload + b"}"


def payload_of(record: Record, unit: int) -> dict[str, object]:
    """The payload of a frame; `unit` is how many of the connection's time units make a millisecond."""
    match record:
        case Trade():
            return _trade_payload(record, unit)
        case Kline():
            return _kline_payload(record, unit)
        case Ticker():
            return _renamed(TickerMessage, record, unit)
        case AggregateTrade():
            return _renamed(AggregateTradeMessage, record, unit) | {"M": True}
        case MiniTicker():
            return _renamed(MiniTickerMessage, record, unit)
        case Quote():
            return _renamed(BookTickerMessage, record, unit)
        case _:
            assert_never(record)


def _trade_payload(trade: Trade, unit: int) -> dict[str, object]:
    payload: dict[str, object] = {
        "e": "trade", "E": trade.event_ms * unit, "s": trade.symbol, "t": trade.trade_id, "p": trade.price,
        "q": trade.quantity,
    }  # fmt: skip
    if trade.buyer_order_id is not None:
        payload["b"] = trade.buyer_order_id
    if trade.seller_order_id is not None:
        payload["a"] = trade.seller_order_id
    time = trade.time_ms if unit == 1 else trade.time_ms * 1000 + (trade.sub_ms_us or 0)
    return payload | {"T": time, "m": trade.is_buyer_maker, "M": True}


def _kline_payload(kline: Kline, unit: int) -> dict[str, object]:
    # In microseconds a kline ends at open + interval - 1 µs.
    close = kline.close_ms if unit == 1 else kline.close_ms * 1000 + 999
    return {
        "e": "kline", "E": kline.event_ms * unit, "s": kline.symbol,
        "k": {
            "t": kline.open_ms * unit, "T": close, "s": kline.symbol, "i": kline.interval, "f": kline.first_trade_id,
            "L": kline.last_trade_id, "o": kline.open, "c": kline.close, "h": kline.high, "l": kline.low,
            "v": kline.volume, "n": kline.trades, "x": kline.is_closed, "q": kline.quote_volume,
            "V": kline.taker_buy_base_volume, "Q": kline.taker_buy_quote_volume, "B": "0",
        },
    }  # fmt: skip


def _renamed(message: type[msgspec.Struct], record: Record, unit: int) -> dict[str, object]:
    fields = {name: getattr(record, name) for name in message.__struct_fields__}
    fields |= {name: fields[name] * unit for name in TIMES & fields.keys()}
    payload: dict[str, object] = msgspec.to_builtins(message(**fields))
    return payload
