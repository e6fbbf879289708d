"""Opens WebSockets: name, TCP, TLS and handshake. Redirects are not followed.

Life cycle: the service makes one resolver for all lines and all starts. Each dial asks anew; the addresses that were
good last are used when the answer fails or takes too long, so that a name server may be away. A lookup that hangs holds
one thread of its own, never the event loop, the pool that files are written in, or the end of the process.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from aiohappyeyeballs import AddrInfoType, start_connection
from msgspec import Struct
from picows import WSError, WSHandshakeError, ws_connect
from python_socks import ProxyError

from data_collector.decoding.bounded import bounded, retry_after_s
from data_collector.model.errors import VenueUnreachable
from data_collector.observe.counters import Counters
from data_collector.pipeline.connections.websocket import MESSAGE_BYTES_MAX, Decode, OnControl, Receive, WebSocket
from data_collector.time_limit import time_limit

HANDSHAKE_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 15.0
"""For name, TCP, TLS and handshake together: a peer that swallows packets would hold us for minutes."""

RETRY_AFTER_S_MAX = 600.0
"""The longest wait that the answer to a handshake may ask for: the feed stands still meanwhile."""

LOOKUP_TIMEOUT_S = 3.0

TCP_TIMEOUT_S = 3.0
"""For one address before the next is tried beside it."""

Connect = Callable[[str, int], Awaitable[socket.socket]]
"""Opens a TCP connection to a host and port. Raises `OSError`."""

Answer = Sequence[AddrInfoType] | OSError
"""Of a lookup."""


class Address(Struct, frozen=True):
    """Where WebSockets are opened."""

    url: str
    proxy: str | None = None
    hint_451: str = ""
    """What helps where the exchange refuses our country."""


async def open_websocket(
    address: Address, decode: Decode, receive: Receive, on_control: OnControl, *, messages_per_s: int, connect: Connect
) -> WebSocket:
    """Connect and shake hands. Raises `VenueUnreachable` with a sentence that says what went wrong."""
    try:
        async with time_limit(CONNECT_TIMEOUT_S):
            _, listener = await ws_connect(
                lambda: WebSocket(decode, receive, on_control, messages_per_s),
                address.url,
                ssl_context=_context() if address.url.startswith("wss:") else None,
                websocket_handshake_timeout=HANDSHAKE_TIMEOUT_S,
                enable_auto_ping=False,
                enable_auto_pong=False,
                max_frame_size=MESSAGE_BYTES_MAX,
                max_redirects=0,
                proxy=address.proxy,
                socket_factory=lambda url: connect(url.host, url.port),
            )
    except WSHandshakeError as error:
        raise _handshake_refused(error, address.hint_451) from error
    except ssl.SSLCertVerificationError as error:
        raise VenueUnreachable(f"its certificate cannot be trusted ({error.verify_message})") from error
    except ProxyError as error:
        raise VenueUnreachable(f"the proxy lets nobody through ({error})") from error
    except (OSError, EOFError, WSError, UnicodeError) as error:
        words = getattr(error, "strerror", None) or str(error) or f"no answer within {CONNECT_TIMEOUT_S:g} s"
        raise VenueUnreachable(f"cannot connect ({words})") from error
    if not isinstance(listener, WebSocket):
        # The library does not tell a peer that hangs up in the middle of the handshake from success.
        raise VenueUnreachable("the connection was closed during the handshake")
    if listener.offers:
        raise VenueUnreachable("the handshake was answered with an extension or a protocol that nobody asked for")
    return listener


_REDIRECTS = frozenset({301, 302, 303, 307, 308})


_LABELS = (
    (ProxyError, "proxy"), (ssl.SSLError, "tls"), (socket.gaierror, "name"), (TimeoutError, "timeout"),
    ((OSError, EOFError, WSError, UnicodeError), "connection"),
)  # fmt: skip
"""The first that fits: most are kinds of `OSError`."""


def failure_label(error: VenueUnreachable) -> str:
    """Which step a failed dial failed at, from a closed set (docs/metrics.md)."""
    cause = error.__cause__
    if isinstance(cause, WSHandshakeError):
        response = cause.response
        return "redirect" if response is not None and int(response.status) in _REDIRECTS else "handshake"
    return next((label for kinds, label in _LABELS if isinstance(cause, kinds)), "answer")


def end_label(reason: str) -> str:
    """Why a connection ended, from a closed set too: codes of the exchange's own making are one label."""
    kind, _, code = reason.partition(" ")
    return reason if kind != "close" or code.startswith("10") else "close other"


def _handshake_refused(error: WSHandshakeError, hint_451: str) -> VenueUnreachable:
    response = error.response
    if response is None:
        return VenueUnreachable(f"the handshake failed ({error})")
    status = int(response.status)
    text = f"the handshake was answered with HTTP {status}"
    if status in _REDIRECTS:
        text += " (redirects are not followed)"
    asked_s = retry_after_s(response.headers.get("Retry-After", ""))
    if asked_s is not None and asked_s > RETRY_AFTER_S_MAX:
        text += f" and a longer wait than the {RETRY_AFTER_S_MAX:g} s that are kept"
    hint = f". {hint_451}" if status == 451 and hint_451 else ""
    wait_s = None if asked_s is None else bounded(asked_s, RETRY_AFTER_S_MAX, 0.0)
    return VenueUnreachable(text + hint, retry_after_s=wait_s)


def _context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def look_up(host: str, port: int) -> Sequence[AddrInfoType]:
    """Ask the system; may take half a minute. Raises `OSError`."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class Resolver:
    """Opens TCP connections by name."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._known: dict[tuple[str, int], Sequence[AddrInfoType]] = {}
        self._lookups: dict[tuple[str, int], asyncio.Future[Answer]] = {}

    async def connect(self, host: str, port: int) -> socket.socket:
        """A connected socket. Raises `OSError`."""
        addresses = await self._addresses(host, port)
        timeout_s = TCP_TIMEOUT_S * len(addresses)
        try:
            async with time_limit(timeout_s):
                return await start_connection(addresses, happy_eyeballs_delay=TCP_TIMEOUT_S)
        except TimeoutError as error:
            # It has no text of its own.
            raise TimeoutError(f"{host} did not answer within {timeout_s:g} s") from error

    async def _addresses(self, host: str, port: int) -> Sequence[AddrInfoType]:
        lookup = self._lookups.get((host, port))
        if lookup is None:
            lookup = self._begin_lookup(host, port)
        await asyncio.wait((lookup,), timeout=LOOKUP_TIMEOUT_S)
        answer: Answer = TimeoutError(f"the address of {host} was not found within {LOOKUP_TIMEOUT_S:g} s")
        if lookup.done():
            answer = lookup.result()
            if self._lookups.get((host, port)) is lookup:
                del self._lookups[host, port]
        if not isinstance(answer, OSError):
            self._known[host, port] = answer
            return answer
        self._counters.add("data_collector_dns_errors_total")
        known = self._known.get((host, port))
        if known is None:
            raise answer
        return known

    def _begin_lookup(self, host: str, port: int) -> asyncio.Future[Answer]:
        """One at a time per name, in a thread that nobody waits for at the end."""
        loop = asyncio.get_running_loop()
        lookup: asyncio.Future[Answer] = loop.create_future()
        self._lookups[host, port] = lookup

        def ask() -> None:
            answer: Answer
            try:
                answer = look_up(host, port)
            except OSError as error:
                answer = error
            except UnicodeError:
                answer = OSError(f"{host} is no host name")
            # The loop may have ended meanwhile.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(lookup.set_result, answer)

        threading.Thread(target=ask, name="resolver", daemon=True).start()
        return lookup
