"""What Kraken's WebSocket v2 sends, as it stands on the wire.

https://docs.kraken.com/api/docs/websocket-v2/trade, and the pages beside it. Unknown fields are ignored. Prices and
quantities are JSON numbers, and stay the bytes that came (`Raw`): a float loses their digits.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Raw, Struct, field


class TradeBody(Struct, frozen=True, gc=False):
    """{"symbol":"MATIC/USD","side":"sell","price":0.5117,"qty":40.0,"ord_type":"market","trade_id":4665906,
    "timestamp":"2023-09-25T07:49:37.708706Z"}; `side` is the taker's
    """

    symbol: str
    side: Literal["buy", "sell"]
    price: Raw
    qty: Raw
    trade_id: int
    timestamp: str


class TickerBody(Struct, frozen=True, gc=False):
    """{"symbol":"BTC/USD","bid":83744.2,"bid_qty":0.56251979,"ask":83744.3,"ask_qty":0.00044780,"last":83744.3,
    "volume":3156.84782110,"vwap":84174.6,"low":83163.6,"high":85247.4,"change":-429.3,"change_pct":-0.51,
    "trades":135262,"timestamp":"2026-09-25T17:48:26.844359Z"}; `trades` is seen, and not documented
    """

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
    count: int | None = field(name="trades", default=None)


class Level(Struct, frozen=True, gc=False):
    """{"price":0.5657,"qty":1098.3947558}: all that is offered at this price; nothing any more when it is 0"""

    price: Raw
    qty: Raw


class BookBody(Struct, frozen=True, gc=False):
    """{"symbol":"MATIC/USD","bids":[…],"asks":[],"checksum":2114181697,"timestamp":"2023-10-06T17:35:55.440295Z"}

    Snapshots of 2023 have no timestamp.
    """

    symbol: str
    bids: list[Level]
    asks: list[Level]
    checksum: int
    timestamp: str | None = None


class Trades(Struct, frozen=True, gc=False, tag_field="channel", tag="trade"):
    """{"channel":"trade","type":"update","data":[…]}; the snapshot has the newest 50"""

    data: list[TradeBody]


class Tickers(Struct, frozen=True, gc=False, tag_field="channel", tag="ticker"):
    """{"channel":"ticker","type":"update","data":[…]}: rolling 24 hours, on every trade"""

    data: tuple[TickerBody]


class Books(Struct, frozen=True, gc=False, tag_field="channel", tag="book"):
    """{"channel":"book","type":"update","data":[…]}; the snapshot has every level"""

    type: Literal["snapshot", "update"]
    data: tuple[BookBody]


class Heartbeat(Struct, frozen=True, gc=False, tag_field="channel", tag="heartbeat"):
    """{"channel":"heartbeat"}, every second in which nothing else is sent"""


class Item(Struct, frozen=True):
    """Of `data`, what tells whom it is about; and {"system":"online","version":"2.0.10"} of a status."""

    symbol: str | None = None
    system: str | None = None


class Subscription(Struct, frozen=True):
    """What an answer agrees to: {"channel":"trade","snapshot":true,"symbol":"BTC/USD"}"""

    channel: str = ""
    symbol: str | None = None


class Outline(Struct, frozen=True):
    """Just enough of any other frame to tell what it is; every field may be missing (a Raw of no bytes).

    {"method":"subscribe","req_id":7,"result":{"channel":"trade","snapshot":true,"symbol":"BTC/USD"},"success":true}
    {"method":"subscribe","req_id":7,"error":"Currency pair not supported XBT/USD","success":false,"symbol":"XBT/USD"}
    {"method":"pong","req_id":101}
    """

    channel: str | None = None
    data: Raw = Raw()
    method: str | None = None
    success: bool | None = None
    result: Subscription = Subscription()
    error: str | None = None
    symbol: str | None = None
    req_id: int | str | None = None
