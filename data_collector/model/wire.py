"""The JSON that users read, made here and nowhere else; and the same records as plain objects for subclasses.

Numbers are written with the exchange's own digits. The gate has checked that they are JSON numbers, so they are
put in as they are. Text that comes from outside (symbols, intervals) is escaped once, in `json_text`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal

from data_collector.model.gaps import Gap
from data_collector.model.keys import Key
from data_collector.model.records import Kline, Quote, Ticker, Trade

NOT_STORED = "is not collected, and nothing of it is stored"
"""What the HTTP side says of a symbol with status 404, which others answer for other reasons."""

SECONDS_KEPT = 4096
"""A date text costs about 1 µs, and neighbours share the second; enough for klines of many open times as well."""

_MS_TEXTS = tuple(f".{ms:03d}" for ms in range(1000))

_second_texts: dict[int, str] = {}


def json_text(text: str) -> str:
    """`text` as a JSON string of ASCII characters only, quotes included."""
    return json.dumps(text, ensure_ascii=True)


def second_text(second: int) -> str:
    """`2024-01-01T12:00:00` of a Unix second, without offset."""
    text = _second_texts.get(second)
    if text is None:
        if len(_second_texts) >= SECONDS_KEPT:
            _second_texts.clear()
        text = _second_texts[second] = datetime.fromtimestamp(second, UTC).isoformat()[:19]
    return text


def trade_time_text(time_ms: int, sub_ms_us: int | None = None) -> str:
    """`2024-01-01T12:00:00.123+00:00`: three fractional digits, six where the source has microseconds."""
    second, ms = divmod(time_ms, 1000)
    if sub_ms_us is None:
        return f"{second_text(second)}{_MS_TEXTS[ms]}+00:00"
    return f"{second_text(second)}{_MS_TEXTS[ms]}{sub_ms_us:03d}+00:00"


class _NewestTime:
    """The time text of the trade before: two of three neighbours share the millisecond."""

    __slots__ = ("_text", "_time_ms")

    def __init__(self) -> None:
        self._time_ms = -1
        self._text = ""

    def text(self, trade: Trade) -> str:
        time_ms = trade.time_ms
        if time_ms == self._time_ms and trade.sub_ms_us is None:
            return self._text
        if trade.sub_ms_us is not None:
            return trade_time_text(time_ms, trade.sub_ms_us)
        self._time_ms, self._text = time_ms, trade_time_text(time_ms)
        return self._text


_newest = _NewestTime()


def open_time_text(open_ms: int) -> str:
    """`2024-01-01T12:00:00+00:00`: klines open on whole seconds."""
    return f"{second_text(open_ms // 1000)}+00:00"


def trade_json(trade: Trade, symbol_json: str) -> str:
    """The contract's trade record; `symbol_json` is `json_text(trade.symbol)`, made once by the caller."""
    buyer, seller = trade.buyer_order_id, trade.seller_order_id
    if buyer is None and seller is None:
        orders = _NO_ORDERS
    else:
        orders = f'"buyer_order_id":{_number(buyer)},"seller_order_id":{_number(seller)},"is_buyer_maker":'
    maker = trade.is_buyer_maker
    return (
        f'{{"symbol":{symbol_json},"timestamp":"{_newest.text(trade)}","trade_id":{trade.trade_id},"price":{trade.price},'
        f'"quantity":{trade.quantity},{orders}{"true}" if maker else "false}" if maker is not None else "null}"}'
    )


_NO_ORDERS = '"buyer_order_id":null,"seller_order_id":null,"is_buyer_maker":'


def _number(number: int | None) -> str:
    return "null" if number is None else str(number)


def kline_json(kline: Kline, symbol_json: str) -> str:
    """The contract's kline record; its timestamp is the open time."""
    trades, quote = kline.trades, kline.quote_volume
    taker_base, taker_quote = kline.taker_buy_base_volume, kline.taker_buy_quote_volume
    return (
        f'{{"symbol":{symbol_json},"timestamp":"{open_time_text(kline.open_ms)}","interval":"{kline.interval}",'
        f'"open":{kline.open},"high":{kline.high},"low":{kline.low},"close":{kline.close},'
        f'"volume":{kline.volume},"trades":{"null" if trades is None else trades},'
        f'"is_closed":{"true" if kline.is_closed else "false"},'
        f'"quote_volume":{"null" if quote is None else quote},'
        f'"taker_buy_base_volume":{"null" if taker_base is None else taker_base},'
        f'"taker_buy_quote_volume":{"null" if taker_quote is None else taker_quote}}}'
    )


def number_told(key: Key, number: int) -> int | str:
    """A trade id as it is, an open time as the record has it: how a gap names its ends."""
    return number if key.interval is None else open_time_text(number)


def gap_json(key: Key, gap: Gap, at: str) -> str:
    """The `data` of a `gaps:` entry, recorded `at` a time."""
    told = {
        "symbol": key.symbol,
        "channel": key.channel,
        "interval": key.interval,
        "first": number_told(key, gap.first),
        "last": number_told(key, gap.last),
        "count": gap.count,
        "reason": gap.reason,
        "rules": gap.rules,
        "recorded_at": at,
    }
    return json.dumps(told, separators=(",", ":"))


KLINE_NAMES = (
    "symbol", "timestamp", "interval", "open", "high", "low", "close", "volume", "trades", "is_closed",
    "quote_volume", "taker_buy_base_volume", "taker_buy_quote_volume",
)  # fmt: skip
TRADE_NAMES = (
    "symbol", "timestamp", "trade_id", "price", "quantity", "buyer_order_id", "seller_order_id", "is_buyer_maker",
)  # fmt: skip
"""Those of the contract's records; but for the timestamp, a field of ours is called the same."""

TICKER_FIELDS = tuple(name for name in Ticker.__struct_fields__ if name not in {"event_ms", "received_ns"})
"""What a ticker writes into `latest:{symbol}`, beside `price` and `timestamp`."""


NONE_AT_ZERO = (
    "weighted_avg_price", "prev_close_price", "last_price", "last_qty", "bid_price", "ask_price", "open_price",
    "high_price", "low_price",
)  # fmt: skip
"""Of a ticker: zero stands for none in them, in a window without a trade or on an empty side of the book."""


def ticker_values(ticker: Ticker) -> dict[str, str | int | None]:
    """What a ticker says, by `TICKER_FIELDS`; None for what there is not."""
    values: dict[str, str | int | None] = {name: getattr(ticker, name) for name in TICKER_FIELDS}
    values |= {name: _price_or_none(getattr(ticker, name)) for name in NONE_AT_ZERO}
    if values["last_price"] is None or (ticker.open_price is not None and values["open_price"] is None):
        values |= {"price_change": None, "price_change_percent": None}
    return values


def ticker_fields(ticker: Ticker) -> list[str]:
    """Names and values in turn, as HSET takes them; an empty text for what there is not."""
    values = ticker_values(ticker).items()
    return [text for name, value in values for text in (name, "" if value is None else str(value))]


def newest_price(ticker: Ticker) -> tuple[str | None, int]:
    """The newest price that a ticker knows, and since when at the latest, in ms. None for what was never traded.

    In a window without a trade it is that of the last trade before it.
    """
    last = _price_or_none(ticker.last_price)
    if ticker.last_id is None or ticker.last_id >= 0 or ticker.open_time is None:
        return last, ticker.event_ms
    return last or _price_or_none(ticker.prev_close_price), ticker.open_time


def _price_or_none(text: str | None) -> str | None:
    return text if text is not None and float(text) else None


def quote_fields(quote: Quote) -> dict[str, str]:
    """What a quote writes into `quote:{symbol}`; an empty text for the price of an empty side of the book.

    The exchange tells no time: it is when the quote reached us.
    """
    return {
        "update_id": str(quote.update_id),
        "bid": _price_or_none(quote.bid) or "",
        "bid_quantity": quote.bid_quantity,
        "ask": _price_or_none(quote.ask) or "",
        "ask_quantity": quote.ask_quantity,
        "timestamp": trade_time_text(quote.received_ns // 1_000_000),
    }


def quote_json(quote: Quote) -> str:
    """The `data` of a `quotes:` entry."""
    fields = quote_fields(quote)
    timestamp = fields.pop("timestamp")
    numbers = ",".join(f'"{name}":{digits or "null"}' for name, digits in fields.items())
    return f'{{"symbol":{json_text(quote.symbol)},"timestamp":"{timestamp}",{numbers}}}'


def trade_object(trade: Trade) -> dict[str, object]:
    """The trade record's keys with numbers as `Decimal`, for subclasses."""
    return _object(trade, TRADE_NAMES, trade_time_text(trade.time_ms, trade.sub_ms_us))


def kline_object(kline: Kline) -> dict[str, object]:
    """The kline record's keys with numbers as `Decimal`, for subclasses."""
    return _object(kline, KLINE_NAMES, open_time_text(kline.open_ms))


def ticker_object(ticker: Ticker) -> dict[str, object]:
    """What `latest:{symbol}` shows of a ticker, numbers as `Decimal`, for subclasses; None for what there is not."""
    price, _ = newest_price(ticker)
    numbers = {"price": price} | ticker_values(ticker)
    found: dict[str, object] = {"symbol": numbers.pop("symbol")}
    found |= {name: Decimal(value) if isinstance(value, str) else value for name, value in numbers.items()}
    return found | {"timestamp": trade_time_text(ticker.event_ms)}


def _object(record: Kline | Trade, names: Iterable[str], time_text: str) -> dict[str, object]:
    """Fields by name; all texts but the symbol and the interval are numbers."""
    found: dict[str, object] = {}
    for name in names:
        value = time_text if name == "timestamp" else getattr(record, name)
        found[name] = Decimal(value) if isinstance(value, str) and name not in _TEXTS else value
    return found


_TEXTS = frozenset({"symbol", "timestamp", "interval"})
