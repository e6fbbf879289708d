"""What only one exchange has, as its folder exports it: its ends of streams and REST, before the one market."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from aiohttp import web
from msgspec import Struct

from data_collector.model.records import Record
from data_collector.simulator.control.faults import RefuseStreams, RestFault
from data_collector.simulator.market.market import Market, SymbolMarket
from data_collector.simulator.settings import SimulatorSettings


class Form(Struct, frozen=True):
    """How a connection wants its frames, where the exchange lets it choose."""

    combined: bool = False
    """Each frame names its stream."""
    microseconds: bool = False


class Manners(Struct, frozen=True):
    """What the exchange does with its connections, and allows on them; None is never, or any number."""

    connects_max: int
    connects_window_s: float
    """All clients together count as one address."""
    max_age_s: float
    """A connection is closed when it is this old."""
    ping_interval_s: float | None = None
    pong_timeout_s: float = 60.0
    messages_per_s: int | None = None
    """Pings, pongs and texts of a connection in any second."""
    streams_per_connection: int | None = None
    silence_s: float | None = None
    """A connection is closed on which the client has said nothing for so long."""
    subscribe_within_s: float | None = None
    """A connection is closed that is subscribed to nothing after so long."""
    pulse_s: float | None = None
    """A connection that is subscribed to something, and was sent nothing for so long, is sent a sign of life."""


class Peer(Protocol):
    """A client on the stream side, as a speaker sees it."""

    form: Form

    @property
    def streams(self) -> Iterable[str]:
        """What it is subscribed to."""

    def has_room(self, streams: Sequence[str]) -> bool:
        """Whether it may be subscribed to these too."""

    def subscribe(self, streams: Sequence[str]) -> None:
        """Send it these streams from now on; again is the same as once."""

    def drop_stream(self, stream: str) -> None:
        """End a subscription; one that is not there is no error."""

    def refusal(self, stream: str) -> RefuseStreams | None:
        """The fault that a subscription to this stream meets; counts it."""

    def send_text(self, payload: bytes) -> None:
        """A text message that belongs to no stream."""

    def tell(self, stream: str, payloads: Sequence[bytes]) -> None:
        """Payloads of a stream, to this client alone."""

    def close(self, code: int, reason: str) -> None:
        """Send a close frame and cut the connection soon after."""


class Scheduled(Protocol):
    """A stream that speaks at fixed times."""

    def due(self, now_ms: int) -> tuple[list[Record], int]:
        """What to send now, and when to ask again."""


class Live(Struct, frozen=True):
    """A stream that speaks when a symbol trades."""

    symbol: str
    """The market's name for it."""
    records: Callable[[SymbolMarket, int, int, int], Sequence[Record]]
    """What the trades between two positions of the tape come to, told at this time (ms)."""


class StreamSpeaker(Protocol):
    """The exchange's end of its stream connections."""

    @property
    def our_form(self) -> Form:
        """Of the connections that our collector makes."""

    @property
    def manners(self) -> Manners:
        """See there."""

    def admits(self, path: bytes) -> bool:
        """Whether there is anything at this path."""

    def greet(self, path: bytes, peer: Peer) -> None:
        """A connection was made."""

    def hear(self, text: bytes, peer: Peer) -> None:
        """The client said something."""

    def pulse(self, peer: Peer) -> None:
        """Give a sign of life."""

    def announce_closing(self, peer: Peer, *, unwrapped: bool) -> None:
        """Tell that the connection will be closed soon; `unwrapped` as on a connection that wants bare frames."""

    def stream_of(self, stream: str) -> Scheduled | Live | None:
        """What a stream tells; None for one that stays silent."""

    def trades_stream(self, symbol: str) -> str:
        """The name of a symbol's stream of trades."""

    def payloads(self, stream: str, records: Sequence[Record], form: Form) -> list[bytes]:
        """What a stream sends of these records: one payload each, or several in one."""

    def text(self, stream: str, payload: bytes, form: Form) -> bytes:
        """The text frame of a payload."""


class RestSpeaker(Protocol):
    """The exchange's end of REST."""

    @property
    def used(self) -> int:
        """What is used of its budget of requests."""

    async def answer(self, request: web.Request, fault: RestFault | None) -> web.StreamResponse:
        """One request, of the present moment of the market."""


class Speaker(Struct, frozen=True):
    """An exchange's other end, as its folder exports it."""

    name: str
    """Of the exchange."""
    speak: Callable[[Record], bytes]
    """The frame by which the exchange tells us a record."""
    market_symbol: Callable[[str], str]
    """The market's name for a symbol that the exchange may call otherwise."""
    open_streams: Callable[[Market, SimulatorSettings], StreamSpeaker]
    open_rest: Callable[[Market, SimulatorSettings], RestSpeaker]
