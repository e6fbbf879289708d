"""Between Kraken's frames (WebSocket v2) and our records."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from operator import attrgetter

import msgspec

from data_collector.decoding.book import Book, Offer
from data_collector.decoding.faults import told_as_bad_frames
from data_collector.decoding.texts import microseconds, plain_digits
from data_collector.model.errors import BadFrame
from data_collector.model.keys import Key
from data_collector.model.records import Quote, Record, Ticker, Trade
from data_collector.model.venue import Acknowledged, Event, Pulse, Refused, Request, UnknownEvent
from data_collector.venues.kraken.messages import (
    Books,
    Heartbeat,
    Item,
    Level,
    Outline,
    TickerBody,
    Tickers,
    TradeBody,
    Trades,
)

SYMBOLS_PER_REQUEST = 100
"""No limit is documented; each is answered by a message of its own."""

KIND_CHARACTERS_MAX = 64
"""A kind is repeated in logs."""

DEPTH = 10
"""Levels of a book: the checksum is of so many."""

_PARAMETERS: dict[str, dict[str, object]] = {
    "trade": {"snapshot": True}, "ticker": {"event_trigger": "trades"}, "book": {"depth": DEPTH},
}  # fmt: skip


class KrakenCodec:
    """The `Codec` of Kraken spot; of one connection where quotes are read, which books tell."""

    def __init__(self) -> None:
        self._message = msgspec.json.Decoder(Trades | Tickers | Books | Heartbeat).decode
        self._outline = msgspec.json.Decoder(Outline).decode
        self._items = msgspec.json.Decoder(list[Item]).decode
        self._books: dict[str, Book] = {}

    def session(self) -> KrakenCodec:
        """Each connection begins its books with a snapshot."""
        return KrakenCodec()

    def stream_name(self, key: Key) -> str:
        """Channel and symbol. Klines are built: their name is never asked for."""
        name = {"quote": "book", "kline": f"ohlc-{key.interval}"}.get(key.channel, key.channel)
        return f"{name}:{key.symbol}"

    def requests(self, streams: Sequence[str], number: int, *, adds: bool) -> list[Request]:
        """{"method":"subscribe","params":{"channel":"trade","symbol":["BTC/USD"],"snapshot":true},"req_id":7}"""
        requests: list[Request] = []
        for channel in dict.fromkeys(stream.partition(":")[0] for stream in streams):
            wanted = [stream for stream in streams if stream.startswith(f"{channel}:")]
            for start in range(0, len(wanted), SYMBOLS_PER_REQUEST):
                part = tuple(wanted[start : start + SYMBOLS_PER_REQUEST])
                symbols = tuple(stream.partition(":")[2] for stream in part)
                parameters = {"channel": channel, "symbol": symbols, **_PARAMETERS.get(channel, {})}
                if not adds:
                    parameters.pop("snapshot", None)
                method = "subscribe" if adds else "unsubscribe"
                at = number + len(requests)
                frame = msgspec.json.encode({"method": method, "params": parameters, "req_id": at})
                requests.append(Request(at, frame, part, symbols, adds))
        return requests

    def survey(self, number: int) -> None:
        """The exchange does not tell what is subscribed."""

    def keepalive(self, number: int) -> bytes:
        """{"method":"ping","req_id":101}"""
        return msgspec.json.encode({"method": "ping", "req_id": number})

    def decode(self, frame: bytes | memoryview, received_ns: int) -> Event | list[Record]:
        """One text frame; see the protocol."""
        try:
            message = self._message(frame)
            if type(message) is Trades:
                if len(message.data) == 1:
                    return _trade(message.data[0], received_ns)
                return [_trade(body, received_ns) for body in sorted(message.data, key=_TRADE_ID)] or Pulse()
            if type(message) is Tickers:
                return _ticker(message.data[0], received_ns)
            return self._quote(message, received_ns) if type(message) is Books else Pulse()
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            return self._decode_uncommon(frame, error)

    def _decode_uncommon(self, frame: bytes | memoryview, error: Exception) -> Event:
        with told_as_bad_frames():
            outline = self._outline(frame)
            items = self._items(outline.data) if outline.channel in _KNOWN else []
            if outline.channel == "status":
                return _status(items)
            if outline.channel in _KNOWN:
                symbols = {item.symbol for item in items}
                symbol = symbols.pop() if len(symbols) == 1 else None
                message = f"A {outline.channel} message is not of the documented shape: {error}"
                raise BadFrame(message, reason="wrong_shape", symbol=symbol) from error
            return _other(outline)

    def _quote(self, message: Books, received_ns: int) -> Quote | Pulse:
        body = message.data[0]
        if message.type == "snapshot":
            self._books[body.symbol] = Book(DEPTH)
        book = self._books.get(body.symbol)
        if book is None:
            raise ValueError("the book has no snapshot")
        before = book.top
        book.change(_offers(body.bids), _offers(body.asks))
        if zlib.crc32(book.digits.encode()) != body.checksum:
            # Wrong from here on: it stays silent, and that brings a new snapshot.
            del self._books[body.symbol]
            raise ValueError("the checksum of the book is not ours")
        if book.top is None or book.top == before:
            return Pulse()
        (bid, bid_quantity), (ask, ask_quantity) = book.top
        number = book.number(microseconds(body.timestamp) if body.timestamp else received_ns // 1000)
        return Quote(body.symbol, number, bid, bid_quantity, ask, ask_quantity, received_ns)


_KNOWN = frozenset({"trade", "ticker", "book", "status"})
_TRADE_ID = attrgetter("trade_id")


def _status(items: Sequence[Item]) -> Event:
    """Only `online` is nothing to tell: in `maintenance`, `cancel_only` and `post_only` nothing is matched."""
    unusual = [item.system for item in items if item.system != "online"]
    return UnknownEvent(f"status {unusual[0]}"[:KIND_CHARACTERS_MAX]) if unusual else Pulse()


def _other(outline: Outline) -> Event:
    kind = outline.channel or outline.method
    if outline.channel is None and outline.method == "pong":
        return Pulse()
    if outline.error is not None or outline.success is False:
        # What is wrong with a symbol is refused by its name; the rest is about the state of things.
        words = outline.error or "no reason given"
        return Refused(outline.req_id, words, symbol=outline.symbol, passes=outline.symbol is None)
    if outline.success:
        about = outline.result
        return Acknowledged(outline.req_id, (f"{about.channel}:{about.symbol}",) if about.symbol else None)
    if kind is None:
        raise BadFrame("The frame is neither data nor a reply.", reason="wrong_shape")
    return UnknownEvent(kind[:KIND_CHARACTERS_MAX])


def _offers(levels: Sequence[Level]) -> list[Offer]:
    return [(plain_digits(level.price), plain_digits(level.qty)) for level in levels]


def _trade(body: TradeBody, received_ns: int) -> Trade:
    time_ms, sub_ms_us = divmod(microseconds(body.timestamp), 1000)
    return Trade(
        body.symbol, body.trade_id, plain_digits(body.price), plain_digits(body.qty), time_ms, time_ms,
        body.side == "sell", received_ns, None, None, sub_ms_us,
    )  # fmt: skip


def _ticker(body: TickerBody, received_ns: int) -> Ticker:
    fields = msgspec.structs.asdict(body)
    fields |= {name: plain_digits(value) for name, value in fields.items() if isinstance(value, msgspec.Raw)}
    fields |= {"event_ms": microseconds(body.timestamp) // 1000, "received_ns": received_ns}
    return msgspec.convert(fields, Ticker)
