"""What is asked of an exchange, whose answers come in every form, and what is done about what it refuses."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from data_collector.model.errors import VenueUnreachable
from data_collector.model.venue import Acknowledged, Refused
from data_collector.observe.counters import Counters
from data_collector.pipeline.connections import conversation as module
from data_collector.pipeline.connections.conversation import Conversation
from data_collector.pipeline.connections.refused_streams import (
    AGAIN_S,
    CUT_S,
    SOON_S,
    UNANSWERED,
    RefusedStreams,
)
from data_collector.pipeline.connections.websocket import WebSocket
from tests.unit.pipeline.connections.answering import Exchange, Habits, PlainCodec

STREAMS = [f"{channel}:{symbol}" for symbol in "ABCD" for channel in ("trade", "ticker")]
NAMED = Habits(way="stream", names=True)


class Scene:
    """One connection to an exchange."""

    def __init__(self, bad: Sequence[str] = (), habits: Habits = NAMED, *, tells: bool = False) -> None:
        self.now_s = 1_000.0
        self.exchange = Exchange(bad, habits)
        self.codec = PlainCodec(tells=tells)
        self.refused = RefusedStreams(lambda: self.now_s)
        self.connect()

    def connect(self) -> None:
        self.conversation = Conversation(self.codec, Counters(), self.refused)
        self.socket: WebSocket = self.exchange.open(self.conversation)

    async def subscribe(self, streams: Sequence[str] = STREAMS) -> None:
        await self.conversation.subscribe_surely(self.socket, streams)

    @property
    def words(self) -> dict[str, str]:
        return {stream: each.words for stream, each in self.refused.found.items()}


async def test_streams_are_acknowledged_one_by_one() -> None:
    scene = Scene()

    await scene.subscribe()

    assert scene.exchange.subscribed == set(STREAMS)
    assert scene.exchange.asked == [STREAMS]
    assert not scene.refused.found


async def test_list_without_a_number_acknowledges_what_it_names() -> None:
    scene = Scene(habits=Habits(way="list", numbers=False))

    await scene.subscribe()
    await scene.conversation.unsubscribe(scene.socket, STREAMS[:2])

    assert scene.exchange.subscribed == set(STREAMS[2:])


async def test_refusal_that_names_its_symbol_leaves_it_out_at_once() -> None:
    scene = Scene(["trade:B", "ticker:B"])

    await scene.subscribe()

    assert scene.exchange.asked == [STREAMS]
    assert scene.words == {"trade:B": "not listed", "ticker:B": "not listed"}


async def test_refusal_of_a_whole_request_is_narrowed_down_by_symbols_first() -> None:
    scene = Scene(["trade:B", "ticker:B"], Habits())

    await scene.subscribe()

    assert scene.exchange.asked == [
        STREAMS,
        ["trade:A", "ticker:A", "trade:B", "ticker:B"],
        ["trade:C", "ticker:C", "trade:D", "ticker:D"],
        ["trade:A", "ticker:A"],
        ["trade:B", "ticker:B"],
        ["trade:B"],
        ["ticker:B"],
    ]
    assert scene.words == {"trade:B": "a bad name", "ticker:B": "a bad name"}
    assert scene.exchange.subscribed == set(STREAMS) - {"trade:B", "ticker:B"}


async def test_what_is_in_doubt_is_asked_for_last_on_the_next_connection() -> None:
    scene = Scene(["trade:B"], Habits(closes=True))
    with pytest.raises(VenueUnreachable):
        await scene.subscribe(STREAMS[:4])
    scene.exchange.asked.clear()
    scene.connect()

    with pytest.raises(VenueUnreachable):
        await scene.subscribe()

    assert scene.exchange.asked == [STREAMS[4:], ["trade:A", "ticker:A"], ["trade:B", "ticker:B"]]


async def test_refused_stream_is_asked_for_again_after_minutes() -> None:
    scene = Scene(["trade:B", "ticker:B"])
    await scene.subscribe()
    scene.exchange.bad.clear()

    scene.now_s += AGAIN_S[0] - 1.0
    await scene.conversation.ask_again(scene.socket)
    assert scene.refused.found

    scene.now_s += AGAIN_S[1] - AGAIN_S[0] + 1.0
    await scene.conversation.ask_again(scene.socket)
    assert not scene.refused.found
    assert scene.exchange.asked[1:] == [["trade:B", "ticker:B"]]


async def test_those_of_whole_requests_are_asked_for_again_one_at_a_time() -> None:
    """Together they would be refused together, and narrowed down anew."""
    scene = Scene(["trade:B", "ticker:D"], Habits())
    await scene.subscribe()
    scene.exchange.asked.clear()
    scene.now_s += AGAIN_S[1]

    await scene.conversation.ask_again(scene.socket)
    await scene.conversation.ask_again(scene.socket)
    await scene.conversation.ask_again(scene.socket)

    assert sorted(scene.exchange.asked) == [["ticker:D"], ["trade:B"]]


async def test_symbol_that_is_refused_for_now_is_asked_for_again_in_seconds() -> None:
    scene = Scene(["trade:B"], Habits(way="stream", names=True, passes=True))
    await scene.subscribe()
    scene.exchange.bad.clear()
    scene.now_s += SOON_S[1]

    await scene.conversation.ask_again(scene.socket)

    assert not scene.refused.found


async def test_whole_request_that_is_refused_for_now_costs_the_connection_and_no_stream() -> None:
    scene = Scene(["trade:B"], Habits(passes=True))

    with pytest.raises(VenueUnreachable, match="refused a subscription: a bad name"):
        await scene.subscribe()

    assert not scene.refused.found
    assert scene.exchange.asked == [STREAMS]


async def test_stream_without_an_answer_is_told_and_taken_when_the_answer_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "REPLY_TIMEOUT_S", 0.01)
    scene = Scene(habits=Habits(way="stream", forgets=1))

    await scene.subscribe()
    [stream] = scene.refused.found
    assert scene.words[stream] == UNANSWERED

    scene.conversation.take(Acknowledged(1, (stream,)))
    assert not scene.refused.found


async def test_request_without_any_answer_costs_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REPLY_TIMEOUT_S", 0.01)
    scene = Scene(habits=Habits(forgets=1))

    with pytest.raises(VenueUnreachable, match="no answer to a subscription"):
        await scene.subscribe()


async def test_stream_that_has_cost_two_connections_is_not_asked_for_beside_others() -> None:
    scene = Scene(["trade:B"], Habits(way="stream", names=True, closes=True))
    for _ in range(2):
        await scene.subscribe(["trade:B"])
        scene.refused.blame()
        scene.connect()

    await scene.subscribe()
    scene.now_s += AGAIN_S[1]
    await scene.conversation.ask_again(scene.socket)

    assert scene.exchange.asked[2:] == [[stream for stream in STREAMS if stream != "trade:B"]]
    assert scene.refused.found["trade:B"].is_final


async def test_end_of_a_connection_long_after_a_refusal_is_not_its_fault() -> None:
    scene = Scene(["trade:B"])
    await scene.subscribe()

    scene.now_s += CUT_S
    scene.refused.blame()

    assert scene.refused.found["trade:B"].cuts == 0


async def test_refused_streams_are_neither_missing_nor_given_up() -> None:
    scene = Scene(["trade:B"], tells=True)
    await scene.subscribe()

    assert await scene.conversation.missing(scene.socket, STREAMS) == []
    await scene.conversation.unsubscribe(scene.socket, ["trade:A", "trade:B"])

    assert scene.exchange.asked[-1] == ["trade:A"]
    assert await scene.conversation.missing(scene.socket, STREAMS) == ["trade:A"]


async def test_everything_is_given_up_though_some_of_it_was_not_subscribed() -> None:
    """What is subscribed still cannot be asked for anew, where the exchange takes that for a mistake."""
    scene = Scene()
    scene.codec = PlainCodec(2)
    scene.connect()
    await scene.subscribe(STREAMS[:4])
    scene.exchange.habits = Habits(way="stream", names=True, gives_back=False)

    with pytest.raises(VenueUnreachable, match="refused"):
        await scene.conversation.unsubscribe(scene.socket, STREAMS[:4])

    assert scene.exchange.asked[-2:] == [STREAMS[:2], STREAMS[2:4]]
    assert not scene.refused.found


async def test_line_with_nothing_but_refused_streams_asks_for_all_of_them() -> None:
    scene = Scene(STREAMS)
    await scene.subscribe()
    scene.connect()
    scene.exchange.bad.clear()

    await scene.subscribe()

    assert scene.exchange.subscribed == set(STREAMS)
    assert not scene.refused.found


async def test_stream_that_is_wanted_no_longer_is_forgotten() -> None:
    scene = Scene(["trade:B"])
    await scene.subscribe()

    scene.refused.keep(["trade:A"])

    assert not scene.refused.found


async def test_refusal_that_nobody_waits_for_is_nobodys() -> None:
    scene = Scene()
    await scene.subscribe()

    assert not scene.conversation.take(Refused(None, "an error of its own"))
