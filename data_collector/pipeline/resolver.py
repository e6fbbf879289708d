"""Host names to open sockets, also while the name server is away.

Life cycle: the service makes one for all lines and all starts. Each dial asks anew; the addresses that were good last
are used when the answer fails or takes too long. A lookup that hangs holds one thread of its own, never the event loop,
the pool that files are written in, or the end of the process.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress

from aiohappyeyeballs import AddrInfoType, start_connection

from data_collector.observe.counters import Counters

LOOKUP_TIMEOUT_S = 3.0

TCP_TIMEOUT_S = 3.0
"""For one address before the next is tried beside it."""

Answer = Sequence[AddrInfoType] | OSError
"""Of a lookup."""


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
            async with asyncio.timeout(timeout_s):
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
