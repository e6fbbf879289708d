"""Bodies of the validation service that are small to send and large to decode, or that come slowly."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from starlette.types import Message, Scope

from data_collector.validation.rules.suite import RULES_MAX
from data_collector.validation.service.bodies import AUDIT_BYTES_MAX, LARGE_AT_A_TIME, LARGE_BYTES
from tests.contract.validation_app import GOOD, JSON, MSGPACK, App, ScriptedWorker, serving, until_up

NEAR = AUDIT_BYTES_MAX - 1000
KIND, DIGEST = {"kind": "trade"}, {"digest": "x"}


def packed(value: object) -> bytes:
    return msgspec.msgpack.encode(value)


def many(entries: int, entry: bytes = b"\x01") -> bytes:
    """A list in msgpack, written without making it."""
    return b"\xdd" + entries.to_bytes(4) + entry * entries


def mapped(*fields: tuple[str, bytes]) -> bytes:
    return bytes([0x80 | len(fields)]) + b"".join(packed(name) + content for name, content in fields)


def upload(*chunks: bytes) -> bytes:
    return mapped(("source", packed("stranger")), ("chunks", many(0) if not chunks else b"\x91" + chunks[0]))


def chunk(*fields: tuple[str, bytes]) -> bytes:
    return mapped(("kind", packed("trade")), ("digest", packed("x")), *fields)


BROKEN = b"\xdf" + (2_500_000).to_bytes(4) + b"".join(b"\xce" + key.to_bytes(4) + b"\x90" for key in range(2_500_000))

BODIES = {
    "chunks": mapped(("source", packed("stranger")), ("chunks", many(NEAR))),
    "chunks, and again": mapped(("source", packed("s")), ("chunks", many(NEAR)), ("chunks", b"\x90")),
    "refused": upload(chunk(("refused", many(NEAR)))),
    "refused, and again": upload(chunk(("refused", many(NEAR)), ("refused", b"\x90"))),
    "broken": upload(chunk(("broken", BROKEN))),
    "broken rules": upload(chunk(("broken", b"\x81\x01" + many(NEAR, b"\xa0")))),
    "sizes": upload(chunk(("sizes", b"\xde" + (2000).to_bytes(2) + b"".join(
        packed(str(number)) + packed((1.0, 1.0)) for number in range(2000)
    )))),
}  # fmt: skip


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    async with serving(tmp_path, ScriptedWorker) as served:
        await until_up(served)
        yield served


@contextmanager
def allocating_at_most(size: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < size


@pytest.mark.parametrize("what", BODIES)
async def test_what_is_many_times_larger_when_decoded_is_counted_first(app: App, what: str) -> None:
    body = BODIES[what]
    assert len(body) <= AUDIT_BYTES_MAX

    with allocating_at_most(8 * AUDIT_BYTES_MAX):
        reply = await app.ask("POST", "/audit", MSGPACK, body)

    assert reply.status == 422
    assert "wrong shape" in reply.detail


async def test_a_chunk_of_every_rule_and_row_is_taken(app: App) -> None:
    broken = {row: ["r"] * (RULES_MAX if row == 0 else 1) for row in range(1000)}

    reply = await app.ask("POST", "/audit", MSGPACK, upload(chunk(("broken", packed(broken)))))

    assert reply.status == 409


async def test_slow_bodies_keep_no_honest_one_waiting(app: App) -> None:
    body = msgspec.json.encode({"kind": "kline", "records": [GOOD] * 5000})
    assert len(body) > LARGE_BYTES
    slow = [asyncio.create_task(begun(app)) for _ in range(LARGE_AT_A_TIME + 1)]
    await asyncio.sleep(0)

    reply = await app.ask("POST", "/validate", JSON, body)

    assert reply.status == 200
    assert not any(task.done() for task in slow)
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)


async def begun(app: App) -> None:
    """A large body of which the rest does not come."""
    pieces = [b"x" * (LARGE_BYTES + 1)]
    scope: Scope = {
        "type": "http", "http_version": "1.1", "method": "POST", "scheme": "http", "path": "/validate",
        "raw_path": b"/validate", "query_string": b"", "root_path": "", "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 50_000), "server": ("127.0.0.1", 8000),
    }  # fmt: skip

    async def receive() -> Message:
        if not pieces:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": pieces.pop(), "more_body": True}

    async def send(message: Message) -> None:
        raise AssertionError(message)

    await app.app(scope, receive, send)
