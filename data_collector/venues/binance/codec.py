"""From Binance's frames to our records; pure.

Milliseconds and microseconds are told apart by size, value by value: the unit depends on the connection's URL, on a
header or on the date of a file, and 10^15 milliseconds lie in the year 33658.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar, assert_never

import msgspec

from data_collector.decoding.faults import told_as_bad_frames, unknown, wrong_shape
from data_collector.model.errors import BadFrame
from data_collector.model.keys import Key
from data_collector.model.records import AggregateTrade, Kline, MiniTicker, Quote, Record, Ticker, Trade
from data_collector.model.venue import Acknowledged, Closing, Event, Listed, Refused, Request
from data_collector.venues.binance.messages import (
    TIMES,
    AggregateTradeMessage,
    BookTickerMessage,
    Combined,
    KlineMessage,
    Message,
    MiniTickerMessage,
    Outline,
    ServerShutdownMessage,
    TickerMessage,
    TradeMessage,
)

MICROSECONDS_FROM = 10**15
"""A time at least this large is in microseconds."""

STREAMS_PER_REQUEST = 200

INVALID_REQUEST = 2
"""The code of a refusal of what was asked for: a badly formed name among the streams, though it does not tell which."""

Rare = TypeVar("Rare", Ticker, MiniTicker, AggregateTrade, Quote)


def milliseconds(time: int) -> int:
    """A time in milliseconds, whatever unit it came in."""
    return time if time < MICROSECONDS_FROM else time // 1000


class BinanceCodec:
    """The `Codec` of Binance spot, for raw and combined connections alike."""

    def __init__(self) -> None:
        self._combined = msgspec.json.Decoder(Combined).decode
        self._message = msgspec.json.Decoder(Message).decode
        self._outline = msgspec.json.Decoder(Outline).decode
        self._book_ticker = msgspec.json.Decoder(BookTickerMessage).decode
        self._array = msgspec.json.Decoder(list[msgspec.Raw]).decode
        self._names = msgspec.json.Decoder(tuple[str, ...] | None | bool).decode

    def session(self) -> BinanceCodec:
        """Every frame tells all of what it is about."""
        return self

    def stream_name(self, key: Key) -> str:
        """Only the symbol is lower-cased: `1m` and `1M` differ by case alone."""
        symbol = key.symbol.lower()
        name = _STREAMS.get(key.channel, key.channel)
        return f"{symbol}@{name}" if key.interval is None else f"{symbol}@{name}_{key.interval}"

    def requests(self, streams: Sequence[str], number: int, *, adds: bool) -> list[Request]:
        """{"method":"SUBSCRIBE","params":[…],"id":1}, with 200 streams at most; or UNSUBSCRIBE."""
        method = "SUBSCRIBE" if adds else "UNSUBSCRIBE"
        requests: list[Request] = []
        for start in range(0, len(streams), STREAMS_PER_REQUEST):
            part = tuple(streams[start : start + STREAMS_PER_REQUEST])
            frame = msgspec.json.encode({"method": method, "params": part, "id": number + len(requests)})
            symbols = tuple(stream.partition("@")[0].upper() for stream in part)
            requests.append(Request(number + len(requests), frame, part, symbols, adds))
        return requests

    def survey(self, number: int) -> bytes:
        """{"method":"LIST_SUBSCRIPTIONS","id":3}"""
        return msgspec.json.encode({"method": "LIST_SUBSCRIPTIONS", "id": number})

    def keepalive(self, number: int) -> None:
        """The exchange pings, and that is all."""

    def decode(self, frame: bytes | memoryview, received_ns: int) -> Event | list[Record]:
        """One text frame; see the protocol. Combined frames with a known event take the first, short way."""
        try:
            message = self._combined(frame).data
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._decode_uncommon(frame, received_ns)
        # Trades in milliseconds are nine of ten frames: made here, to spare a call.
        if type(message) is TradeMessage and message.T < MICROSECONDS_FROM:
            return Trade(
                message.s, message.t, message.p, message.q, message.T, message.E, message.m, received_ns, message.b,
                message.a,
            )  # fmt: skip
        return _record(message, received_ns)

    def _decode_uncommon(self, frame: bytes | memoryview, received_ns: int) -> Event | list[Record]:
        with told_as_bad_frames():
            if bytes(frame[:1]) == b"[":
                return self._decode_array(frame, received_ns)
            outline = self._outline(frame)
            if _present(outline.data) and outline.stream is not None:
                return self._decode_payload(outline.data, received_ns)
            if outline.e is not None or _present(outline.u):
                return self._decode_payload(msgspec.Raw(frame), received_ns)
            return self._decode_reply(outline)

    def _decode_payload(self, payload: msgspec.Raw, received_ns: int) -> Event | list[Record]:
        if bytes(memoryview(payload)[:1]) == b"[":
            return self._decode_array(payload, received_ns)
        outline = self._outline(payload)
        if outline.e is None:
            if _present(outline.u) and outline.s is not None:
                return _made(Quote, self._book_ticker(payload), received_ns)
            return unknown("no event kind")
        if outline.e not in _KINDS:
            return unknown(outline.e)
        try:
            return _record(self._message(payload), received_ns)
        except msgspec.ValidationError as error:
            raise wrong_shape(outline.e, error, {outline.s}) from error

    def _decode_array(self, frame: bytes | memoryview | msgspec.Raw, received_ns: int) -> list[Record]:
        records: list[Record] = []
        for item in self._array(frame):
            if bytes(memoryview(item)[:1]) == b"[":
                # Each level would be parsed anew.
                raise BadFrame("An array holds an array.", reason="wrong_shape")
            decoded = self._decode_payload(item, received_ns)
            if isinstance(decoded, list) or not isinstance(decoded, Record):
                raise BadFrame("An array holds something that is no record.", reason="wrong_shape")
            records.append(decoded)
        return records

    def _decode_reply(self, outline: Outline) -> Acknowledged | Listed | Refused:
        if outline.error is not None:
            return _refused(outline.id, outline.error.msg, outline.error.code)
        if outline.code is not None and outline.msg is not None:
            return _refused(outline.id, outline.msg, outline.code)
        if outline.id is None and not _present(outline.result):
            raise BadFrame("The frame is neither data nor a reply.", reason="wrong_shape")
        streams = self._names(outline.result) if _present(outline.result) else None
        return Listed(outline.id, streams) if isinstance(streams, tuple) else Acknowledged(outline.id)


_STREAMS: dict[str, str] = {"quote": "bookTicker"}
"""Those that Binance calls otherwise than we do."""

_KINDS = frozenset({"trade", "kline", "24hrTicker", "24hrMiniTicker", "aggTrade", "serverShutdown"})


def _record(message: Message, received_ns: int) -> Record | Closing:
    match message:
        case TradeMessage():
            time_ms, sub_ms_us = (message.T, None) if message.T < MICROSECONDS_FROM else divmod(message.T, 1000)
            event_ms = milliseconds(message.E)
            return Trade(
                message.s, message.t, message.p, message.q, time_ms, event_ms, message.m, received_ns, message.b,
                message.a, sub_ms_us,
            )  # fmt: skip
        case KlineMessage():
            return _kline(message, received_ns)
        case TickerMessage():
            return _made(Ticker, message, received_ns)
        case MiniTickerMessage():
            return _made(MiniTicker, message, received_ns)
        case AggregateTradeMessage():
            return _made(AggregateTrade, message, received_ns)
        case ServerShutdownMessage():
            return Closing(milliseconds(message.E))
        case _:
            assert_never(message)


def _refused(number: int | str | None, words: str, code: int) -> Refused:
    return Refused(number, words, code, passes=code != INVALID_REQUEST)


def _present(raw: msgspec.Raw) -> bool:
    return len(memoryview(raw)) > 0


def _kline(message: KlineMessage, received_ns: int) -> Kline:
    body = message.k
    return Kline(
        symbol=message.s,
        interval=body.i,
        open_ms=milliseconds(body.t),
        close_ms=milliseconds(body.T),
        open=body.o,
        high=body.h,
        low=body.l,
        close=body.c,
        volume=body.v,
        quote_volume=body.q,
        taker_buy_base_volume=body.V,
        taker_buy_quote_volume=body.Q,
        trades=body.n,
        is_closed=body.x,
        event_ms=milliseconds(message.E),
        first_trade_id=body.f,
        last_trade_id=body.L,
        received_ns=received_ns,
    )


def _made(record: type[Rare], message: msgspec.Struct, received_ns: int) -> Rare:
    fields = msgspec.structs.asdict(message)
    for name in TIMES & fields.keys():
        fields[name] = milliseconds(fields[name])
    return record(**fields, received_ns=received_ns)
