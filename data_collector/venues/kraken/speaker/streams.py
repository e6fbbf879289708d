"""The stream side: requests and their answers, snapshots, and what each stream tells."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import Struct, structs

from data_collector.model.records import Kline, Record, Ticker, Trade
from data_collector.simulator.amounts import cut_text
from data_collector.simulator.market.candles import kline_record
from data_collector.simulator.market.market import Market, SymbolMarket
from data_collector.simulator.settings import SimulatorSettings
from data_collector.simulator.speaker import Form, Live, Manners, Peer, Scheduled
from data_collector.simulator.streams import live
from data_collector.simulator.streams.delivery import text_frame
from data_collector.venues.kraken.speaker import frames
from data_collector.venues.kraken.speaker.book import Levels, changes, checksum
from data_collector.venues.kraken.speaker.frames import INTERVALS, WEEKS_FROM
from data_collector.venues.kraken.speaker.names import Pair, pair_of

CONNECTS_MAX, CONNECTS_WINDOW_S = 150, 600.0

DEPTHS = (10, 25, 100, 500, 1000)
SNAPSHOT_TRADES = 50
SNAPSHOT_CANDLES = 60
"""Not documented; in the page's example they are of an hour."""

CHANNELS = ("trade", "ticker", "ohlc", "book")
UNASKED = ("status", "heartbeat")
PRIVATE_TEXT = "Private data and trading are unavailable on this endpoint. Try ws-auth.kraken.com"

DELISTED = "END_OF_DAY"

VERSION = "2.0.10"
CONNECTION_ID_BASE = 13_834_774_380_200_032_777
"""Larger than a signed integer of 64 bits."""

_PAIR = re.compile(r"[A-Z0-9.]+/[A-Z0-9.]+")


class Parameters(Struct, frozen=True):
    """Of a subscription."""

    channel: str = ""
    symbol: tuple[str, ...] = ()
    snapshot: bool | None = None
    interval: int = 1
    depth: int = 10
    event_trigger: Literal["trades", "bbo"] = "trades"


class Asked(Struct, frozen=True):
    """What a client says."""

    method: str
    params: Parameters = Parameters()
    req_id: int | None = None


class KrakenStreams:
    """The `StreamSpeaker` of Kraken spot."""

    def __init__(self, market: Market, settings: SimulatorSettings) -> None:
        self._market = market
        self._connections = 0
        self._pairs = {pair.name: pair for pair in map(pair_of, market.listings.values())}
        self._books: dict[str, tuple[Levels, Levels]] = {}
        """As last told, by stream."""
        self.our_form = Form()
        self.manners = Manners(
            connects_max=CONNECTS_MAX if settings.connects_max is None else settings.connects_max,
            connects_window_s=CONNECTS_WINDOW_S if settings.connects_window_s is None else settings.connects_window_s,
            max_age_s=settings.max_age_s,
            messages_per_s=settings.messages_per_s,
            silence_s=settings.silence_s,
            pulse_s=settings.pulse_s,
        )

    def admits(self, path: bytes) -> bool:
        """The first version of the protocol, which has no path, is not spoken."""
        return path.partition(b"?")[0].rstrip(b"/") == b"/v2"

    def greet(self, path: bytes, peer: Peer) -> None:
        """A status comes by itself."""
        self._connections += 1
        peer.send_text(self._status("online"))

    def _status(self, system: str) -> bytes:
        number = CONNECTION_ID_BASE + self._connections
        row = {"version": VERSION, "system": system, "api_version": "v2", "connection_id": number}
        return frames.message("status", "update", [row])

    def pulse(self, peer: Peer) -> None:
        """A heartbeat."""
        peer.send_text(b'{"channel":"heartbeat"}')

    def announce_closing(self, peer: Peer, *, unwrapped: bool) -> None:
        """There is no notice but the status of the engine."""
        peer.send_text(self._status("maintenance"))

    # What the client asks.

    def hear(self, text: bytes, peer: Peer) -> None:
        """Requests, and pings, which are requests here."""
        try:
            asked = msgspec.json.decode(text, type=Asked)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            peer.send_text(self._answer(None, None, error=f"Malformed request: {error}", success=False))
            return
        match asked.method:
            case "ping":
                peer.send_text(self._answer("pong", asked.req_id))
            case "subscribe" | "unsubscribe":
                for symbol in asked.params.symbol or ("",):
                    self._change(asked, symbol, peer)
            case _:
                error_text = f"Unsupported method: {asked.method}"
                peer.send_text(self._answer(asked.method, asked.req_id, error=error_text, success=False))

    def _change(self, asked: Asked, symbol: str, peer: Peer) -> None:
        stream, adds = _stream(asked.params, symbol), asked.method == "subscribe"
        error = self._error(asked.params, symbol)
        if error is None and adds:
            fault = peer.refusal(stream)
            unknown = f"Currency pair not supported {symbol}"
            error = None if fault is None else fault.message or unknown
        if error is None and adds == (stream in peer.streams):
            error = "Already subscribed" if adds else "Subscription Not Found"
        if error is not None:
            told: dict[str, object] = {"symbol": symbol} if symbol else {}
            peer.send_text(self._answer(asked.method, asked.req_id, error=error, success=False, **told))
            return
        if not adds:
            peer.drop_stream(stream)
        result = _result(asked.params, symbol)
        peer.send_text(self._answer(asked.method, asked.req_id, result=result, success=True))
        if adds:
            # From here on: the snapshot is of what was before.
            peer.subscribe([stream])
            if bool(result.get("snapshot")):
                peer.tell(stream, self._snapshot(stream, asked.params, self._pairs[symbol]))

    def _error(self, asked: Parameters, symbol: str) -> str | None:
        if asked.channel in UNASKED:
            return f"Channel {asked.channel} cannot be subscribed"
        if asked.channel not in CHANNELS:
            return PRIVATE_TEXT
        if asked.channel == "ohlc" and asked.interval not in INTERVALS:
            return "Subscription ohlc interval not supported"
        if asked.channel == "book" and asked.depth not in DEPTHS:
            return "Subscription depth not supported"
        return self._symbol_error(symbol)

    def _symbol_error(self, symbol: str) -> str | None:
        if not symbol:
            return "Symbol(s) not specified"
        if not _PAIR.fullmatch(symbol):
            return f"Currency pair not in ISO 4217-A3 format {symbol}"
        pair = self._pairs.get(symbol)
        if pair is None or self._market.status(pair.market) == DELISTED:
            return f"Currency pair not supported {symbol}"
        return None

    def _answer(self, method: str | None, number: int | None, **fields: object) -> bytes:
        time = frames.time_text(self._market.now_ms * 1000)
        answer = {"method": method, "req_id": number, **fields, "time_in": time, "time_out": time}
        return msgspec.json.encode({name: value for name, value in answer.items() if value is not None})

    # What is told.

    def stream_of(self, stream: str) -> Scheduled | Live | None:
        """All of them speak when the symbol trades."""
        channel, _, symbol = stream.partition(":")
        pair = self._pairs.get(symbol)
        if pair is None:
            return None
        kind, _, detail = channel.partition("-")
        match kind:
            case "trade":
                return Live(pair.market, live.trades)
            case "ticker":
                return Live(pair.market, live.ticker)
            case "book":
                return Live(pair.market, live.quote)
            case _:
                return Live(pair.market, live.candles(detail, WEEKS_FROM.get(detail, 0)))

    def trades_stream(self, symbol: str) -> str:
        """`trade:BTC/USD`"""
        return f"trade:{pair_of(self._market.listings[symbol]).name}"

    def payloads(self, stream: str, records: Sequence[Record], form: Form) -> list[bytes]:
        """Trades of the same moment in one frame; the rest one each."""
        channel, _, symbol = stream.partition(":")
        pair, kind = self._pairs[symbol], channel.partition("-")[0]
        if kind == "book":
            return [self._book_update(stream, pair, _depth(channel))]
        told = [worded(record, pair) for record in records]
        if kind == "trade":
            rows = [frames.trade_row(record) for record in told if isinstance(record, Trade)]
            return [frames.message("trade", "update", rows)]
        return [frames.speak(record) for record in told]

    def text(self, stream: str, payload: bytes, form: Form) -> bytes:
        """Frames name their channel and symbol themselves."""
        return text_frame(payload)

    def _snapshot(self, stream: str, asked: Parameters, pair: Pair) -> list[bytes]:
        market, now_ms = self._market.listed(pair.market), self._market.now_ms
        match asked.channel:
            case "trade":
                tape = market.tape_until(now_ms * 1000 + 1, SNAPSHOT_TRADES)
                rows = [
                    frames.trade_row(told)
                    for trade in tape.trades(len(tape) - SNAPSHOT_TRADES, len(tape))
                    if isinstance(told := worded(trade, pair), Trade)
                ]
            case "ticker":
                told = worded(market.ticker(event_ms=now_ms), pair)
                assert isinstance(told, Ticker), "what goes in comes out"
                rows = [frames.ticker_row(told)]
            case "book":
                self._books[stream] = bids, asks = levels(market, pair, asked.depth)
                rows = [frames.book_row(pair.name, bids, asks, checksum(bids, asks)) | self._time()]
            case _:
                rows = self._candles(market, pair, INTERVALS[asked.interval])
                return [frames.message("ohlc", "snapshot", rows, timestamp=frames.nanosecond_text(now_ms))]
        return [frames.message(asked.channel, "snapshot", rows)]

    def _candles(self, market: SymbolMarket, pair: Pair, interval: str) -> list[frames.Row]:
        series, now_ms = market.series(interval, WEEKS_FROM.get(interval, 0)), self._market.now_ms
        first_ms = now_ms - SNAPSHOT_CANDLES * frames.MINUTES[interval] * 60_000
        found = series.between(
            first_ms, now_ms, SNAPSHOT_CANDLES, newest=True, exists=lambda candle: candle.totals.count > 0
        )
        records = [kline_record(pair.market, interval, each, event_ms=now_ms, is_closed=False) for each in found]
        told = (worded(record, pair) for record in records)
        return [frames.kline_row(kline) for kline in told if isinstance(kline, Kline)]

    def _book_update(self, stream: str, pair: Pair, depth: int) -> bytes:
        bids, asks = levels(self._market.listed(pair.market), pair, depth)
        bids_before, asks_before = self._books.get(stream, ({}, {}))
        self._books[stream] = bids, asks
        changed = changes(bids_before, bids, falls=True), changes(asks_before, asks, falls=False)
        return frames.message(
            "book", "update", [frames.book_row(pair.name, *changed, checksum(bids, asks)) | self._time()]
        )

    def _time(self) -> dict[str, object]:
        return {"timestamp": frames.time_text(self._market.now_ms * 1000)}


def levels(market: SymbolMarket, pair: Pair, depth: int) -> tuple[Levels, Levels]:
    """The book, as this exchange writes it."""
    book = market.book()
    bids, asks = ({cut_text(price, pair.decimals): text for price, text in side}
                  for side in (book.bids(depth), book.asks(depth)))  # fmt: skip
    return bids, asks


_TICKER_PRICES = (
    "price_change", "bid_price", "ask_price", "last_price", "low_price", "high_price", "weighted_avg_price",
)  # fmt: skip


def worded(record: Record, pair: Pair) -> Record:
    """What the market says, with the exchange's name and digits."""
    match record:
        case Trade():
            return structs.replace(record, symbol=pair.name, price=cut_text(record.price, pair.decimals))
        case Ticker():
            texts = structs.asdict(record)
            cut = {name: cut_text(text, pair.decimals) for name in _TICKER_PRICES if (text := texts[name]) is not None}
            if (percent := record.price_change_percent) is not None:
                cut["price_change_percent"] = percent[:-1]
            return structs.replace(record, symbol=pair.name, **cut)
        case Kline():
            cut = {name: cut_text(getattr(record, name), pair.decimals) for name in ("open", "high", "low", "close")}
            return structs.replace(record, symbol=pair.name, **cut)
        case _:
            return record


def _stream(asked: Parameters, symbol: str) -> str:
    """The simulator's name for it."""
    channel = asked.channel
    if channel == "ohlc":
        channel = f"ohlc-{INTERVALS.get(asked.interval, asked.interval)}"
    elif channel == "book" and asked.depth != DEPTHS[0]:
        channel = f"book-{asked.depth}"
    return f"{channel}:{symbol}"


def _depth(channel: str) -> int:
    return int(channel.partition("-")[2] or DEPTHS[0])


def _result(asked: Parameters, symbol: str) -> dict[str, object]:
    result: dict[str, object] = {"channel": asked.channel, "symbol": symbol}
    result["snapshot"] = asked.channel != "trade" if asked.snapshot is None else asked.snapshot
    match asked.channel:
        case "ohlc":
            warning = "timestamp is deprecated, use interval_begin"
            result |= {"interval": asked.interval, "warnings": [warning]}
        case "book":
            result["depth"] = asked.depth
        case "ticker":
            result["event_trigger"] = asked.event_trigger
    return result
