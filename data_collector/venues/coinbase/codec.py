"""Between the frames of Coinbase Exchange's feed and our records."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from data_collector.decoding.faults import told_as_bad_frames, unknown, wrong_shape
from data_collector.decoding.texts import microseconds
from data_collector.model.errors import BadFrame
from data_collector.model.keys import Key
from data_collector.model.records import Record, Ticker, Trade
from data_collector.model.venue import Event, Head, Listed, Pulse, Refused, Request
from data_collector.venues.coinbase import messages

STREAMS_PER_REQUEST = 100
"""How long a message may be is not told, only that it may be too big."""

_RECORDS = frozenset({"match", "last_match", "ticker", "heartbeat"})

_PASSING = re.compile(r"rate limit|too many|slow|internal|unavailable|try again|timeout", re.IGNORECASE)
"""Words of errors that are about the state of things; others are about what was asked for."""


class CoinbaseCodec:
    """The `Codec` of Coinbase Exchange."""

    def __init__(self) -> None:
        kinds = messages.Match | messages.LastMatch | messages.TickerMessage | messages.Heartbeat
        self._message = msgspec.json.Decoder(kinds).decode
        self._outline = msgspec.json.Decoder(messages.Outline).decode
        self._channels = msgspec.json.Decoder(list[messages.Subscribed]).decode

    def session(self) -> CoinbaseCodec:
        """Every frame tells all of what it is about."""
        return self

    def stream_name(self, key: Key) -> str:
        """Channel and product. Klines are built: their name is never asked for."""
        name = {"trade": "matches", "kline": f"candles-{key.interval}"}.get(key.channel, key.channel)
        return f"{name}:{key.symbol}"

    def requests(self, streams: Sequence[str], number: int, *, adds: bool) -> list[Request]:
        """{"type":"subscribe","channels":[{"name":"matches","product_ids":["BTC-USD"]},{"name":"heartbeat",…}]}"""
        requests: list[Request] = []
        for start in range(0, len(streams), STREAMS_PER_REQUEST):
            part = tuple(streams[start : start + STREAMS_PER_REQUEST])
            body = {"type": "subscribe" if adds else "unsubscribe", "channels": _channels(part)}
            symbols = tuple(stream.partition(":")[2] for stream in part)
            requests.append(Request(number + len(requests), msgspec.json.encode(body), part, symbols, adds))
        return requests

    def survey(self, number: int) -> None:
        """What is subscribed is told with every change, and not on demand."""

    def keepalive(self, number: int) -> None:
        """The exchange does not want to hear of us."""

    def decode(self, frame: bytes | memoryview, received_ns: int) -> Event | list[Record]:
        """One text frame; see the protocol."""
        try:
            message = self._message(frame)
            if isinstance(message, messages.Match):
                return trade(message.product_id, message, received_ns)
            if isinstance(message, messages.TickerMessage):
                return _ticker(message, received_ns)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            return self._decode_uncommon(frame, error)
        return Head(message.product_id, message.last_trade_id) if message.last_trade_id > 0 else Pulse()

    def _decode_uncommon(self, frame: bytes | memoryview, error: Exception) -> Event:
        with told_as_bad_frames():
            outline = self._outline(frame)
            match outline.type:
                case None:
                    raise BadFrame("The frame is neither data nor a reply.", reason="wrong_shape")
                case "subscriptions":
                    channels = self._channels(outline.channels)
                    return Listed(None, tuple(f"{one.name}:{each}" for one in channels for each in one.product_ids))
                case "error":
                    # A product that there is not refuses all that was asked for with it: halves are asked for then.
                    words = ": ".join(filter(None, (outline.message, outline.reason))) or "no reason given"
                    return Refused(None, words, passes=_PASSING.search(words) is not None)
                case kind if kind not in _RECORDS:
                    return unknown(kind)
            raise wrong_shape(outline.type, error, {outline.product_id}) from error


def _channels(streams: Sequence[str]) -> list[messages.Subscribed]:
    """Beside the trades of a product its heartbeat, which names the newest one."""
    found: dict[str, messages.Subscribed] = {}
    for stream in streams:
        channel, _, product = stream.partition(":")
        for name in (channel, "heartbeat") if channel == "matches" else (channel,):
            found.setdefault(name, messages.Subscribed(name, [])).product_ids.append(product)
    return list(found.values())


def trade(symbol: str, body: messages.TradeBody, received_ns: int) -> Trade:
    """By stream or by REST: `side` is the maker's."""
    time_ms, sub_ms_us = divmod(microseconds(body.time), 1000)
    return Trade(
        symbol, body.trade_id, body.price, body.size, time_ms, time_ms, body.side == "buy", received_ns, None, None,
        sub_ms_us,
    )  # fmt: skip


def _ticker(message: messages.TickerMessage, received_ns: int) -> Ticker:
    fields = msgspec.structs.asdict(message)
    event_ms = microseconds(fields.pop("time")) // 1000
    return Ticker(**fields, event_ms=event_ms, received_ns=received_ns)
