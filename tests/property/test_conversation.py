"""Streams asked of an exchange that answers, refuses and hangs up in any way: each is agreed to or told in the end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from data_collector.model.errors import VenueUnreachable
from data_collector.observe.counters import Counters
from data_collector.pipeline.connections.conversation import Conversation
from data_collector.pipeline.connections.refused_streams import RefusedStreams
from data_collector.pipeline.connections.websocket import WebSocket
from tests.unit.pipeline.connections.answering import Exchange, Habits, PlainCodec, symbol_of

STREAMS = [f"{channel}:{symbol}" for symbol in "ABCDEFG" for channel in ("trade", "ticker")]
CONNECTIONS_MAX = 100

HABITS = st.builds(
    Habits,
    way=st.sampled_from(("request", "stream", "symbol", "list")),
    numbers=st.booleans(),
    names=st.booleans(),
    closes=st.booleans(),
)


class Line:
    """What a line does: it dials until it has what it wants, and then goes on with that connection."""

    def __init__(self, exchange: Exchange, codec: PlainCodec) -> None:
        self.refused = RefusedStreams(lambda: self.now_s)
        self.now_s = 0.0
        self._exchange = exchange
        self._codec = codec
        self._connection: tuple[Conversation, WebSocket] | None = None

    async def connect(self, streams: Sequence[str]) -> tuple[Conversation, WebSocket]:
        for _ in range(CONNECTIONS_MAX):
            self.now_s += 1.0
            conversation = Conversation(self._codec, Counters(), self.refused)
            socket = self._exchange.open(conversation)
            try:
                await conversation.subscribe_surely(socket, streams)
            except VenueUnreachable:
                socket.close("not subscribed")
            if not socket.ended.done():
                return conversation, socket
            self.refused.blame()
        raise AssertionError(f"not subscribed after {CONNECTIONS_MAX} connections: {self.refused.found}")


@given(
    streams=st.lists(st.sampled_from(STREAMS), min_size=1, unique=True),
    bad=st.sets(st.sampled_from(STREAMS)),
    habits=HABITS,
    size=st.integers(1, 15),
    losses=st.integers(0, 5),
    seed=st.integers(0, 1_000_000),
)
@settings(max_examples=300, deadline=None)
def test_every_stream_is_subscribed_or_told_and_no_good_one_is_refused(
    streams: list[str], bad: set[str], habits: Habits, size: int, losses: int, seed: int
) -> None:
    if habits.names:
        # A symbol that is refused by name is refused in all of a request.
        bad = {stream for stream in STREAMS if symbol_of(stream) in {*map(symbol_of, bad)}}
    # Where nothing else is there to carry, all are asked for at each connection.
    assume(not (habits.closes and set(streams) <= bad))
    exchange = Exchange(sorted(bad), habits, seed, losses)
    line = Line(exchange, PlainCodec(size, tells=habits.way == "list"))

    async def run() -> None:
        conversation, socket = await line.connect(streams)
        assert exchange.subscribed == set(streams) - bad
        assert set(line.refused.found) == set(streams) & bad

        if losses or habits.closes:
            return
        exchange.bad.clear()
        for _ in streams:
            # They are listed after all.
            line.now_s += 1_000.0
            await conversation.ask_again(socket)
        assert not line.refused.found
        assert exchange.subscribed == set(streams)

    asyncio.run(run())
