"""The stream side: which URL asks for what, control messages and their answers, and what each stream tells."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec import Struct

from data_collector.model.calendar import HOUR_MS
from data_collector.model.keys import Key
from data_collector.model.records import Record
from data_collector.simulator.market.candles import INTERVALS
from data_collector.simulator.market.market import Market, SymbolMarket
from data_collector.simulator.settings import SimulatorSettings
from data_collector.simulator.speaker import Form, Live, Manners, Peer, Scheduled
from data_collector.simulator.streams import live
from data_collector.simulator.streams.delivery import text_frame
from data_collector.simulator.streams.publishers import AllMiniTickersPublisher, KlinePublisher, TickerPublisher
from data_collector.venues.binance.speaker.control import (
    ControlError,
    RequestId,
    answer,
    error,
    is_stream_name,
    parse,
)
from data_collector.venues.binance.speaker.frames import CODEC, encode, wrapped

POLICY_VIOLATION = 1008

CONNECTS_MAX, CONNECTS_WINDOW_S = 300, 300.0
MESSAGES_PER_S = 5

ALL_MINI_TICKERS = "!miniTicker@arr"

TIME_UNITS = {"MICROSECOND": True, "MILLISECOND": False}

_KLINE = re.compile(r"kline_(\w+?)(@\+08:00)?")

_LIVE: dict[str, Callable[[SymbolMarket, int, int, int], Sequence[Record]]] = {
    "trade": live.trades, "aggTrade": live.aggregates, "bookTicker": live.quote,
}  # fmt: skip


class Target(Struct, frozen=True):
    """What the URL of a connection asked for."""

    form: Form = Form()
    streams: tuple[str, ...] = ()
    refusal: ControlError | None = None
    """Set when a stream name in the URL is malformed: told, then closed."""


class BinanceStreams:
    """The `StreamSpeaker` of Binance spot."""

    def __init__(self, market: Market, settings: SimulatorSettings) -> None:
        self._market = market
        self._settings = settings
        self.our_form = Form(combined=True)
        self.manners = Manners(
            connects_max=CONNECTS_MAX if settings.connects_max is None else settings.connects_max,
            connects_window_s=CONNECTS_WINDOW_S if settings.connects_window_s is None else settings.connects_window_s,
            max_age_s=settings.max_age_s,
            ping_interval_s=settings.ping_interval_s,
            pong_timeout_s=settings.pong_timeout_s,
            messages_per_s=MESSAGES_PER_S if settings.messages_per_s is None else settings.messages_per_s,
            streams_per_connection=settings.streams_per_connection,
        )

    def admits(self, path: bytes) -> bool:
        """See `StreamSpeaker`."""
        return parse_target(path) is not None

    def greet(self, path: bytes, peer: Peer) -> None:
        """The URL may name streams."""
        target = parse_target(path)
        assert target is not None, "it was admitted"
        peer.form = target.form
        if target.refusal is not None:
            self._refuse(peer, target.refusal)
        elif target.streams:
            self._subscribe(peer, target.streams, None)

    def hear(self, text: bytes, peer: Peer) -> None:
        """Control messages."""
        request = parse(text)
        if isinstance(request, ControlError):
            self._refuse(peer, request)
            return
        result: object = None
        match request.method:
            case "SUBSCRIBE":
                if not self._subscribe(peer, request.streams, request.request_id):
                    return
            case "UNSUBSCRIBE":
                for stream in request.streams:
                    peer.drop_stream(stream)
            case "LIST_SUBSCRIPTIONS":
                result = list(peer.streams)
            case "SET_PROPERTY":
                peer.form = msgspec.structs.replace(peer.form, combined=bool(request.combined))
            case "GET_PROPERTY":
                result = peer.form.combined
        peer.send_text(answer(result, request.request_id))

    def _subscribe(self, peer: Peer, streams: Sequence[str], request_id: RequestId) -> bool:
        refused = [fault for stream in streams if (fault := peer.refusal(stream)) is not None]
        if refused:
            fault = refused[0]
            code, message = 2 if fault.code is None else fault.code, fault.message or "Invalid request: invalid stream"
            self._refuse(peer, ControlError(code, message, request_id, closes=fault.closes))
            return False
        if not peer.has_room(streams):
            self._refuse(peer, ControlError(4, "Too many subscriptions", request_id, closes=True))
            return False
        peer.subscribe(streams)
        return True

    def _refuse(self, peer: Peer, refusal: ControlError) -> None:
        peer.send_text(error(refusal, self._settings.error_shape))
        if refusal.closes:
            peer.close(POLICY_VIOLATION, "Invalid request")

    def pulse(self, peer: Peer) -> None:
        """Pings are all there is."""

    def announce_closing(self, peer: Peer, *, unwrapped: bool) -> None:
        """serverShutdown."""
        notice = msgspec.json.encode({"e": "serverShutdown", "E": self._market.now_ms})
        peer.send_text(wrapped("!serverShutdown", notice) if peer.form.combined and not unwrapped else notice)

    def stream_of(self, stream: str) -> Scheduled | Live | None:
        """Upper case, and symbols that are not listed, are acknowledged and stay silent."""
        if stream == ALL_MINI_TICKERS:
            return AllMiniTickersPublisher(self._market)
        name, _, channel = stream.partition("@")
        symbol = name.upper()
        if name != name.lower() or symbol not in self._market.listings:
            return None
        if channel in _LIVE:
            return Live(symbol, _LIVE[channel])
        if channel in ("ticker", "miniTicker"):
            return TickerPublisher(self._market, symbol, mini=channel == "miniTicker")
        if (match := _KLINE.fullmatch(channel)) and match[1] in INTERVALS:
            return KlinePublisher(self._market, symbol, match[1], 8 * HOUR_MS if match[2] else 0, self._settings)
        return None

    def trades_stream(self, symbol: str) -> str:
        """`btcusdt@trade`"""
        return CODEC.stream_name(Key("trade", symbol))

    def payloads(self, stream: str, records: Sequence[Record], form: Form) -> list[bytes]:
        """One each, but for streams of all symbols, which speak in arrays."""
        encoded = [encode(record, combined=False, microseconds=form.microseconds) for record in records]
        return [b"[" + b",".join(encoded) + b"]"] if stream.startswith("!") else encoded

    def text(self, stream: str, payload: bytes, form: Form) -> bytes:
        """Bare, or with the stream's name."""
        return text_frame(wrapped(stream, payload) if form.combined else payload)


def parse_target(path: bytes) -> Target | None:
    """`/ws/a/b`, `/ws`, `/stream?streams=a/b`, `/stream`; None for any other path.

    Parts of the path that are no stream name at all are passed over, because clients put counters there.
    """
    url = urlsplit(path.decode("utf-8", "replace"))
    # Not parse_qs: a plus sign in a stream name is no blank.
    parts = (part.partition("=") for part in url.query.split("&"))
    query = {name: unquote(value) for name, _, value in parts}
    microseconds = TIME_UNITS.get(query.get("timeUnit", "").upper(), False)
    if url.path == "/stream" or url.path.startswith("/stream/"):
        return _target(query.get("streams", ""), Form(combined=True, microseconds=microseconds))
    if url.path == "/ws" or url.path.startswith("/ws/"):
        return _target(unquote(url.path.removeprefix("/ws")), Form(microseconds=microseconds))
    return None


def _target(names: str, form: Form) -> Target:
    streams = tuple(name for name in names.split("/") if "@" in name or name.startswith("!"))
    if all(map(is_stream_name, streams)):
        return Target(form, streams)
    return Target(form, refusal=ControlError(2, "Invalid request: invalid stream", closes=True))
