"""Between Kraken's frames (WebSocket v2) and our records."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from data_collector.decoding.book import Books
from data_collector.decoding.faults import told_as_bad_frames, unknown, wrong_shape
from data_collector.decoding.texts import microseconds, plain_digits
from data_collector.model.errors import BadFrame
from data_collector.model.keys import Key
from data_collector.model.records import Quote, Record, Ticker, Trade
from data_collector.model.venue import Acknowledged, Event, Pulse, Refused, Request
from data_collector.venues.kraken import messages

DEPTH = 10
"""Levels of a book: the checksum is of so many."""

PARAMETERS: dict[str, dict[str, object]] = {"trade": {"snapshot": True}, "book": {"depth": DEPTH}}


class KrakenCodec:
    """The `Codec` of Kraken spot; of one connection where quotes are read, which books tell."""

    def __init__(self) -> None:
        self._message = msgspec.json.Decoder(messages.Trades | messages.Tickers | messages.BookMessage).decode
        self._outline = msgspec.json.Decoder(messages.Outline).decode
        self._items = msgspec.json.Decoder(list[messages.About]).decode
        self._books = Books(DEPTH)

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
        for at, channel in enumerate(dict.fromkeys(stream.partition(":")[0] for stream in streams), number):
            part = tuple(stream for stream in streams if stream.startswith(f"{channel}:"))
            symbols = tuple(stream.partition(":")[2] for stream in part)
            parameters = {"channel": channel, "symbol": symbols, **PARAMETERS.get(channel, {})}
            if not adds:
                parameters.pop("snapshot", None)
            method = "subscribe" if adds else "unsubscribe"
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
            if type(message) is messages.Trades:
                if len(message.data) == 1:
                    return _trade(message.data[0], received_ns)
                bodies = sorted(message.data, key=lambda body: body.trade_id)
                return [_trade(body, received_ns) for body in bodies] or Pulse()
            if type(message) is messages.Tickers:
                return _ticker(message.data[0], received_ns)
            return self._quote(message, received_ns)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            return self._decode_uncommon(frame, error)

    def _decode_uncommon(self, frame: bytes | memoryview, error: Exception) -> Event:
        with told_as_bad_frames():
            outline = self._outline(frame)
            items = self._items(outline.data) if outline.channel in _KNOWN else []
            if outline.channel not in _RECORDS:
                return _event(outline, items)
            raise wrong_shape(outline.channel, error, {item.symbol for item in items}) from error

    def _quote(self, message: messages.BookMessage, received_ns: int) -> Quote | Pulse:
        body = message.data[0]
        if message.type == "snapshot":
            self._books.begin(body.symbol)
        time_us = microseconds(body.timestamp) if body.timestamp else received_ns // 1000
        bids, asks = (
            [(plain_digits(one.price), plain_digits(one.qty)) for one in side] for side in (body.bids, body.asks)
        )
        changed = self._books.change(body.symbol, bids, asks, time_us=time_us, checksum=body.checksum)
        if changed is None:
            return Pulse()
        number, ((bid, bid_quantity), (ask, ask_quantity)) = changed
        return Quote(body.symbol, number, bid, bid_quantity, ask, ask_quantity, received_ns)


_RECORDS = frozenset({"trade", "ticker", "book"})
_KNOWN = _RECORDS | {"status"}


def _event(outline: messages.Outline, items: Sequence[messages.About]) -> Event:
    kind, about = outline.channel or outline.method, outline.result
    if kind == "status" and (systems := [item.system for item in items if item.system != "online"]):
        # In `maintenance`, `cancel_only` and `post_only` nothing is matched.
        return unknown(f"status {systems[0]}")
    if kind in {"status", "heartbeat", "pong"}:
        return Pulse()
    if outline.error is not None or outline.success is False:
        # What is wrong with a symbol is refused by its name; the rest is about the state of things.
        words = outline.error or "no reason given"
        return Refused(outline.req_id, words, symbol=outline.symbol, passes=outline.symbol is None)
    if outline.success:
        return Acknowledged(outline.req_id, (f"{about.channel}:{about.symbol}",) if about.symbol else None)
    if kind is None:
        raise BadFrame("The frame is neither data nor a reply.", reason="wrong_shape")
    return unknown(kind)


def _trade(body: messages.TradeBody, received_ns: int) -> Trade:
    time_ms, sub_ms_us = divmod(microseconds(body.timestamp), 1000)
    return Trade(
        body.symbol, body.trade_id, plain_digits(body.price), plain_digits(body.qty), time_ms, time_ms,
        body.side == "sell", received_ns, None, None, sub_ms_us,
    )  # fmt: skip


def _ticker(body: messages.TickerBody, received_ns: int) -> Ticker:
    fields = msgspec.structs.asdict(body)
    fields |= {name: plain_digits(value) for name, value in fields.items() if isinstance(value, msgspec.Raw)}
    fields |= {"event_ms": microseconds(body.timestamp) // 1000, "received_ns": received_ns}
    return msgspec.convert(fields, Ticker)
