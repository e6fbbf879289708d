"""What Kraken's WebSocket v2 sends: https://docs.kraken.com/api/docs/websocket-v2/trade, and the pages beside it.

Unknown fields are ignored. Prices and quantities are JSON numbers, and stay the bytes that came: a float loses digits.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Raw, Struct, field


class TradeBody(Struct, gc=False):
    """{"symbol":"A/USD","side":"sell","price":0.5117,"qty":40.0,"trade_id":7,"timestamp":"2023-09-25T07:49:37.708706Z"}"""

    symbol: str
    side: Literal["buy", "sell"]  # the taker's
    price: Raw
    qty: Raw
    trade_id: int
    timestamp: str


class TickerBody(Struct, gc=False):
    """{"symbol":"A/USD","bid":83744.2,"bid_qty":0.56,…,"change_pct":-0.51,"timestamp":"2026-09-25T17:48:26.844359Z"}"""

    symbol: str
    timestamp: str
    bid_price: Raw = field(name="bid")
    bid_qty: Raw
    ask_price: Raw = field(name="ask")
    ask_qty: Raw
    last_price: Raw = field(name="last")
    volume: Raw
    weighted_avg_price: Raw = field(name="vwap")
    low_price: Raw = field(name="low")
    high_price: Raw = field(name="high")
    price_change: Raw = field(name="change")
    price_change_percent: Raw = field(name="change_pct")
    count: int | None = field(name="trades", default=None)  # seen, and not documented


class Level(Struct, gc=False):
    """{"price":0.5657,"qty":1098.3947558}: all that is offered at this price; nothing any more when it is 0"""

    price: Raw
    qty: Raw


class BookBody(Struct, gc=False):
    """{"symbol":"A/USD","bids":[…],"asks":[],"checksum":2114181697,"timestamp":"2023-10-06T17:35:55.440295Z"}"""

    symbol: str
    bids: list[Level]
    asks: list[Level]
    checksum: int
    timestamp: str | None = None  # snapshots of 2023 have none


class Trades(Struct, gc=False, tag_field="channel", tag="trade"):
    """{"channel":"trade","type":"update","data":[…]}; the snapshot has the newest 50"""

    data: list[TradeBody]


class Tickers(Struct, gc=False, tag_field="channel", tag="ticker"):
    """{"channel":"ticker","type":"update","data":[…]}: rolling 24 hours, on every trade"""

    data: tuple[TickerBody]


class BookMessage(Struct, gc=False, tag_field="channel", tag="book"):
    """{"channel":"book","type":"update","data":[…]}; the snapshot has every level"""

    type: Literal["snapshot", "update"]
    data: tuple[BookBody]


class About(Struct):
    """What tells whom items of `data` and answers are about; a status has {"system":"online","version":"2.0.10"}"""

    channel: str | None = None
    symbol: str | None = None
    system: str | None = None


class Outline(Struct):
    """{"method":"subscribe","req_id":7,"result":{"channel":"trade","symbol":"A/USD"},"success":true}, and any other"""

    channel: str | None = None
    data: Raw = Raw()
    method: str | None = None
    success: bool | None = None
    result: About = field(default_factory=About)
    error: str | None = None
    symbol: str | None = None
    req_id: int | str | None = None
