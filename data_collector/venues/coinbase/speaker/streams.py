"""The stream side: requests and their answers, the trade before, and what each stream tells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec
from msgspec import Struct, structs

from data_collector.model.records import Record, Ticker, Trade
from data_collector.simulator.amounts import cut_text
from data_collector.simulator.listing import Listing
from data_collector.simulator.market.market import Market
from data_collector.simulator.settings import SimulatorSettings
from data_collector.simulator.speaker import Form, Live, Manners, Peer, Scheduled
from data_collector.simulator.streams import live
from data_collector.simulator.streams.delivery import text_frame
from data_collector.simulator.streams.publishers import Cadence
from data_collector.venues.coinbase.speaker import frames

CONNECTS_MAX, CONNECTS_WINDOW_S = 150, 60.0
MESSAGES_PER_S = 20
"""Eight in a second and twenty at once, as documented, come to this."""

SUBSCRIBE_WITHIN_S = 5.0
HEARTBEAT_MS = 1_000

CHANNELS = ("matches", "ticker", "heartbeat")
KEPT = ("level2", "level3", "full", "user")

FAILED = "Failed to subscribe"


class Wanted(Struct, frozen=True):
    """A channel with products of its own."""

    name: str
    product_ids: tuple[str, ...] | None = None


class Asked(Struct, frozen=True):
    """What a client says."""

    type: str
    product_ids: tuple[str, ...] = ()
    channels: tuple[str | Wanted, ...] = ()


class Heartbeats:
    """Of one product: `Scheduled`, each told by the newest trade."""

    def __init__(self, market: Market, listing: Listing) -> None:
        self._market = market
        self._symbol = listing.symbol
        self._cadence = Cadence(f"heartbeat:{listing.symbol}", HEARTBEAT_MS)

    def due(self, now_ms: int) -> tuple[list[Record], int]:
        """Once a second, also while nothing is traded."""
        tape = self._market.listed(self._symbol).tape
        return [tape.trade(len(tape) - 1)] if len(tape) else [], self._cadence.after(now_ms)


class CoinbaseStreams:
    """The `StreamSpeaker` of Coinbase Exchange."""

    def __init__(self, market: Market, settings: SimulatorSettings) -> None:
        self._market = market
        self._products = frames.products_of(market.listings)
        self.our_form = Form()
        self.manners = Manners(
            connects_max=CONNECTS_MAX if settings.connects_max is None else settings.connects_max,
            connects_window_s=CONNECTS_WINDOW_S if settings.connects_window_s is None else settings.connects_window_s,
            max_age_s=settings.max_age_s,
            subscribe_within_s=SUBSCRIBE_WITHIN_S,
            messages_per_s=MESSAGES_PER_S if settings.messages_per_s is None else settings.messages_per_s,
        )

    def admits(self, path: bytes) -> bool:
        """There is one path."""
        return path.partition(b"?")[0] in {b"", b"/"}

    def greet(self, path: bytes, peer: Peer) -> None:
        """Nothing is said before it is asked for."""

    def pulse(self, peer: Peer) -> None:
        """Heartbeats are a channel."""

    def announce_closing(self, peer: Peer, *, unwrapped: bool) -> None:
        """There is no notice."""

    # What the client asks.

    def hear(self, text: bytes, peer: Peer) -> None:
        """Requests."""
        try:
            asked = msgspec.json.decode(text, type=Asked)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            _refuse(peer, "Malformed JSON")
            return
        if asked.type not in {"subscribe", "unsubscribe"}:
            _refuse(peer, f"Type has to be either subscribe or unsubscribe, and is {asked.type}")
            return
        wanted = list(_streams(asked, peer.streams))
        if asked.type == "unsubscribe":
            for stream in wanted:
                peer.drop_stream(stream)
            self._tell_subscriptions(peer)
            return
        error = self._error(wanted, peer)
        if error is not None:
            _refuse(peer, FAILED, error)
            return
        news = [stream for stream in wanted if stream not in peer.streams]
        peer.subscribe(wanted)
        self._tell_subscriptions(peer)
        for stream in news:
            self._begin(stream, peer)

    def _error(self, wanted: Sequence[str], peer: Peer) -> str | None:
        """One refuses all."""
        if not wanted:
            return "No channels provided"
        for stream in wanted:
            channel, _, product = stream.partition(":")
            if channel in KEPT:
                return f"{channel} requires authentication"
            if channel not in CHANNELS:
                return f"{channel} is not a valid channel"
            listing = self._products.get(product)
            fault = peer.refusal(stream)
            if listing is None or self._market.status(listing.symbol) == "END_OF_DAY" or fault is not None:
                told = fault.message if fault is not None else None
                return told or f"{product} is not a valid product"
        return None

    def _tell_subscriptions(self, peer: Peer) -> None:
        """All of it, in no order."""
        listed: dict[str, list[str]] = {}
        for stream in peer.streams:
            channel, _, product = stream.partition(":")
            listed.setdefault(channel, []).insert(0, product)
        channels = [{"name": name, "product_ids": products} for name, products in listed.items()]
        peer.send_text(msgspec.json.encode({"type": "subscriptions", "channels": channels}))

    def _begin(self, stream: str, peer: Peer) -> None:
        channel, _, product = stream.partition(":")
        market = self._market.listed(self._products[product].symbol)
        if not len(market.tape):
            return
        if channel == "matches":
            newest = self.worded(market.tape.trade(len(market.tape) - 1), product)
            assert isinstance(newest, Trade), "what goes in comes out"
            peer.tell(stream, [frames.match(newest, "last_match")])
        elif channel == "ticker":
            peer.tell(stream, self.payloads(stream, [market.ticker()], self.our_form))

    # What is told.

    def stream_of(self, stream: str) -> Scheduled | Live | None:
        """Heartbeats come by themselves."""
        channel, _, product = stream.partition(":")
        listing = self._products.get(product)
        if listing is None:
            return None
        if channel == "heartbeat":
            return Heartbeats(self._market, listing)
        return Live(listing.symbol, live.trades if channel == "matches" else live.ticker)

    def trades_stream(self, symbol: str) -> str:
        """`matches:BTC-USD`"""
        return f"matches:{frames.product_of(self._market.listings[symbol])}"

    def payloads(self, stream: str, records: Sequence[Record], form: Form) -> list[bytes]:
        """One each."""
        channel, _, product = stream.partition(":")
        if channel == "heartbeat":
            time_us = self._market.now_ms * 1000
            return [frames.heartbeat(product, one.trade_id, time_us) for one in records if isinstance(one, Trade)]
        return [self._spoken(record, product) for record in records]

    def text(self, stream: str, payload: bytes, form: Form) -> bytes:
        """Frames name their channel and product themselves."""
        return text_frame(payload)

    def _spoken(self, record: Record, product: str) -> bytes:
        told = self.worded(record, product)
        if not isinstance(told, Ticker):
            return frames.speak(told)
        tape = self._market.listed(self._products[product].symbol).tape
        newest = len(tape) - 1
        return frames.ticker(told, taker_bought=tape.taker_bought(newest), time_us=tape.times_us[newest])

    def worded(self, record: Record, product: str) -> Record:
        """What the market says, with the exchange's name and digits."""
        decimals = self._products[product].decimals
        match record:
            case Trade():
                price = cut_text(record.price, decimals)
                return structs.replace(
                    record, symbol=product, price=price, quantity=frames.size_text(record.quantity)
                )  # fmt: skip
            case Ticker():
                names = ("last_price", "open_price", "low_price", "high_price", "bid_price", "ask_price")
                texts = structs.asdict(record)
                cut = {name: cut_text(text, decimals) for name in names if (text := texts[name]) is not None}
                return structs.replace(record, symbol=product, last_id=self._newest_id(product), **cut)
            case _:
                return record

    def _newest_id(self, product: str) -> int:
        return self._market.listed(self._products[product].symbol).tape.last_id


def _streams(asked: Asked, present: Iterable[str]) -> Iterator[str]:
    """Of a channel without products what there is of it; so it is given up as a whole."""
    for each in asked.channels:
        name = each if isinstance(each, str) else each.name
        own = None if isinstance(each, str) else each.product_ids
        products = asked.product_ids if own is None else own
        if products:
            yield from (f"{name}:{product}" for product in products)
        else:
            yield from [stream for stream in present if stream.partition(":")[0] == name]


def _refuse(peer: Peer, message: str, reason: str | None = None) -> None:
    told = {"type": "error", "message": message} | ({} if reason is None else {"reason": reason})
    peer.send_text(msgspec.json.encode(told))
