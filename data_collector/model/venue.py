"""What an exchange offers to generic code, which sees nothing else of it: streams and requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pkgutil import resolve_name
from typing import Literal, Protocol, TypedDict, Unpack

from msgspec import Struct

from data_collector.model.calendar import Calendar
from data_collector.model.errors import VenueRefused
from data_collector.model.keys import Channel, Key, StoreKeys
from data_collector.model.published import PublishedFiles
from data_collector.model.records import Kline, Record, Ticker, Trade


class Request(Struct, frozen=True):
    """A control message about streams, as it is sent."""

    number: int
    """Which its answers name, where the exchange's answers name any."""
    frame: bytes
    streams: tuple[str, ...]
    symbols: tuple[str, ...]
    """That of each stream."""
    adds: bool
    """Asked for, or given up."""


class Acknowledged(Struct, frozen=True):
    """The exchange agreed: to a request as a whole, or to these streams of it."""

    number: int | str | None
    """None where its answers name no request."""
    streams: tuple[str, ...] | None = None
    """None: all of the request's."""


class Refused(Struct, frozen=True):
    """The exchange did not agree."""

    number: int | str | None
    error: str
    code: int | None = None
    symbol: str | None = None
    """The streams of the request that are of this symbol; None where it does not tell which it means."""
    passes: bool = False
    """Whether the reason is a state that passes, such as too many requests, and not what was asked for."""


class Listed(Struct, frozen=True):
    """All that is subscribed on this connection, as the exchange tells it."""

    number: int | str | None
    streams: tuple[str, ...]


class Head(Struct, frozen=True):
    """The newest trade id of a symbol, told beside its trades."""

    symbol: str
    trade_id: int


class Pulse(Struct, frozen=True):
    """The connection is alive, and that is all."""


class Closing(Struct, frozen=True):
    """The exchange will close this connection soon; there is no fixed notice time."""

    event_ms: int


class UnknownEvent(Struct, frozen=True):
    """Well-formed, but of a kind that we do not know: counted and skipped."""

    kind: str


Event = Record | Acknowledged | Refused | Listed | Head | Pulse | Closing | UnknownEvent
"""A frame holds one of these, or a list of records."""


class Codec(Protocol):
    """From frames to records. Pure: no I/O, no clock. The folder's speaker does what `decode` undoes."""

    def session(self) -> Codec:
        """What decodes the frames of one connection; itself, unless it must remember what earlier frames told."""

    def stream_name(self, key: Key) -> str:
        """The exchange's name for a key, as sent in a subscription."""

    def requests(self, streams: Sequence[str], number: int, *, adds: bool) -> list[Request]:
        """The control messages that ask for `streams`, or give them up, numbered from `number` on."""

    def survey(self, number: int) -> bytes | None:
        """The control message that asks what is subscribed; None where the exchange does not tell."""

    def keepalive(self, number: int) -> bytes | None:
        """What must be sent every `StreamLimits.keepalive_s`; None where nothing must."""

    def decode(self, frame: bytes | memoryview, received_ns: int) -> Event | list[Record]:
        """One text frame. Raises `BadFrame`. Number texts are not checked here: the gate does that."""


TRADING = "TRADING"
"""The status of a symbol that trades now, whatever its exchange calls it."""


class SymbolRules(Struct, frozen=True):
    """What the exchange's symbol list says of one symbol."""

    symbol: str
    status: str
    """`TRADING`, or the exchange's own word for why it does not."""
    base: str
    quote: str
    tick_size: float = 0.0
    """Step of its prices; 0.0 where the list has none."""
    step_size: float = 0.0
    """Step of its quantities; 0.0 where the list has none."""


class TradePlace(Struct, frozen=True):
    """Where a trade stands, for exchanges that page by time."""

    trade_id: int
    time_us: int
    """When it took place, UTC; too early by up to a millisecond where microseconds are not known."""

    @classmethod
    def of(cls, trade: Trade) -> TradePlace:
        """That of a trade."""
        return cls(trade.trade_id, trade.time_ms * 1000 + (trade.sub_ms_us or 0))


class TradePage(Struct, frozen=True):
    """One answer about trades."""

    trades: list[Trade]
    """Their ids rise."""
    reaches_head: bool
    """Whether the exchange has no later one yet."""


class TradesRefused(VenueRefused):
    """What lies before the trades of `page` the exchange will never give; all of it when there are none."""

    def __init__(self, refusal: VenueRefused, page: TradePage) -> None:
        super().__init__(str(refusal), endpoint_wide=refusal.endpoint_wide)
        self.page = page


class KlinePage(Struct, frozen=True):
    """One answer about klines."""

    klines: list[Kline]
    """Closed ones, in order; also what is no whole kline (`model.calendar.is_whole`)."""
    proven_from_ms: int
    proven_to_ms: int
    """What opens between these two, both included, and is left out does not exist; of the rest nothing is said."""
    tells_quiet: bool = True
    """Whether there is one for a time without trades too; else one that is left out may have been such."""
    reaches_ms: int | None = None
    """It tells none that opens later than this, and another answer does; None where it goes as far as was asked."""

    def told_to_ms(self, rows_max: int) -> int | None:
        """The last open time that it tells of, where more may follow: it holds all that an answer can."""
        if self.reaches_ms is not None:
            return self.reaches_ms
        return self.klines[-1].open_ms if len(self.klines) >= rows_max else None


class TradesApi(Protocol):
    """Trades by their ids."""

    async def trades(
        self, symbol: str, from_id: int, *, near: TradePlace | None = None, limit: int = 1000, urgent: bool = False
    ) -> TradePage:
        """Up to `limit` trades with ids from `from_id` on; `near` is the last known one up to there, if any is known.

        The first id is larger than `from_id` where the exchange has none there or keeps it no more. A page that
        contradicts itself (ids that fall or repeat, or that were not asked for) raises `VenueUnreachable`. Raises
        `TradesRefused` where the exchange gives a part alone.
        """

    async def first_trade_id(self, symbol: str, since_ms: int, *, urgent: bool = False) -> int | None:
        """The first trade id at or after a time; None when the answer was empty, which alone proves nothing."""

    async def newest_trade_id(self, symbol: str) -> int | None:
        """The id of the newest trade, however long ago it was; None when there is none."""


class KlinesApi(Protocol):
    """Closed klines, and the clock that tells which ones are."""

    async def klines(
        self, symbol: str, interval: str, first_ms: int, last_ms: int, *, urgent: bool = False
    ) -> KlinePage:
        """Closed klines that open from `first_ms` to `last_ms`, at most 1,000; fewer where the exchange keeps few."""

    async def first_trade_ms(self, symbol: str) -> int | None:
        """When the first trade ever was: no kline ended before. None where the exchange does not tell."""

    async def server_time_ms(self) -> int:
        """The exchange's clock."""


class ListingApi(Protocol):
    """What is listed, and how it is traded now."""

    async def symbols(self) -> dict[str, SymbolRules]:
        """Every listed symbol, by its name."""

    async def tickers(self, symbols: Sequence[str]) -> list[Ticker]:
        """24-hour statistics of the named symbols."""

    async def heads(self, symbols: Sequence[str]) -> dict[str, int]:
        """The newest trade id of each symbol, of an exchange whose tickers do not name it; else none."""


class ExchangeApi(TradesApi, KlinesApi, ListingApi, Protocol):
    """The exchange's request/response side, each call weighed against the shared budget.

    Every method, those of the three above too, raises `VenueUnreachable` (try again, not before its `retry_after_s`),
    or `VenueRefused` (never). `urgent` calls repair the live feed; the others, which catch up with the past, may use
    half of the budget only and wait inside the call when it is spent.
    """

    @property
    def weight_used(self) -> int:
        """What is used of the budget in the current window."""

    @property
    def key_wanted(self) -> str | None:
        """A sentence with the cure, where trades by their ids are refused for want of an API key."""

    @property
    def background_weight_per_minute(self) -> int:
        """What calls that are not urgent may use of the budget in a minute."""

    async def close(self) -> None:
        """Release the connections."""


class Counts(Protocol):
    """Where things are counted: `observe.counters`."""

    def add(
        self,
        name: Literal["data_collector_rest_requests_total", "data_collector_rest_bad_pages_total"],
        amount: float = 1,
        **labels: str,
    ) -> None:
        """Count up."""

    def set(self, name: Literal["data_collector_rest_banned_until_seconds"], value: float, **labels: str) -> None:
        """Put a gauge."""


NoteAnswer = Callable[[str, Mapping[str, str], int, Mapping[str, str], bytes, int], None]
"""Path, query, status, headers and body of an answer, and when it was asked for (ns). Neither raises nor waits."""


class RestOptions(TypedDict, total=False):
    """`use_proxy` obeys HTTPS_PROXY and friends, `counters` counts requests, `note` is shown each answer as it came;
    `api_key` is sent only where an endpoint asks for one."""

    use_proxy: bool
    counters: Counts | None
    api_key: str | None
    note: NoteAnswer | None


class OpenRest(Protocol):
    """Makes a client of the REST side."""

    def __call__(self, url: str, **options: Unpack[RestOptions]) -> ExchangeApi:
        """`url` has no path; the caller closes it."""


def opened_later(place: str) -> OpenRest:
    """The client at `module:class`, imported when it is opened: what speaks HTTP takes longer than all else of a venue,
    and most who know an exchange ask it nothing."""
    return lambda url, **options: resolve_name(place)(url, **options)  # noqa: PLW0108 - not imported before


class StreamLimits(Struct, frozen=True):
    """What the exchange allows on its streaming side."""

    streams_per_connection: int
    control_messages_per_s: int
    """We stay one below what the exchange documents, because pings and pongs count too."""
    connection_attempts: int
    connection_attempts_window_s: float
    ping_interval_s: float
    """How often the exchange pings. After so long without any frame it is pinged by us, and must answer."""
    max_age_s: float
    """After this time the exchange closes the connection."""
    keepalive_s: float | None = None
    """How often `Codec.keepalive` must be sent, whatever else is; None where nothing must be."""


class Addresses(Struct, frozen=True):
    """Where an exchange is, unless settings tell otherwise: base URLs without a path."""

    ws_url: str
    rest_url: str


class Reach(Struct, frozen=True):
    """How much one answer of the REST side holds, and how far it reaches back."""

    trades_per_answer: int = 1000
    klines_per_answer: int = 1000
    klines_kept: int | None = None
    """It gives only so many of the newest, of each interval; None where it gives all."""


class Cost(Struct, frozen=True):
    """What questions take of what the REST side allows in a minute, in its own unit: calls, or what they weigh."""

    trades: int = 1
    """An answer about trades by their ids."""
    klines: int = 1
    """One about klines of long ago."""
    newest_klines: int = 1
    """One about klines up to now."""
    listing: Callable[[int], int] = lambda symbols: 2
    """The symbol list, and the statistics of so many symbols."""
    head: int = 0
    """The newest trade id of one symbol, where `heads` asks for each; 0 where tickers name it."""
    seconds_per_call: float = 0.1
    """How long one takes where several follow each other and the budget is not spent."""

    def told(self, amount: int) -> str:
        """So much of the budget, in the exchange's words: `weight 25`, or `1 call` where all weigh the same."""
        return f"weight {amount:,}" if self.trades > 1 else f"{amount:,} call" + "s" * (amount != 1)


HINT_451 = (
    "The exchange does not serve this place. Run the collector where it does, or reach it through a proxy: set "
    "HTTPS_PROXY and USE_PROXY=1"
)


class Venue(Struct, frozen=True):
    """An exchange, as its folder exports it."""

    name: str
    key_prefix: str
    """What its Redis keys begin with: its name and a colon, but for the first exchange, where it is empty."""
    addresses: Addresses
    default_symbols: tuple[str, ...]
    """What is collected where settings name no symbol."""
    intervals: tuple[str, ...]
    channels: tuple[Channel, ...]
    limits: StreamLimits
    stream_path: str
    """Appended to the WebSocket base URL; SUBSCRIBE messages follow."""
    codec: Codec
    calendar: Calendar
    open_rest: OpenRest
    read_symbol: Callable[[str], str | None] = str.upper
    """What a user wrote in the exchange's own form; None where it can be no symbol of it."""
    klines: Literal["streamed", "built"] = "streamed"
    """Built: its streams close none, and they are made from the trades."""
    hint_451: str = HINT_451
    """What to do where the exchange does not serve the place (HTTP 451)."""
    reach: Reach = Reach()
    cost: Cost = Cost()
    published: PublishedFiles | None = None
    """None where the exchange publishes no files of its past."""

    @property
    def folder(self) -> str:
        """The part of VAR_DIR that its collector has."""
        return self.key_prefix.rstrip(":") or "live"

    def without_name(self, symbol: str) -> str:
        """A symbol as people write it, without this exchange's name before it."""
        name, colon, rest = symbol.partition(":")
        return rest if colon and name.casefold() == self.name.casefold() else symbol

    def has_stream(self, key: Key) -> bool:
        """Whether it is subscribed to; else it is made of what is."""
        return key.channel != "kline" or self.klines == "streamed"

    def completed(self, channels: Sequence[Channel]) -> tuple[Channel, ...]:
        """With what others of them are made of."""
        is_wanting = self.klines == "built" and "kline" in channels and "trade" not in channels
        return (*channels, "trade") if is_wanting else tuple(channels)

    @property
    def store_keys(self) -> StoreKeys:
        """The names of its Redis keys."""
        return StoreKeys(self.key_prefix)
