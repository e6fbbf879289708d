"""What Binance's streams send, as it stands on the wire.

https://github.com/binance/binance-spot-api-docs/blob/master/web-socket-streams.md

Unknown fields are ignored (the exchange adds some at any time). Number texts stay texts. Times are in the unit
of the connection, milliseconds or microseconds.
"""

from __future__ import annotations

from msgspec import Raw, Struct


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

    E: int
    s: str
    p: str
    P: str
    w: str
    x: str
    c: str
    Q: str
    b: str
    B: str
    a: str
    A: str
    o: str
    h: str
    l: str  # noqa: E741 - the exchange's letter
    v: str
    q: str
    O: int  # noqa: E741 - the exchange's letter
    C: int
    F: int
    L: int
    n: int


class MiniTickerMessage(Struct, frozen=True, gc=False, tag_field="e", tag="24hrMiniTicker"):
    """`<symbol>@miniTicker`, and in an array `!miniTicker@arr`

    {"e":"24hrMiniTicker","E":1672515782136,"s":"BNBBTC","c":"0.0025","o":"0.0010","h":"0.0025","l":"0.0010",
     "v":"10000","q":"18"}
    """

    E: int
    s: str
    c: str
    o: str
    h: str
    l: str  # noqa: E741 - the exchange's letter
    v: str
    q: str


class AggregateTradeMessage(Struct, frozen=True, gc=False, tag_field="e", tag="aggTrade"):
    """`<symbol>@aggTrade`

    {"e":"aggTrade","E":1672515782136,"s":"BNBBTC","a":12345,"p":"0.001","q":"100","f":100,"l":105,
     "T":1672515782136,"m":true,"M":true}
    """

    E: int
    s: str
    a: int
    p: str
    q: str
    f: int
    l: int  # noqa: E741 - the exchange's letter
    T: int
    m: bool


class ServerShutdownMessage(Struct, frozen=True, gc=False, tag_field="e", tag="serverShutdown"):
    """Sent without subscription before the server goes down; combined it comes under the stream `!serverShutdown`

    {"e":"serverShutdown","E":1770123456789}
    """

    E: int


class BookTickerMessage(Struct, frozen=True, gc=False):
    """`<symbol>@bookTicker`: neither kind nor time, told by its keys alone

    {"u":400900217,"s":"BNBUSDT","b":"25.35190000","B":"31.21000000","a":"25.36520000","A":"40.66000000"}
    """

    u: int
    s: str
    b: str
    B: str
    a: str
    A: str


Message = (
    TradeMessage | KlineMessage | TickerMessage | MiniTickerMessage | AggregateTradeMessage | ServerShutdownMessage
)


class Combined(Struct, frozen=True, gc=False):
    """A frame of a `/stream` connection: {"stream":"btcusdt@trade","data":{…}}"""

    data: Message


class ErrorBody(Struct, frozen=True):
    """The nested error, as seen on the wire; the documents show its two fields flat in the reply."""

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
