"""Published files over HTTP: the simulator's, and servers that have none, fail or answer something else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from aiohttp import web
from msgspec import structs

from data_collector.model.calendar import DAY_MS
from data_collector.model.errors import BadFile, NotPublished, VenueUnreachable
from data_collector.model.keys import Key
from data_collector.model.records import Kline
from data_collector.simulator import Simulator
from data_collector.venues.binance.bulk_files import BinanceBulkFiles
from data_collector.venues.binance.bulk_names import day_file
from data_collector.venues.binance.speaker import SPEAKER
from tests.bulk_archives import published
from tests.integration.scene import DRIVEN, START_MS

YESTERDAY = datetime.fromtimestamp((START_MS - DAY_MS) / 1000, UTC)
FILE = day_file(Key("kline", "BTCUSDT", "1h"), YESTERDAY)


@asynccontextmanager
async def answering(answer: web.Response | bytes) -> AsyncIterator[str]:
    """A server that says the same to everybody; bytes are the promise of more than comes."""

    async def reply(request: web.Request) -> web.StreamResponse:
        if isinstance(answer, web.Response):
            return web.Response(status=answer.status, body=answer.body, content_type=answer.content_type)
        response = web.StreamResponse(headers={"Content-Length": "100000"})
        await response.prepare(request)
        await response.write(answer)
        assert request.transport is not None
        request.transport.close()
        return response

    app = web.Application()
    app.router.add_get("/{path:.*}", reply)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def read(url: str) -> list[Kline]:
    return [kline async for chunk in BinanceBulkFiles(url).klines(FILE) for kline in chunk]


async def test_simulator_s_files_are_its_candles() -> None:
    simulator = Simulator(structs.replace(DRIVEN, start_ms=START_MS, history_ms=2 * DAY_MS), [SPEAKER])
    await simulator.start()
    try:
        found = await read(simulator.rest_url)
    finally:
        await simulator.stop()

    assert [kline.open_ms for kline in found] == [START_MS - DAY_MS + hour * 3_600_000 for hour in range(24)]


@pytest.mark.parametrize(
    ("answer", "error", "sentence"),
    [
        (web.Response(status=404), NotPublished, "is not published"),
        (web.Response(status=503), VenueUnreachable, "was answered with HTTP 503"),
        (web.Response(status=302, headers={"Location": "http://[::1]:9/"}), VenueUnreachable, "leads elsewhere"),
        (web.Response(text="<html>Sign in</html>", content_type="text/html"), BadFile, "it is a web page instead of"),
        (next(iter(published(FILE, "").values()))[:20], VenueUnreachable, "cannot be fetched"),
    ],
    ids=["not there", "down", "redirect", "sign-in page", "cut off"],
)
async def test_server_without_the_file_is_told_from_a_bad_file(
    answer: web.Response | bytes, error: type[Exception], sentence: str
) -> None:
    async with answering(answer) as url:
        with pytest.raises(error, match=sentence):
            await read(url)


async def test_nobody_there_is_a_reason_to_try_again() -> None:
    with pytest.raises(VenueUnreachable, match="cannot be fetched"):
        await read("http://127.0.0.1:9")
