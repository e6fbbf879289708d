"""What a socket makes of text messages: decoded once, and given on to whom they concern."""

from __future__ import annotations

import asyncio

from data_collector.model.venue import Acknowledged, Closing
from data_collector.observe.counters import Counters
from data_collector.pipeline.connections.transport import Address, Resolver, open_websocket
from data_collector.pipeline.connections.websocket import Control, Received, Unreadable, WebSocket
from data_collector.venues.binance.codec import BinanceCodec
from data_collector.venues.binance.speaker.frames import encode
from tests.integration.raw_peer import peer, saying
from tests.integration.waiting import until_async
from tests.market import trade

CODEC = BinanceCodec()
GARBAGE = b"garbage"
REPLY = b'{"result":null,"id":3}'
SHUTDOWN = b'{"e":"serverShutdown","E":5}'


class Reader:
    """Where a socket gives its messages to."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.control: list[Control] = []

    async def open(self, url: str) -> WebSocket:
        return await open_websocket(
            Address(url), CODEC.decode, self.received.append, self.control.append, messages_per_s=4,
            connect=Resolver(Counters()).connect,
        )  # fmt: skip


def text(message: bytes, *, starts: bool = True, ends: bool = True) -> bytes:
    """A frame of the server's."""
    size = len(message)
    length = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2, "big")
    return bytes([0x80 * ends + starts]) + length + message


async def test_what_concerns_the_connection_goes_to_its_line_alone() -> None:
    reader = Reader()
    async with peer(saying(text(REPLY) + text(SHUTDOWN))) as url:
        socket = await reader.open(url)
        await until_async(lambda: len(reader.control) == 2, "both messages")

    assert socket.heard
    assert socket.last_message_ns == 0, "a twin that says no more than this says nothing"
    assert reader.control == [Acknowledged(3), Closing(5)]
    assert reader.received == []


async def test_garbage_is_given_on_as_it_came() -> None:
    reader = Reader()
    async with peer(saying(text(GARBAGE) + text(encode(trade())))) as url:
        await reader.open(url)
        await until_async(lambda: len(reader.received) == 2, "both messages")

    assert isinstance(reader.received[0], Unreadable)
    assert (reader.received[0].frame, reader.received[0].error.reason) == (GARBAGE, "not_json")
    assert reader.control == []


async def test_message_in_parts_is_decoded_whole() -> None:
    reader, message = Reader(), encode(trade())
    parts = text(message[:9], ends=False) + text(message[9:20], starts=False, ends=False)
    async with peer(saying(parts + text(message[20:], starts=False))) as url:
        socket = await reader.open(url)
        await until_async(lambda: len(reader.received) == 1, "the message")

    assert reader.received == [trade(received_ns=socket.last_message_ns)]


async def test_sample_is_the_next_message_and_goes_on_like_all() -> None:
    reader, samples, asked_for = Reader(), list[Received](), asyncio.Event()

    async def talk(incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
        await asked_for.wait()
        await saying(text(REPLY) + text(encode(trade(1))) + text(encode(trade(2))))(incoming, outgoing)

    async with peer(talk) as url:
        socket = await reader.open(url)
        socket.sample(samples.append)
        asked_for.set()
        await until_async(lambda: len(reader.received) == 2, "both trades")

    assert samples == reader.received[:1]


async def test_sign_of_life_is_sent_at_its_interval_within_the_message_limit() -> None:
    """Some exchanges close a connection on which they are told nothing, whatever they tell themselves."""
    heard = bytearray()

    async def listening(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readexactly(6)
            text = await reader.readexactly(head[1] & 0x7F)
            heard.extend(byte ^ head[2 + at % 4] for at, byte in enumerate(text))

    numbers = iter(range(1_000))
    async with peer(listening) as url:
        socket = await Reader().open(url)
        for _ in range(4):
            # All that the limit allows in this second.
            await socket.send(b"x")
        socket.keep_alive(0.01, lambda: b"<%d>" % next(numbers))
        await until_async(lambda: b"<2>" in heard, "signs of life")
        socket.close("over")

    assert heard.startswith(b"xxxx<0><1><2>")
