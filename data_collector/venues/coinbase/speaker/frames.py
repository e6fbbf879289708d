"""The frames that tell records: one record each, with texts as the exchange writes them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from data_collector.model.records import Record, Ticker, Trade
from data_collector.simulator.listing import Listing
from data_collector.simulator.market.noise import mixed

Row = dict[str, object]


def product_of(listing: Listing) -> str:
    """`BTC-USD`"""
    return f"{listing.base}-{listing.quote}"


def products_of(listings: Mapping[str, Listing]) -> dict[str, Listing]:
    """By their names here."""
    return {product_of(listing): listing for listing in listings.values()}


def market_symbol(name: str) -> str:
    """The market's name for a symbol."""
    return name.replace("-", "")


def time_text(time_us: int) -> str:
    """`2021-04-17T16:43:37.089723Z`"""
    second, part_us = divmod(time_us, 1_000_000)
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}.{part_us:06d}Z"


def size_text(text: str) -> str:
    """Without the zeros after the last digit: `985`, `0.04`."""
    return text.rstrip("0").removesuffix(".") if "." in text else text


def sequence_of(trade_id: int) -> int:
    """All events of the book are numbered, of which trades are few."""
    return 31 * trade_id + mixed(trade_id) % 31


def speak(record: Record) -> bytes:
    """The frame of one record."""
    match record:
        case Trade():
            return match(record)
        case Ticker():
            return ticker(record)
        case _:
            raise ValueError(f"the exchange has no {type(record).__name__}")


def match(trade: Trade, kind: str = "match") -> bytes:
    """A trade; or `last_match`, the newest one before a subscription."""
    row = trade_row(trade)
    head: Row = {
        "type": kind, "trade_id": row.pop("trade_id"), "maker_order_id": _order_id(2 * trade.trade_id),
        "taker_order_id": _order_id(2 * trade.trade_id + 1),
    }  # fmt: skip
    time = row.pop("time")
    more: Row = {"product_id": trade.symbol, "sequence": sequence_of(trade.trade_id), "time": time}
    return msgspec.json.encode(head | row | more)


def trade_row(trade: Trade) -> Row:
    """What streams and REST tell of it; `side` is the maker's."""
    return {
        "trade_id": trade.trade_id,
        "side": "buy" if trade.is_buyer_maker else "sell",
        "size": trade.quantity,
        "price": trade.price,
        "time": time_text(trade.time_ms * 1000 + (trade.sub_ms_us or 0)),
    }


def ticker(record: Ticker, *, taker_bought: bool = True, time_us: int | None = None) -> bytes:
    """Statistics of 24 hours, and the newest trade, whose `side` is the taker's here."""
    trade_id = record.last_id or 0
    row: Row = {
        "type": "ticker", "sequence": sequence_of(trade_id), "product_id": record.symbol, "price": record.last_price,
        "open_24h": record.open_price, "volume_24h": record.volume, "low_24h": record.low_price,
        "high_24h": record.high_price, "volume_30d": record.volume, "best_bid": record.bid_price,
        "best_bid_size": record.bid_qty, "best_ask": record.ask_price, "best_ask_size": record.ask_qty,
        "side": "buy" if taker_bought else "sell",
        "time": time_text(record.event_ms * 1000 if time_us is None else time_us), "trade_id": record.last_id,
        "last_size": record.last_qty,
    }  # fmt: skip
    return msgspec.json.encode({name: value for name, value in row.items() if value is not None})


def heartbeat(product: str, last_trade_id: int, time_us: int) -> bytes:
    """A sign of life that names the newest trade, and 0 before the first."""
    trade_id = max(last_trade_id, 0)
    row = {"sequence": sequence_of(trade_id), "last_trade_id": trade_id, "product_id": product}
    return msgspec.json.encode({"type": "heartbeat", **row, "time": time_text(time_us)})


def _order_id(number: int) -> str:
    return str(UUID(int=mixed(number) << 64 | mixed(number + 1), version=4))
