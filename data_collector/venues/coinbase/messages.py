"""What Coinbase Exchange's feed sends.

https://docs.cdp.coinbase.com/exchange/websocket-feed/channels

Unknown fields are ignored. Prices and sizes are texts, and stay so.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Raw, Struct, field


class TradeBody(Struct, gc=False):
    """{"trade_id":74,"side":"sell","size":"0.01","price":"10.0","time":"2014-11-07T22:19:28.578544Z"}, as by REST"""

    trade_id: int
    side: Literal["buy", "sell"]  # the maker's
    price: str
    size: str
    time: str


class Match(TradeBody, gc=False, kw_only=True, tag_field="type", tag="match"):
    """{"type":"match","trade_id":7,"side":"sell","size":"985","price":"0.01305","product_id":"A-BTC","time":"…Z",…}"""

    product_id: str


class LastMatch(Match, gc=False, tag="last_match"):
    """The newest trade before we subscribed."""


class TickerMessage(Struct, gc=False, tag_field="type", tag="ticker"):
    """{"type":"ticker","product_id":"BAND-GBP","price":"14.7775","open_24h":"14.6647",…}: on every match, or a few"""

    symbol: str = field(name="product_id")
    last_price: str = field(name="price")
    open_price: str = field(name="open_24h")
    high_price: str = field(name="high_24h")
    low_price: str = field(name="low_24h")
    volume: str = field(name="volume_24h")
    bid_price: str = field(name="best_bid")
    ask_price: str = field(name="best_ask")
    time: str
    bid_qty: str | None = field(name="best_bid_size", default=None)  # not in recordings of 2021
    ask_qty: str | None = field(name="best_ask_size", default=None)
    last_qty: str | None = field(name="last_size", default=None)
    last_id: int | None = field(name="trade_id", default=None)


class Heartbeat(Struct, gc=False, tag_field="type", tag="heartbeat"):
    """{"type":"heartbeat","sequence":90,"last_trade_id":20,"product_id":"BTC-USD","time":"…Z"}, once a second"""

    product_id: str
    last_trade_id: int  # 0 where it does not know


class Subscribed(Struct):
    """{"name":"matches","product_ids":["BTC-USD"]}"""

    name: str
    product_ids: list[str] = []


class Outline(Struct):
    """{"type":"subscriptions","channels":[…]}, {"type":"error","message":"…","reason":"…"}, and any other"""

    type: str | None = None
    channels: Raw = Raw(b"[]")
    message: str = ""
    reason: str = ""
    product_id: str | None = None
