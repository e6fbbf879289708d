"""The REST side: ten calls a second, errors by their status, and faults in the exchange's own words."""

from __future__ import annotations

import asyncio
import time

import msgspec
from aiohttp import web

from data_collector.simulator.control.faults import RestFault
from data_collector.simulator.limits import Bucket
from data_collector.simulator.market.market import Market
from data_collector.simulator.settings import SimulatorSettings
from data_collector.venues.coinbase.speaker.endpoints import Answerer, CoinbaseError

CALLS_PER_S = 10.0
BURST = 15

WORDS = {
    400: "Bad request", 401: "CB-ACCESS-KEY header is required", 403: "Forbidden", 404: "NotFound",
    429: "Public rate limit exceeded", 500: "Internal server error", 503: "ServiceUnavailable",
}  # fmt: skip


class CoinbaseRestSpeaker:
    """The `RestSpeaker` of Coinbase Exchange. All clients are one address."""

    def __init__(self, market: Market, settings: SimulatorSettings) -> None:
        self.used = 0
        """Calls in all: they weigh the same."""
        self._answerer = Answerer(market)
        self._is_strict = settings.enforce_limits
        self._bucket = Bucket(settings.calls_per_s or CALLS_PER_S, BURST, time.monotonic())

    async def answer(self, request: web.Request, fault: RestFault | None) -> web.StreamResponse:
        """See `RestSpeaker`."""
        self.used += 1
        if fault is not None and (told := _faulty(fault)) is not None:
            return told
        if self._is_strict and not self._bucket.allows(time.monotonic()):
            return _error(429, WORDS[429])
        if not request.headers.get("User-Agent"):
            return _error(400, "User-Agent header is required.")
        try:
            # Much of the past may have to be made: let others have their turns between.
            for _ in self._answerer.ahead(request.path, request.query):
                await asyncio.sleep(0)
            body, headers = self._answerer.answer(request.path, request.query, fault)
        except CoinbaseError as error:
            return _error(error.status, str(error))
        return web.Response(body=msgspec.json.encode(body), content_type="application/json", headers=headers)


def _faulty(fault: RestFault) -> web.Response | None:
    status = 200 if fault.status is None else fault.status
    headers = {} if fault.retry_after_s is None else {"Retry-After": str(fault.retry_after_s)}
    if fault.location is not None:
        return web.Response(status=status, headers={"Location": fault.location})
    if status == 200:
        return None
    words = fault.message or WORDS.get(status)
    # Of other states only what stands before the exchange tells.
    return _error(status, words, headers) if words else web.Response(status=status, headers=headers)


def _error(status: int, words: str, headers: dict[str, str] | None = None) -> web.Response:
    body = msgspec.json.encode({"message": words})
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)
