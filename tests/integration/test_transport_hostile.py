"""Everything that the WebSocket protocol forbids, from a peer that keeps the connection open afterwards.

What the library lets pass is refused by the transport; nothing of it reaches the pipeline.
"""

from __future__ import annotations

import asyncio
import gc
import struct
from functools import partial

import pytest

from data_collector.model.errors import VenueUnreachable
from data_collector.observe.memory import resident_bytes
from data_collector.pipeline.connections.transport import RETRY_AFTER_S_MAX, failure_label
from data_collector.pipeline.connections.websocket import MESSAGE_BYTES_MAX, WebSocket
from tests.integration.raw_peer import Greet, Talk, accepted, listen, opened, peer, saying, upgraded
from tests.integration.waiting import until_async

GOOD = b"\x81\x02{}"
MASKED = b"\x81\x82\x01\x02\x03\x04" + bytes(a ^ b for a, b in zip(b"{}", b"\x01\x02", strict=True))
ENDED_S = 60.0
MEBIBYTE = 1024 * 1024

BROKEN = {
    **{f"close code {code}": b"\x88\x02" + code.to_bytes(2, "big") for code in (999, 1005, 1006, 1015, 2999, 65_535)},
    "half a close code": b"\x88\x01\x03",
    "masked frame": MASKED,
    "unknown opcode": b"\x83\x02{}",
    "unknown control opcode": b"\x8b\x00",
    "binary": b"\x82\x02{}",
    "fragmented ping": b"\x09\x01p",
    "long ping": b"\x89\x7e\x00\x7e" + b"p" * 126,
    "reserved bit 1": b"\xc1\x02{}",
    "reserved bit 2": b"\xa1\x02{}",
    "reserved bit 3": b"\x91\x02{}",
    "deflated": b"\xc1\x07" + b"\xaa\x56\x2a\xc9\x55\x00\x00",
    "continuation without start": b"\x80\x02{}",
    "interleaved messages": b"\x01\x01{" + b"\x81\x02{}",
    "length 2^62": b"\x81\x7f" + (2**62).to_bytes(8, "big"),
    "length 2^63": b"\x81\x7f" + (2**63).to_bytes(8, "big"),
    "8 MiB frame": b"\x81\x7f" + (8 * MEBIBYTE).to_bytes(8, "big"),
    "length that needs no two bytes": b"\x81\x7e\x00\x02{}",
}


@pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN)
async def test_frame_that_the_protocol_forbids_ends_the_connection(raw: bytes) -> None:
    received: list[bytes] = []
    async with peer(saying(raw)) as url:
        socket = await opened(url, received)

        assert await socket.wait_ended(ENDED_S) == "protocol"
        assert received == []


def has_gone(socket: WebSocket) -> bool:
    return socket._farewell is not None and socket._farewell.done()


@pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN)
async def test_what_was_refused_is_no_complaint_of_the_library(raw: bytes) -> None:
    """It was: Future exception was never retrieved, once for each such frame."""
    complaints: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(str(context)))
    async with peer(saying(raw)) as url:
        socket = await opened(url)
        await socket.wait_ended(ENDED_S)
        await until_async(partial(has_gone, socket), "the end of the transport")
        del socket
    gc.collect()

    assert complaints == []


@pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN)
async def test_what_came_before_a_broken_frame_counts(raw: bytes) -> None:
    received: list[bytes] = []
    async with peer(saying(GOOD + raw)) as url:
        socket = await opened(url, received)
        await socket.wait_ended(ENDED_S)

        assert received == [b"{}"]


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65_535])
async def test_close_code_that_must_not_be_sent_ends_the_connection(code: int) -> None:
    async with peer(saying(b"\x88\x02" + struct.pack(">H", code))) as url:
        socket = await opened(url)

        assert await socket.wait_ended(ENDED_S) in {"protocol", f"close {code}"}


async def test_close_frame_of_one_byte_ends_the_connection() -> None:
    async with peer(saying(b"\x88\x01\x03")) as url:
        socket = await opened(url)

        assert await socket.wait_ended(ENDED_S) == "protocol"


async def test_fragments_of_one_message_are_joined() -> None:
    received: list[bytes] = []
    async with peer(saying(b"\x01\x02{}" + b"\x89\x01p" + b"\x00\x01 " + b"\x80\x01 " + GOOD)) as url:
        socket = await opened(url, received)
        while len(received) < 2:
            assert await socket.wait_ended(0.01) is None

        assert received == [b"{}  ", b"{}"]
        socket.close("stop")


@pytest.mark.parametrize("size", [1_000, 1], ids=["40 MB", "of one byte"])
async def test_endless_fragments_end_the_connection_and_take_no_memory(size: int) -> None:
    head = struct.pack(">BBH", 0, 126, size) if size > 125 else struct.pack(">BB", 0, size)
    fragment = head + b"x" * size

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x01\x01{")
        for _ in range(40):
            writer.write(fragment * 1_000)
            await writer.drain()
        await listen(reader, writer)

    received: list[bytes] = []
    async with peer(talk) as url:
        gc.collect()
        before = resident_bytes()
        socket = await opened(url, received)

        assert await socket.wait_ended(ENDED_S) == "protocol"
        assert received == []
        assert resident_bytes() - before <= 16 * MEBIBYTE


async def test_long_message_is_taken_up_to_the_limit() -> None:
    received: list[bytes] = []
    raw = b"\x81\x7f" + MESSAGE_BYTES_MAX.to_bytes(8, "big") + b"x" * MESSAGE_BYTES_MAX
    async with peer(saying(raw)) as url:
        socket = await opened(url, received)
        while not received:
            assert await socket.wait_ended(0.01) is None

        assert len(received[0]) == MESSAGE_BYTES_MAX
        socket.close("stop")


async def read_pongs(reader: asyncio.StreamReader, pongs: list[bytes]) -> None:
    """Until the other side closes; what it sends is masked."""
    while True:
        opcode, size = await reader.readexactly(2)
        mask = await reader.readexactly(4)
        payload = await reader.readexactly(size & 0x7F)
        if opcode == 0x88:
            return
        assert opcode == 0x8A
        pongs.append(bytes(byte ^ mask[number % 4] for number, byte in enumerate(payload)))


async def test_flood_of_pings_ends_the_connection_after_four_pongs() -> None:
    pongs: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x89\x01p" * 20_000)
        await read_pongs(reader, pongs)

    async with peer(talk) as url:
        socket = await opened(url)

        assert await socket.wait_ended(ENDED_S) == "ping_flood"
        assert len(pongs) <= 4


async def test_pings_beyond_the_message_limit_are_answered_later_the_newest_for_all() -> None:
    pongs: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"".join(b"\x89\x02" + b"%02d" % number for number in range(20)))
        await read_pongs(reader, pongs)

    async with peer(talk) as url:
        socket = await opened(url)
        while len(pongs) < 5:
            assert await socket.wait_ended(0.01) is None

        assert pongs == [b"00", b"01", b"02", b"03", b"19"]
        socket.close("stop")


async def test_broken_connection_ends_for_the_peer_too() -> None:
    gone = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(BROKEN["reserved bit 1"])
        await reader.read(-1)
        gone.set()
        # And it goes on holding its side open.
        await asyncio.Event().wait()

    async with peer(talk) as url:
        socket = await opened(url)

        assert await socket.wait_ended(ENDED_S) == "protocol"
        await asyncio.wait_for(gone.wait(), ENDED_S)


async def test_closing_does_not_wait_for_a_peer_that_reads_nothing() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with peer(talk) as url:
        socket = await opened(url)
        socket.close("silent")

        assert await socket.wait_ended(0) == "silent"


def status(line: str, *headers: str) -> Greet:
    """Another answer than an upgrade."""
    return lambda _: ("\r\n".join([f"HTTP/1.1 {line}", *headers, "Content-Length: 0"]) + "\r\n\r\n").encode("latin-1")


def without(word: bytes) -> Greet:
    """An upgrade that lacks a header."""
    return lambda key: b"\r\n".join(line for line in upgraded(key).split(b"\r\n") if not line.startswith(word))


def with_wrong_accept(key: bytes) -> bytes:
    """An upgrade that answers another request."""
    return upgraded(key).replace(accepted(key).encode(), accepted(b"other").encode())


HANDSHAKES: dict[str, tuple[Greet, str]] = {
    "wrong accept": (
        lambda key: upgraded(key).replace(accepted(key).encode(), accepted(b"other").encode()),
        "handshake",
    ),
    "no accept": (without(b"Sec-WebSocket-Accept"), "handshake"),
    "status 200": (status("200 OK", "Upgrade: websocket", "Connection: Upgrade"), "HTTP 200"),
    "status 451": (status("451 Unavailable"), "HTTP 451"),
    "no upgrade": (without(b"Upgrade"), "handshake"),
    "redirect": (status("302 Found", "Location: ws://127.0.0.1:1/"), "redirects are not followed"),
    "100 k headers": (lambda key: upgraded(key, *(f"X-{number}: y" for number in range(100_000))), "handshake"),
    "extension": (lambda key: upgraded(key, "Sec-WebSocket-Extensions: permessage-deflate"), "nobody asked for"),
    "subprotocol": (lambda key: upgraded(key, "Sec-WebSocket-Protocol: chat"), "nobody asked for"),
    "no HTTP": (lambda _: b"\x00\x01\x02\x03\r\n\r\n", "handshake"),
    "another HTTP": (lambda _: b"SSH-2.0-OpenSSH_9\r\n\r\n", "handshake"),
}


@pytest.mark.parametrize("name", HANDSHAKES)
async def test_handshake_that_is_none_is_refused(name: str) -> None:
    greet, words = HANDSHAKES[name]
    async with peer(greet=greet) as url:
        with pytest.raises(VenueUnreachable, match=words) as refusal:
            await opened(url)
    labels = {"redirect": "redirect", "extension": "answer", "subprotocol": "answer"}
    assert failure_label(refusal.value) == labels.get(name, "handshake")


@pytest.mark.parametrize(
    ("asked", "wait_s", "words"),
    [
        ("7", 7.0, "HTTP 503$"),
        ("1000000000", RETRY_AFTER_S_MAX, "and a longer wait than the 600 s that are kept"),
        ("9" * 5_000, RETRY_AFTER_S_MAX, "and a longer wait"),
        ("Fri, 01 Jan 2999 00:00:00 GMT", RETRY_AFTER_S_MAX, "and a longer wait"),
        ("²", None, "HTTP 503$"),
    ],
    ids=["seconds", "31 years", "thousands of digits", "a date", "no digit"],
)
async def test_refused_handshake_cannot_ask_for_years(asked: str, wait_s: float | None, words: str) -> None:
    async with peer(greet=status("503 Service Unavailable", f"Retry-After: {asked}")) as url:
        with pytest.raises(VenueUnreachable, match=words) as refusal:
            await opened(url)

    assert refusal.value.retry_after_s == wait_s


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"X")
        await asyncio.sleep(0.02)


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """At once."""


@pytest.mark.parametrize(
    ("talk", "words"),
    [(drip, "handshake"), (listen, "handshake"), (hang_up, "closed during the handshake")],
    ids=["drip", "mute", "gone"],
)
async def test_handshake_that_does_not_end_is_given_up(
    talk: Talk, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr("data_collector.pipeline.connections.transport.HANDSHAKE_TIMEOUT_S", 0.3)
    async with peer(talk, greet=lambda _: b"HTTP/1.1 101 Switching Protocols\r\nX-Slow: ") as url:
        with pytest.raises(VenueUnreachable, match=words):
            await opened(url)
