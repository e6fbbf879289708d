"""Daily files of trades on a local server, as the exchange publishes them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from aiohttp import web

from data_collector.model.keys import Key
from data_collector.model.records import Trade
from data_collector.venues.binance.bulk_names import day_file
from tests.bulk_archives import published


def csv_of(trades: Iterable[Trade], *, microseconds: bool = True) -> str:
    """Rows as in a file of 2025 or later."""
    unit = 1000 if microseconds else 1
    return "".join(
        f"{each.trade_id},{each.price},{each.quantity},1.0,{each.time_ms * unit},{each.is_buyer_maker},True\n"
        for each in trades
    )


def packed(symbol: str, day: str, csv: str) -> dict[str, bytes]:
    """Path to content of a day's archive and its checksum."""
    files = published(day_file(Key("trade", symbol), datetime.fromisoformat(day).replace(tzinfo=UTC)), csv)
    return {f"/{path}": content for path, content in files.items()}


@asynccontextmanager
async def serving(files: dict[str, bytes]) -> AsyncIterator[str]:
    """Serve `files` for the length of the block; everything else is 404. Yields the base URL."""

    async def answer(request: web.Request) -> web.Response:
        content = files.get(request.path)
        return web.Response(status=404) if content is None else web.Response(body=content)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        _, port = runner.addresses[0][:2]
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()
