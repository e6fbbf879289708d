"""A venue's codec talks with the venue's own other end: all that is asked for is given or refused by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from msgspec import structs

from data_collector.model.keys import Key
from data_collector.model.records import Record
from data_collector.model.venue import Acknowledged, Event, Listed, Pulse, Refused, Request, Venue
from data_collector.pipeline.connections.asked import Asked
from data_collector.simulator import RefuseStreams
from data_collector.simulator.speaker import Form, StreamSpeaker
from data_collector.venues.discovery import find_speaker
from tests.conformance.worlds import collecting, market_of, stream, symbols_of
from tests.integration.store_reader import Store
from tests.integration.waiting import until_async

pytestmark = pytest.mark.usefixtures("hurried")


def unframed(frame: bytes) -> bytes:
    """The text of a WebSocket frame that nothing masks."""
    return frame[{126: 4, 127: 10}.get(frame[1], 2) :]


class Listener:
    """A client on the stream side that keeps what it is told."""

    def __init__(self, venue: Venue, spoken: StreamSpeaker, refused: str = "") -> None:
        self.form = Form()
        self.told: list[Event] = []
        self._codec = venue.codec.session()
        self._spoken = spoken
        self._streams: dict[str, None] = {}
        self._refused = refused
        spoken.greet(venue.stream_path.encode(), self)

    @property
    def streams(self) -> Iterable[str]:
        return list(self._streams)

    def has_room(self, streams: Sequence[str]) -> bool:
        return True

    def subscribe(self, streams: Sequence[str]) -> None:
        self._streams |= dict.fromkeys(streams)

    def drop_stream(self, stream: str) -> None:
        self._streams.pop(stream, None)

    def refusal(self, stream: str) -> RefuseStreams | None:
        return RefuseStreams(stream=stream) if stream == self._refused else None

    def send_text(self, payload: bytes) -> None:
        decoded = self._codec.decode(payload, 1)
        self.told += decoded if isinstance(decoded, list) else [decoded]

    def tell(self, stream: str, payloads: Sequence[bytes]) -> None:
        for payload in payloads:
            self.send_text(unframed(self._spoken.text(stream, payload, self.form)))

    def close(self, code: int, reason: str) -> None:
        raise AssertionError(reason)

    def say(self, text: bytes) -> list[Event]:
        """What is answered."""
        self.told.clear()
        self._spoken.hear(text, self)
        return list(self.told)


def listener(venue: Venue, refused: str = "") -> Listener:
    market = market_of(venue)
    speaker = find_speaker(venue.name)
    return Listener(venue, speaker.open_streams(market.market, market.settings), refused)


def names_of(venue: Venue) -> list[str]:
    """Every stream of two symbols that a collector of everything asks for."""
    channels = [channel for channel in venue.channels if channel != "kline"]
    keys = [Key(channel, symbol) for symbol in symbols_of(venue) for channel in channels]
    if venue.klines == "streamed":
        keys += [Key("kline", symbol, interval) for symbol in symbols_of(venue) for interval in venue.intervals]
    return [venue.codec.stream_name(key) for key in keys]


def given(request: Request, answers: Iterable[Event]) -> set[str]:
    """The streams of a request that answers agree to."""
    asked = Asked(request)
    for answer in answers:
        if isinstance(answer, Acknowledged | Listed | Refused):
            asked.take(answer)
    return set(asked.agreed)


def test_all_streams_are_given_and_given_up(venue: Venue) -> None:
    client, names = listener(venue), names_of(venue)

    for adds in (True, False):
        requests = venue.codec.requests(names, 5, adds=adds)
        assert [request.number for request in requests] == list(range(5, 5 + len(requests)))
        assert sorted(name for request in requests for name in request.streams) == sorted(names)
        for request in requests:
            assert request.adds == adds
            assert len(request.symbols) == len(request.streams)
            assert given(request, client.say(request.frame)) == set(request.streams)
        # Beside them there may be streams of signs of life.
        assert set(client.streams) >= set(names) if adds else not list(client.streams)


def test_refusal_says_what_it_is_about(venue: Venue) -> None:
    """By its request, or by the symbol as well; and what is not meant by it is not lost."""
    wanted = stream(venue, "trade", symbols_of(venue)[1])
    client = listener(venue, refused=wanted)
    (request,) = [one for one in venue.codec.requests(names_of(venue), 5, adds=True) if wanted in one.streams]

    answers = client.say(request.frame)

    (refusal,) = [answer for answer in answers if isinstance(answer, Refused)]
    assert refusal.number in {None, request.number}
    assert refusal.error
    assert refusal.symbol in {None, symbols_of(venue)[1]}
    assert wanted not in given(request, answers)


def test_keepalive_and_pulse_are_signs_of_life(venue: Venue) -> None:
    client, keepalive = listener(venue), venue.codec.keepalive(9)

    assert (keepalive is None) == (venue.limits.keepalive_s is None)
    if keepalive is not None:
        assert client.say(keepalive) == [Pulse()]


def test_several_records_of_a_frame_are_all_read(venue: Venue) -> None:
    simulator = market_of(venue)
    symbol = symbols_of(venue)[0]
    spoken = find_speaker(venue.name).open_streams(simulator.market, simulator.settings)
    name = stream(venue, "trade", symbol)
    tape = [structs.replace(trade, sub_ms_us=7) for trade in simulator.tape(symbol)[:20]]
    records: list[Record] = [structs.replace(trade, time_ms=tape[0].time_ms) for trade in tape]

    decoded: list[Record] = []
    for payload in spoken.payloads(name, records, Form()):
        told = venue.codec.decode(unframed(spoken.text(name, payload, Form())), 1)
        decoded += told if isinstance(told, list) else [one for one in (told,) if isinstance(one, Record)]

    assert [getattr(one, "trade_id", None) for one in decoded] == [trade.trade_id for trade in tape]
    assert {one.symbol for one in decoded} == {symbol}


async def test_refused_symbol_is_told_and_the_other_flows(store: Store, folder: Path, venue: Venue) -> None:
    good, refused = symbols_of(venue)
    simulator = market_of(venue)
    for channel in venue.channels:
        if channel != "kline":
            simulator.faults.add(RefuseStreams(stream=stream(venue, channel, refused)))
    async with collecting(venue, store, folder, simulator) as scene:
        await until_async(lambda: scene.status.connections[0].state == "connected", "a connection")
        scene.simulator.advance(5_000)
        newest = scene.simulator.tape(good)[-1].trade_id
        await until_async(lambda: store.tail_id(good) == newest, "trades of the good symbol")
        await until_async(lambda: any("refuses" in reason for reason in scene.status.reasons), "the reason")

        (reason,) = [reason for reason in scene.status.reasons if "refuses" in reason]
        assert refused in reason
        assert good not in reason
        assert scene.status.condition == "degraded"
