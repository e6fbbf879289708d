"""Who has a place while readers hold all of theirs: liveness, health and writing, each its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from data_collector.web.answers import Rejections
from data_collector.web.bounds import READS, RateLimit
from data_collector.web.capacity import READERS_MAX, READERS_OF_ONE_MAX, RESERVED, Capacity
from tests.unit.web.asgi import ask, counting_app

ALL_READERS = [f"192.0.2.{number}" for number in range(READERS_MAX)]
LIVENESS, HEALTH, WRITE, READ = ("GET", "/health/live"), ("GET", "/health"), ("POST", "/control"), ("GET", "/status")
IN_ORDER = [READ, WRITE, HEALTH, LIVENESS]


class Held:
    """An application that answers when it is let."""

    def __init__(self) -> None:
        self.let = asyncio.Event()
        self.holds = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.holds:
            await self.let.wait()
        await JSONResponse({})(scope, receive, send)


@asynccontextmanager
async def held(held: Held, app: ASGIApp, asked: tuple[str, str], addresses: list[str]) -> AsyncIterator[None]:
    """As many requests under way as there are addresses."""
    held.holds = True
    tasks = [asyncio.create_task(ask(app, *asked, address=address)) for address in addresses]
    await asyncio.sleep(0)
    held.holds = False
    yield
    held.let.set()
    await asyncio.gather(*tasks)


@pytest.mark.parametrize("kind", range(4))
async def test_each_kind_has_places_that_those_before_it_cannot_take(kind: int) -> None:
    application = Held()
    app = Capacity(application, Rejections())

    async with (
        held(application, app, READ, ALL_READERS),
        held(application, app, IN_ORDER[kind], ALL_READERS[: kind * RESERVED]),
    ):
        answers = [(await ask(app, *asked)).status for asked in IN_ORDER]

    assert answers == [503] * (kind + 1) + [200] * (3 - kind)
    assert [(await ask(app, *asked)).status for asked in IN_ORDER] == [200] * 4


async def test_one_client_leaves_places_to_others() -> None:
    application, rejections = Held(), Rejections()
    app = Capacity(application, rejections)

    async with held(application, app, READ, ["192.0.2.1"] * READERS_OF_ONE_MAX):
        refused, other = await ask(app, *READ, address="192.0.2.1"), await ask(app, *READ, address="192.0.2.2")

    assert (refused.status, refused.headers["retry-after"], refused.headers["connection"]) == (503, "1", "close")
    assert "this client" in str(refused.detail)
    assert other.status == 200
    assert [(each.value, each.labels) for each in rejections.samples()] == [(1, {"reason": "connections"})]


async def test_work_is_reading() -> None:
    application = Held()
    app = Capacity(application, Rejections(), work_paths=("/validate",))

    async with held(application, app, ("POST", "/validate"), ALL_READERS):
        assert (await ask(app, "POST", "/validate")).status == 503
        assert (await ask(app, *WRITE)).status == 200


async def test_who_reads_too_often_is_still_told_of_health() -> None:
    app = counting_app()
    app.add_middleware(RateLimit, rejections=Rejections())

    answers = [(await ask(app, *READ)).status for _ in range(2 * READS.amount)]

    assert 429 in answers
    assert (await ask(app, *HEALTH)).status == 200
    assert {(await ask(app, *LIVENESS)).status for _ in range(2 * READS.amount)} == {200}
