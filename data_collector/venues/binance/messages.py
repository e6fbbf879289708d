"""What Binance's streams send, as it stands on the wire.

https://github.com/binance/binance-spot-api-docs/blob/master/web-socket-streams.md

Unknown fields are ignored (the exchange adds some at any time). Number texts stay texts. Times are in the unit
of the connection, milliseconds or microseconds. Fields of messages that are rare have the names that they have in the
record; those of trades and klines keep the exchange's letters, and their records are made field by field.
"""

from __future__ import annotations

from msgspec import Raw, Struct, field

TIMES = frozenset({"event_ms", "time_ms", "open_time", "close_time"})
"""Fields that are in the unit of the connection."""


class TradeMessage(Struct, frozen=True, gc=False, tag_field="e", tag="trade"):
    """`<symbol>@trade`

    {"e":"trade","E":1672515782136,"s":"BNBBTC","t":12345,"p":"0.001","q":"100","T":1672515782136,"m":true,"M":true}

    The order ids `b` and `a` were sent until 2024-06-18; recordings and Binance.US still have them.
    """

    E: int
    s: str
    t: int
    p: str
    q: str
    T: int
    m: bool
    b: int | None = None
    a: int | None = None


class KlineBody(Struct, frozen=True, gc=False):
    """The `k` of a kline message: o, c, h, l are open, close, high, low; V and Q the taker's volumes."""

    t: int
    T: int
    i: str
    f: int
    L: int
    o: str
    c: str
    h: str
    l: str  # noqa: E741 - the exchange's letter
    v: str
    n: int
    x: bool
    q: str
    V: str
    Q: str


class KlineMessage(Struct, frozen=True, gc=False, tag_field="e", tag="kline"):
    """`<symbol>@kline_<interval>`, every 2 s (1 s for `1s`) when the kline changed

    {"e":"kline","E":1672515782136,"s":"BNBBTC","k":{"t":1672515780000,"T":1672515839999,"s":"BNBBTC","i":"1m",
     "f":100,"L":200,"o":"0.0010","c":"0.0020","h":"0.0025","l":"0.0015","v":"1000","n":100,"x":false,
     "q":"1.0000","V":"500","Q":"0.500","B":"123456"}}
    """

    E: int
    s: str
    k: KlineBody


class TickerMessage(Struct, frozen=True, gc=False, tag_field="e", tag="24hrTicker"):
    """`<symbol>@ticker`, every second, rolling 24 hours

    {"e":"24hrTicker","E":1672515782136,"s":"BNBBTC","p":"0.0015","P":"250.00","w":"0.0018","x":"0.0009",
     "c":"0.0025","Q":"10","b":"0.0024","B":"10","a":"0.0026","A":"100","o":"0.0010","h":"0.0025","l":"0.0010",
     "v":"10000","q":"18","O":0,"C":86400000,"F":0,"L":18150,"n":18151}
    """

    event_ms: int = field(name="E")
    symbol: str = field(name="s")
    price_change: str = field(name="p")
    price_change_percent: str = field(name="P")
    weighted_avg_price: str = field(name="w")
    prev_close_price: str = field(name="x")
    last_price: str = field(name="c")
    last_qty: str = field(name="Q")
    bid_price: str = field(name="b")
    bid_qty: str = field(name="B")
    ask_price: str = field(name="a")
    ask_qty: str = field(name="A")
    open_price: str = field(name="o")
    high_price: str = field(name="h")
    low_price: str = field(name="l")
    volume: str = field(name="v")
    quote_volume: str = field(name="q")
    open_time: int = field(name="O")
    close_time: int = field(name="C")
    first_id: int = field(name="F")
    last_id: int = field(name="L")
    count: int = field(name="n")


class MiniTickerMessage(Struct, frozen=True, gc=False, tag_field="e", tag="24hrMiniTicker"):
    """`<symbol>@miniTicker`, and in an array `!miniTicker@arr`

    {"e":"24hrMiniTicker","E":1672515782136,"s":"BNBBTC","c":"0.0025","o":"0.0010","h":"0.0025","l":"0.0010",
     "v":"10000","q":"18"}
    """

    event_ms: int = field(name="E")
    symbol: str = field(name="s")
    last_price: str = field(name="c")
    open_price: str = field(name="o")
    high_price: str = field(name="h")
    low_price: str = field(name="l")
    volume: str = field(name="v")
    quote_volume: str = field(name="q")


class AggregateTradeMessage(Struct, frozen=True, gc=False, tag_field="e", tag="aggTrade"):
    """`<symbol>@aggTrade`

    {"e":"aggTrade","E":1672515782136,"s":"BNBBTC","a":12345,"p":"0.001","q":"100","f":100,"l":105,
     "T":1672515782136,"m":true,"M":true}
    """

    event_ms: int = field(name="E")
    symbol: str = field(name="s")
    aggregate_id: int = field(name="a")
    price: str = field(name="p")
    quantity: str = field(name="q")
    first_trade_id: int = field(name="f")
    last_trade_id: int = field(name="l")
    time_ms: int = field(name="T")
    is_buyer_maker: bool = field(name="m")


class ServerShutdownMessage(Struct, frozen=True, gc=False, tag_field="e", tag="serverShutdown"):
    """Sent without subscription before the server goes down; combined it comes under the stream `!serverShutdown`

    {"e":"serverShutdown","E":1770123456789}
    """

    E: int


class BookTickerMessage(Struct, frozen=True, gc=False):
    """`<symbol>@bookTicker`: neither kind nor time, told by its keys alone

    {"u":400900217,"s":"BNBUSDT","b":"25.35190000","B":"31.21000000","a":"25.36520000","A":"40.66000000"}
    """

    update_id: int = field(name="u")
    symbol: str = field(name="s")
    bid: str = field(name="b")
    bid_quantity: str = field(name="B")
    ask: str = field(name="a")
    ask_quantity: str = field(name="A")


Message = (
    TradeMessage | KlineMessage | TickerMessage | MiniTickerMessage | AggregateTradeMessage | ServerShutdownMessage
)


class Combined(Struct, frozen=True, gc=False):
    """A frame of a `/stream` connection: {"stream":"btcusdt@trade","data":{…}}"""

    data: Message


class ErrorBody(Struct, frozen=True):
    """{"code":-1121,"msg":"Invalid symbol."}: what REST answers, and what lies in replies on the wire.

    The documents show its two fields flat in the reply.
    """

    code: int = 0
    msg: str = ""


class Outline(Struct, frozen=True):
    """Just enough of any frame to tell what it is; every field may be missing (a Raw of no bytes)."""

    stream: str | None = None
    data: Raw = Raw()
    e: str | None = None
    u: Raw = Raw()
    s: str | None = None
    result: Raw = Raw()
    error: ErrorBody | None = None
    code: int | None = None
    msg: str | None = None
    id: int | str | None = None
