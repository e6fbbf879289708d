"""The link between the collector process and whoever started it (the HTTP process).

The starter asks, the collector answers in order (`data_collector.child` has the link itself). When either hangs up or
dies, the collector stops in an orderly way. The two live in processes of their own so that no HTTP client can take the
event loop or the interpreter lock away from the feed (docs/decisions/0001-two-processes.md).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import Final, Literal

import msgspec
from msgspec import Struct

from data_collector.child import FrameTooLong, Link, LinkLost, open_link
from data_collector.model.errors import Transient
from data_collector.model.status import Snapshot
from data_collector.model.subscriptions import DesiredSubscriptions
from data_collector.time_limit import time_limit

ANSWER_TIMEOUT_S = 2.0
"""The collector's loop answers in milliseconds; silence of this length is a stalled process."""

LAST_WORDS_S = 0.5
"""They lie there already, or never come."""

Action = Literal["status", "start", "stop", "subscriptions", "resubscribe"]


class Request(Struct):
    """What the starter asks. `start`, `stop` and `resubscribe` are answered when they are begun."""

    action: Action
    desired: DesiredSubscriptions | None = None
    """For `resubscribe` only."""


REQUESTS: Final = msgspec.msgpack.Decoder(Request)
SNAPSHOTS: Final = msgspec.msgpack.Decoder(Snapshot)


_OPEN_TO_THE_END: Final[list[socket.socket]] = []
"""What the end of the process closes, and nothing before it."""


TURNS_TO_READ: Final = 3
"""Of the event loop, in which it reads what has come."""


class ControlClient:
    """The starter's side. Calls take turns; each gets a fresh snapshot."""

    def __init__(self, link: Link[Snapshot]) -> None:
        self._link = link
        self._turn = asyncio.Lock()

    async def ask(self, request: Request, *, timeout_s: float = ANSWER_TIMEOUT_S) -> Snapshot:
        """Carry out a request and return the state after it.

        Raises `Transient` when the collector is gone or does not answer in time. After a timeout the line is
        closed, because a late answer would be taken for that of the next question.
        """
        async with self._turn:
            answering = asyncio.create_task(self._link.receive())
            try:
                async with time_limit(timeout_s):
                    # What it said at its end may be there already, and is lost to who writes to a line that is closed.
                    for _ in range(TURNS_TO_READ):
                        await asyncio.sleep(0)
                    if not answering.done():
                        await self._link.send(request)
                    return await answering
            except (LinkLost, TimeoutError, FrameTooLong) as error:
                self.close()
                raise Transient("The collector process does not answer.") from error
            finally:
                answering.cancel()
                await asyncio.gather(answering, return_exceptions=True)

    async def last_words(self) -> Snapshot | None:
        """What a collector that has ended told unasked; None where it told nothing."""
        try:
            # Something that it has started may hold its end of the line.
            async with time_limit(LAST_WORDS_S), self._turn:
                return await self._link.receive()
        except (LinkLost, TimeoutError):
            return None

    def close(self) -> None:
        """Hang up; the collector process then stops by itself."""
        self._link.close()


async def serve_control(
    connection: socket.socket, answer: Callable[[Request], Awaitable[Snapshot]], last: Callable[[], Snapshot | None]
) -> None:
    """The collector's side: answer requests until the starter hangs up or dies; then return.

    Cancelled, it tells the `last` words first, whether somebody has asked or not.
    """
    link = await open_link(connection, REQUESTS)
    try:
        while True:
            await link.send(await answer(await link.receive()))
    except LinkLost:
        return
    except asyncio.CancelledError:
        words = last()
        if words is not None:
            # A question that met a closed line would take unread words along.
            _OPEN_TO_THE_END.append(connection.dup())
            with contextlib.suppress(LinkLost):
                await link.send(words)
        raise
    finally:
        link.close()
