"""What is said on one connection: requests about streams, the exchange's answers to them, and signs of life.

Life cycle: the line makes one for each connection that it dials; answers come in through `take` from the socket's
callback. One question is under way at a time, because some exchanges' answers name none; requests are numbered on. The
pace of sending is the socket's (`WebSocket.send`), which counts pongs too.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from data_collector.model.errors import VenueUnreachable
from data_collector.model.venue import Acknowledged, Codec, Listed, Refused, Request
from data_collector.observe.counters import Counters
from data_collector.pipeline.connections.asked import Answer, Asked, Survey
from data_collector.pipeline.connections.refused_streams import RefusedStreams
from data_collector.pipeline.connections.websocket import WebSocket

REPLY_TIMEOUT_S = 10.0
"""The exchange answers a subscription in milliseconds."""


class Conversation:
    """Asks, and pairs answers with questions. Every method raises `VenueUnreachable` when there was no good answer.

    A stream that alone is refused is no failure: it is left to `refused`, and the others are subscribed to.
    """

    def __init__(self, codec: Codec, counters: Counters, refused: RefusedStreams) -> None:
        self._codec = codec
        self._counters = counters
        self._refused = refused
        self._turn = asyncio.Lock()
        self._number = 0
        self._question: Asked | Survey | None = None
        self._answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def take(self, answer: Answer) -> bool:
        """Whether somebody waits for it."""
        question = self._question
        if question is not None and not self._answered.done() and question.take(answer):
            if question.is_done:
                self._answered.set_result(None)
            return True
        if isinstance(answer, Acknowledged):
            # Perhaps of a request that was waited for no longer.
            self._refused.accept(answer.streams or ())
        return False

    def keepalive(self) -> bytes | None:
        """What tells the exchange that we are there, where it wants to be told."""
        self._number += 1
        return self._codec.keepalive(self._number)

    async def subscribe(self, socket: WebSocket, streams: Sequence[str]) -> None:
        """Ask for streams; one that is subscribed already is not sent twice."""
        async with self._turn:
            await self._ask_for(socket, self._refused.portions(streams))

    async def subscribe_surely(self, socket: WebSocket, streams: Sequence[str]) -> None:
        """Ask for streams, and check that the exchange lists them, where it does: its answer alone proves nothing."""
        await self.subscribe(socket, streams)
        missing = await self.missing(socket, streams)
        if missing:
            raise VenueUnreachable(f"the exchange left out {len(missing)} streams, such as {min(missing)}")

    async def ask_again(self, socket: WebSocket) -> None:
        """Ask for streams that were refused long ago."""
        async with self._turn:
            await self._ask_for(socket, self._refused.due())

    async def unsubscribe(self, socket: WebSocket, streams: Sequence[str]) -> None:
        """Ask for streams no longer."""
        given = [stream for stream in streams if stream not in self._refused.found]
        async with self._turn:
            asked = [await self._request(socket, request) for request in self._requests(given, adds=False)]
        for each in asked:
            if each.first_refusal is not None or each.waiting:
                raise _refused(each.first_refusal)

    async def missing(self, socket: WebSocket, streams: Sequence[str]) -> list[str]:
        """Which of the streams the exchange says are not subscribed; none where it does not tell."""
        async with self._turn:
            message = self._codec.survey(self._number + 1)
            if message is None:
                return []
            survey = Survey(self._number + 1)
            await self._ask(socket, survey, self._number + 1, message)
        if isinstance(survey.answer, Refused):
            raise _refused(survey.answer)
        if not isinstance(survey.answer, Listed):
            return []
        present = {*survey.answer.streams, *self._refused.found}
        return [stream for stream in streams if stream not in present]

    async def change(self, socket: WebSocket, old: Sequence[str], new: Sequence[str]) -> None:
        """Give up what is not in `new`, ask for what is not in `old`, and check that the exchange lists all of it."""
        was, wanted = set(old), set(new)
        await self.unsubscribe(socket, [stream for stream in old if stream not in wanted])
        await self.subscribe_surely(socket, [stream for stream in new if stream not in was])

    async def _ask_for(self, socket: WebSocket, portions: Sequence[Sequence[str]]) -> None:
        waiting = deque(portions)
        while waiting:
            for request in self._requests(waiting.popleft(), adds=True):
                asked = await self._request(socket, request)
                if asked.refusal is not None and asked.refusal.passes:
                    raise _refused(asked.refusal)
                waiting.extend(self._refused.judge(asked))

    def _requests(self, streams: Sequence[str], *, adds: bool) -> list[Request]:
        return self._codec.requests(streams, self._number + 1, adds=adds) if streams else []

    async def _request(self, socket: WebSocket, request: Request) -> Asked:
        asked = Asked(request)
        try:
            await self._ask(socket, asked, request.number, request.frame)
        except VenueUnreachable:
            # What was said before the end is true all the same.
            if request.adds and asked.is_answered:
                self._refused.judge(asked, is_over=False)
            self._refused.blame()
            raise
        return asked

    async def _ask(self, socket: WebSocket, question: Asked | Survey, number: int, message: bytes) -> None:
        """Returns when it is answered, or some of it and the rest is not to be expected any more."""
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._number, self._question, self._answered = number, question, answered
        try:
            self._counters.add("data_collector_control_messages_total")
            await socket.send(message)
            await asyncio.wait((answered, socket.ended), timeout=REPLY_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
            if not answered.done() and (socket.ended.done() or not question.is_answered):
                raise VenueUnreachable(f"no answer to a subscription ({socket.end_reason() or 'still connected'})")
        finally:
            self._question = None


def _refused(refusal: Refused | None) -> VenueUnreachable:
    if refusal is None:
        return VenueUnreachable("no answer for some of the streams that were given up")
    return VenueUnreachable(f"the exchange refused a subscription: {refusal.error} (code {refusal.code})")
