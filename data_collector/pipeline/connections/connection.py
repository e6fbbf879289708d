"""An open connection of a line, and the control messages that go over it.

Life cycle: the line makes a connection when it has dialled and subscribed, and forgets it when the socket has ended. It
keeps one conversation over all its connections; requests are numbered on. Answers come in through `take_reply` from the
socket's callback. Several requests may be under way at once. The pace of sending is the socket's (`WebSocket.send`),
which counts pongs too.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from data_collector.model.errors import VenueUnreachable
from data_collector.model.venue import Acknowledged, Codec, Listed, Refused
from data_collector.observe.counters import Counters
from data_collector.pipeline.connections.websocket import WebSocket

ROLLOVER_EARLY = (0.94, 0.98)
"""At which part of the connection's allowed age the next one is opened (hours 22.5 to 23.5 of 24), at random."""

OVERDUE_PART = 0.99
"""A connection of that age (23:45 of 24 hours) without a successor is an error."""

SUBSCRIPTIONS_S = (180.0, 300.0)
"""How often the exchange is asked what is subscribed, at random."""

REPLY_TIMEOUT_S = 10.0
"""The exchange answers a subscription in milliseconds."""


Reply = Acknowledged | Refused | Listed


class Connection:
    """When it began, what it was asked for, and when it is due for what."""

    def __init__(self, socket: WebSocket, max_age_s: float, streams: Sequence[str]) -> None:
        self.socket = socket
        self.streams = streams
        """What it was asked for."""
        self.changing = asyncio.Lock()
        self.began_s = time.monotonic()
        self.began_at = datetime.now(UTC)
        self.roll_over_s = self.began_s + max_age_s * random.uniform(*ROLLOVER_EARLY)
        self.overdue_s = self.began_s + max_age_s * OVERDUE_PART
        self.put_check_off()
        self.ends_soon = False
        """The exchange has announced it."""

    @property
    def served_s(self) -> float:
        """For how long it has been open."""
        return time.monotonic() - self.began_s

    def put_check_off(self) -> None:
        """Ask the exchange what is subscribed again, some time later."""
        self.check_s = time.monotonic() + random.uniform(*SUBSCRIPTIONS_S)


class Conversation:
    """Asks, and pairs answers with questions. Every method raises `VenueUnreachable` when there was no good answer."""

    def __init__(self, codec: Codec, counters: Counters) -> None:
        self._codec = codec
        self._counters = counters
        self._replies: dict[int, asyncio.Future[Reply]] = {}
        self._number = 0

    def take_reply(self, reply: Reply) -> bool:
        """Whether somebody waits for it."""
        waiting = self._replies.get(reply.number) if isinstance(reply.number, int) else None
        if waiting is None or waiting.done():
            return False
        waiting.set_result(reply)
        return True

    async def subscribe(self, socket: WebSocket, streams: Sequence[str]) -> None:
        """Ask for streams; one that is subscribed already is not sent twice."""
        await self._request(socket, streams, adds=True)

    async def subscribe_surely(self, socket: WebSocket, streams: Sequence[str]) -> None:
        """Ask for streams, and check that the exchange lists them: its answer alone proves nothing."""
        await self.subscribe(socket, streams)
        missing = await self.missing(socket, streams)
        if missing:
            raise VenueUnreachable(f"the exchange left out {len(missing)} streams, such as {min(missing)}")

    async def unsubscribe(self, socket: WebSocket, streams: Sequence[str]) -> None:
        """Ask for streams no longer."""
        await self._request(socket, streams, adds=False)

    async def missing(self, socket: WebSocket, streams: Sequence[str]) -> list[str]:
        """Which of the streams the exchange says are not subscribed."""
        survey = self._codec.survey(self._number + 1)
        reply = None if survey is None else await self._ask(socket, survey)
        if not isinstance(reply, Listed):
            return []
        listed = set(reply.streams)
        return [stream for stream in streams if stream not in listed]

    async def change(self, socket: WebSocket, old: Sequence[str], new: Sequence[str]) -> None:
        """Give up what is not in `new`, ask for what is not in `old`, and check that the exchange lists all of it."""
        was, wanted = set(old), set(new)
        await self.unsubscribe(socket, [stream for stream in old if stream not in wanted])
        await self.subscribe_surely(socket, [stream for stream in new if stream not in was])

    async def _request(self, socket: WebSocket, streams: Sequence[str], *, adds: bool) -> None:
        for request in self._codec.requests(streams, self._number + 1, adds=adds):
            await self._ask(socket, request.frame)

    async def _ask(self, socket: WebSocket, message: bytes) -> Reply:
        self._number += 1
        request_id = self._number
        answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._replies[request_id] = answered
        try:
            self._counters.add("data_collector_control_messages_total")
            await socket.send(message)
            await asyncio.wait((answered, socket.ended), timeout=REPLY_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
            if not answered.done():
                raise VenueUnreachable(f"no answer to a subscription ({socket.end_reason() or 'still connected'})")
        finally:
            del self._replies[request_id]
        reply = answered.result()
        if isinstance(reply, Refused):
            raise VenueUnreachable(f"the exchange refused a subscription: {reply.error} (code {reply.code})")
        return reply
