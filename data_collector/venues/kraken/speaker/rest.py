"""The REST side: one call a second, errors in answers of status 200, and faults in the exchange's own words."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

import msgspec
from aiohttp import web

from data_collector.simulator.control.faults import RestFault
from data_collector.simulator.limits import Bucket
from data_collector.simulator.market.market import Market
from data_collector.simulator.settings import SimulatorSettings
from data_collector.venues.kraken.speaker.endpoints import PER_PAIR, Answerer, KrakenError

PREFIX = "/0/public/"

CALLS_PER_S = 1.0
BURST = 3
"""Calls at once; neither this nor the rate is documented exactly."""

STRIKES_BEFORE_BAN = 10
"""Who goes on after so many refusals is locked out; when exactly is not told."""
BAN_S = 900

LIMITED, LOCKED_OUT = "EAPI:Rate limit exceeded", "EGeneral:Temporary lockout"

BEHIND_TEXT = "<html><head><title>{status}</title></head><body>cloudflare</body></html>"


class KrakenRestSpeaker:
    """The `RestSpeaker` of Kraken spot. All clients are one address."""

    def __init__(self, market: Market, settings: SimulatorSettings) -> None:
        self.used = 0
        """Calls in all: they weigh the same."""
        self._answerer = Answerer(market)
        self._settings = settings
        self._buckets: dict[str, Bucket] = {}
        self._strikes = 0
        self._banned_until_s = 0.0

    async def answer(self, request: web.Request, fault: RestFault | None) -> web.StreamResponse:
        """See `RestSpeaker`."""
        self.used += 1
        method = request.path.removeprefix(PREFIX)
        if not request.path.startswith(PREFIX):
            return web.Response(status=404, text=BEHIND_TEXT.format(status=404), content_type="text/html")
        if fault is not None and (told := _faulty(fault)) is not None:
            return told
        refusal = self._limited(method, request.query) if self._settings.enforce_limits else None
        if refusal is not None:
            return _json({"error": [refusal]})
        try:
            # Much of the past may have to be made: let others have their turns between.
            for _ in self._answerer.ahead(method, request.query):
                await asyncio.sleep(0)
            return _json({"error": [], "result": self._answerer.answer(method, request.query, fault)})
        except KrakenError as error:
            return _json({"error": [str(error)]})

    def _limited(self, method: str, query: Mapping[str, str]) -> str | None:
        now_s = time.monotonic()
        if now_s < self._banned_until_s:
            return LOCKED_OUT
        asked = f"{method} {query.get('pair')}" if method in PER_PAIR else "all"
        bucket = self._buckets.setdefault(asked, Bucket(self._settings.calls_per_s or CALLS_PER_S, BURST, now_s))
        if bucket.allows(now_s):
            self._strikes = 0
            return None
        self._strikes += 1
        if self._strikes > STRIKES_BEFORE_BAN:
            self._strikes, self._banned_until_s = 0, now_s + BAN_S
            return LOCKED_OUT
        return LIMITED


def _faulty(fault: RestFault) -> web.Response | None:
    status = 200 if fault.status is None else fault.status
    if fault.location is not None:
        return web.Response(status=status, headers={"Location": fault.location})
    error = fault.message if status == 200 else _error_of(status, fault.retry_after_s)
    if error is not None:
        return _json({"error": [error]})
    if status == 200:
        return None
    # It did not reach the exchange's own servers.
    return web.Response(status=status, text=BEHIND_TEXT.format(status=status), content_type="text/html")


def _error_of(status: int, retry_after_s: int | None) -> str | None:
    """What others say by a status."""
    if status == 429 and retry_after_s is not None:
        return f"EService: Throttled: {int(time.time()) + retry_after_s}"
    return {429: LIMITED, 418: LOCKED_OUT}.get(status)


def _json(body: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), content_type="application/json")
