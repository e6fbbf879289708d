"""Asking a collector process that is ending: what it said last is the answer."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine

import msgspec
import pytest
import uvloop

from data_collector.child import LENGTH_BYTES, open_link
from data_collector.control import SNAPSHOTS, ControlClient, Request
from data_collector.model.errors import Transient
from data_collector.model.status import Snapshot

Run = Callable[[Coroutine[None, None, None]], None]


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    found: Run = request.param
    return found


def test_last_words_of_one_that_has_ended_are_the_answer_to_the_next_question(run: Run) -> None:
    async def scene() -> None:
        client, theirs = await line()
        content = msgspec.msgpack.encode(Snapshot(ending="there is no such symbol"))
        theirs.sendall(len(content).to_bytes(LENGTH_BYTES) + content)
        theirs.close()

        answer = await client.ask(Request("status"))

        assert answer.ending == "there is no such symbol"
        client.close()

    run(scene())


def test_one_that_has_ended_without_a_word_does_not_answer(run: Run) -> None:
    async def scene() -> None:
        client, theirs = await line()
        theirs.close()

        with pytest.raises(Transient, match="does not answer"):
            await client.ask(Request("status"))

    run(scene())


async def line() -> tuple[ControlClient, socket.socket]:
    """The starter's side, and the collector's end."""
    ours, theirs = socket.socketpair()
    return ControlClient(await open_link(ours, SNAPSHOTS)), theirs
