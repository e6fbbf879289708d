"""A symbol list without a symbol is a bad answer, of every venue: it ends no start."""

from __future__ import annotations

import json

import pytest
from aiohttp import web

from data_collector.model.errors import VenueUnreachable
from data_collector.model.venue import Venue

EMPTY: dict[str, object] = {
    "binance": {"timezone": "UTC", "serverTime": 1, "rateLimits": [], "symbols": []},
    "kraken": {"error": [], "result": {}},
    "coinbase": [],
}
"""What each venue's REST side answers where it lists nothing."""


async def test_list_without_a_symbol_is_a_bad_answer(venue: Venue) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=json.dumps(EMPTY[venue.name]), content_type="application/json")

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    rest = venue.open_rest(f"http://{host}:{port}")
    try:
        with pytest.raises(VenueUnreachable, match="no symbol"):
            await rest.symbols()
    finally:
        await rest.close()
        await runner.cleanup()
