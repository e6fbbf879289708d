"""An exchange that answers requests for streams without a network, in the ways that there are."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import Literal

from msgspec import Struct

from data_collector.model.keys import Key
from data_collector.model.records import Record
from data_collector.model.venue import Acknowledged, Event, Listed, Refused, Request, UnknownEvent
from data_collector.pipeline.connections.asked import Answer
from data_collector.pipeline.connections.conversation import Conversation
from data_collector.pipeline.connections.websocket import WebSocket
from tests.unit.pipeline.connections.connecting import take

Way = Literal["request", "stream", "symbol", "list"]
"""One answer for a request, for each stream, for each symbol of a request, or the list of all that is subscribed."""


def symbol_of(stream: str) -> str:
    return stream.partition(":")[2]


class PlainCodec:
    """Streams are `channel:symbol`; requests hold few."""

    def __init__(self, streams_per_request: int = 200, *, tells: bool = False) -> None:
        """`tells` what is subscribed."""
        self._size = streams_per_request
        self._tells = tells

    def session(self) -> PlainCodec:
        return self

    def stream_name(self, key: Key) -> str:
        return f"{key.channel}:{key.symbol}"

    def requests(self, streams: Sequence[str], number: int, *, adds: bool) -> list[Request]:
        parts = [tuple(streams[at : at + self._size]) for at in range(0, len(streams), self._size)]
        return [
            Request(number + at, _frame(number + at, part, adds=adds), part, tuple(map(symbol_of, part)), adds)
            for at, part in enumerate(parts)
        ]

    def survey(self, number: int) -> bytes | None:
        return _frame(number, (), adds=False) if self._tells else None

    def keepalive(self, number: int) -> bytes:
        return b"still here %d" % number

    def decode(self, frame: bytes | memoryview, received_ns: int) -> Event | list[Record]:
        return UnknownEvent(bytes(frame).decode())


def _frame(number: int, streams: Sequence[str], *, adds: bool) -> bytes:
    return json.dumps([number, list(streams), adds]).encode()


class Habits(Struct, frozen=True):
    """How an exchange answers."""

    way: Way = "request"
    numbers: bool = True
    """Its answers name the request."""
    names: bool = False
    """Its refusals name the symbol."""
    passes: bool = False
    """What it refuses it refuses for now."""
    gives_back: bool = True
    """What is given up; else that is refused."""
    forgets: int = 0
    """So many of a request's answers it leaves out."""
    closes: bool = False
    """It closes the connection after a refusal."""


class Exchange:
    """Refuses what is bad, and loses connections."""

    def __init__(self, bad: Sequence[str], habits: Habits, seed: int = 0, losses: int = 0) -> None:
        self.bad = set(bad)
        self.habits = habits
        self.subscribed: set[str] = set()
        self.asked: list[list[str]] = []
        """The streams of every request."""
        self._dice = random.Random(seed)
        self._losses = losses

    def open(self, conversation: Conversation) -> WebSocket:
        """A new connection, on which nothing is subscribed."""
        self.subscribed = set()
        return _Socket(lambda socket, message: self._hear(socket, conversation, message))

    def _hear(self, socket: WebSocket, conversation: Conversation, message: bytes) -> None:
        number, streams, adds = json.loads(message)
        answers = self._answers(number, streams, adds=adds)
        if self.habits.way != "list":
            self._dice.shuffle(answers)
        for answer in answers:
            if self._losses and self._dice.random() < 0.2:
                self._losses -= 1
                socket.close("reset")
                return
            conversation.take(Acknowledged("of another"))
            conversation.take(answer)
            if isinstance(answer, Refused) and self.habits.closes:
                socket.close("close 1008")
                return

    def _answers(self, number: int, streams: list[str], *, adds: bool) -> list[Answer]:
        told = number if self.habits.numbers else None
        if not streams:
            return [Listed(told, tuple(self.subscribed))]
        self.asked.append(streams)
        bad = [stream for stream in streams if (stream in self.bad if adds else not self.habits.gives_back)]
        if bad and not self.habits.names:
            return [Refused(told, "a bad name", passes=self.habits.passes)]
        good = [stream for stream in streams if stream not in bad]
        self.subscribed = self.subscribed.union(good) if adds else self.subscribed.difference(good)
        symbols = {*map(symbol_of, bad)}
        refusals: list[Answer] = [
            Refused(told, "not listed", symbol=symbol, passes=self.habits.passes) for symbol in symbols
        ]
        return (refusals + self._agreements(told, good))[self.habits.forgets :]

    def _agreements(self, told: int | None, good: list[str]) -> list[Answer]:
        match self.habits.way:
            case "request":
                # One answer cannot be for all where some are refused by name.
                return [Acknowledged(told, tuple(good))] if self.habits.names else [Acknowledged(told)]
            case "list":
                return [Listed(told, tuple(self.subscribed))]
            case "stream":
                return [Acknowledged(told, (stream,)) for stream in good]
            case "symbol":
                symbols = {*map(symbol_of, good)}
                return [Acknowledged(told, tuple(s for s in good if symbol_of(s) == symbol)) for symbol in symbols]


class _Socket(WebSocket):
    def __init__(self, hear: Callable[[WebSocket, bytes], None]) -> None:
        super().__init__(PlainCodec().decode, take, lambda _: None, 1_000_000)
        self._hear = hear

    async def send(self, message: bytes) -> None:
        if not self.ended.done():
            self._hear(self, message)
