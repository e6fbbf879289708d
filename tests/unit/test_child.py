"""The link between two processes of ours, both ends in this one."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio
from msgspec import Struct

from data_collector import child
from data_collector.child import FrameTooLong, Link, LinkLost, open_link


class Word(Struct, frozen=True):
    text: str


WORDS = msgspec.msgpack.Decoder(Word)


@pytest_asyncio.fixture
async def ends() -> AsyncIterator[tuple[Link[Word], socket.socket]]:
    """A link, and the bare socket at its other end."""
    ours, theirs = socket.socketpair()
    link = await open_link(ours, WORDS)
    with theirs:
        theirs.setblocking(False)
        yield link, theirs
        link.close()


async def test_messages_arrive_whole_and_in_order_in_both_directions() -> None:
    left, right = [await open_link(end, WORDS) for end in socket.socketpair()]
    words = [Word("x" * size) for size in (0, 1, 200_000)]

    async def sending(link: Link[Word]) -> None:
        for word in words:
            await link.send(word)

    async def received(link: Link[Word]) -> list[Word]:
        return [await link.receive() for _ in words]

    at_left, at_right, *_ = await asyncio.gather(received(left), received(right), sending(left), sending(right))

    assert (at_left, at_right) == (words, words)
    left.close()
    right.close()


async def test_other_side_that_hangs_up_is_found_out(ends: tuple[Link[Word], socket.socket]) -> None:
    link, other = ends
    other.close()

    with pytest.raises(LinkLost):
        await link.receive()


@pytest.mark.parametrize("sent", [b"\0\0", b"\0\0\0\x05abc"], ids=["half a length", "half a frame"])
async def test_other_side_that_dies_within_a_message_is_found_out(
    ends: tuple[Link[Word], socket.socket], sent: bytes
) -> None:
    link, other = ends
    other.send(sent)
    other.close()

    with pytest.raises(LinkLost):
        await link.receive()


@pytest.mark.parametrize(
    "sent", [b"\0\0\0\x01\xc1", (child.FRAME_BYTES_MAX + 1).to_bytes(4)], ids=["nonsense", "too long"]
)
async def test_what_is_no_message_of_ours_is_refused_at_once(
    ends: tuple[Link[Word], socket.socket], sent: bytes
) -> None:
    link, other = ends
    other.send(sent)

    with pytest.raises(LinkLost):
        await link.receive()


async def test_message_that_would_be_refused_is_not_sent(
    ends: tuple[Link[Word], socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    link, other = ends
    monkeypatch.setattr(child, "FRAME_BYTES_MAX", 10)

    with pytest.raises(FrameTooLong, match="may have 10"):
        await link.send(Word("x" * 20))

    await link.send(Word("a"))
    assert await asyncio.get_running_loop().sock_recv(other, 100) == b"\0\0\0\x08" + msgspec.msgpack.encode(Word("a"))


async def test_closed_link_is_lost_in_both_directions(ends: tuple[Link[Word], socket.socket]) -> None:
    link, _ = ends
    link.close()
    link.close()
    await asyncio.sleep(0)

    with pytest.raises(LinkLost):
        await link.receive()
    with pytest.raises(LinkLost):
        await link.send(Word("a"))
