"""The REST side: weights, keys, errors, and answers that a fault makes untrue."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import msgspec
from aiohttp import web
from multidict import CIMultiDict

from data_collector.simulator.control.faults import RestFault
from data_collector.simulator.market.market import Market
from data_collector.simulator.rest.lies import lying_body
from data_collector.simulator.settings import SimulatorSettings
from data_collector.venues.binance.speaker import parameters
from data_collector.venues.binance.speaker.endpoints import ENDPOINTS, Answerer, Endpoint
from data_collector.venues.binance.speaker.lies import filling_query, lying_query
from data_collector.venues.binance.speaker.parameters import RestRefusal
from data_collector.venues.binance.speaker.published import FOLDER, PublishedFiles
from data_collector.venues.binance.speaker.weights import Admission, WeightCounter

UNKNOWN_PATH_WEIGHT = 1

BUSY_TEXT = (
    "Too much request weight used; current limit is {limit} request weight per 1 MINUTE. "
    "Please use WebSocket Streams for live updates to avoid polling the API."
)
BANNED_TEXT = (
    "Way too much request weight used; IP banned until {until}. "
    "Please use WebSocket Streams for live updates to avoid bans."
)

FAULT_BODIES: dict[int, tuple[int, str]] = {
    500: (-1000, "An unknown error occurred while processing the request."),
    502: (-1001, "Internal error; unable to process your request. Please try again."),
    503: (-1008, "Server is currently overloaded with other requests. Please try again in a few minutes."),
    504: (-1007, "Timeout waiting for response from backend server. Send status unknown; execution status unknown."),
}
"""Code and text that go with a status when a fault names none."""

RESTRICTED_TEXT = (
    "Service unavailable from a restricted location according to 'b. Eligibility' in the terms. "
    "Please contact customer service if you believe you received this message in error."
)

KEYED_PATH, KEY_HEADER = "/api/v3/historicalTrades", "X-MBX-APIKEY"
NO_KEY = (-2014, "API-key format invalid.")
BAD_KEY = (-2015, "Invalid API-key, IP, or permissions for action.")

DEFAULT_RETRY_AFTER_S = 5

NO_SUCH_KEY = b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>NoSuchKey</Code></Error>'

FIREWALL_PAGE = b"<html><head><title>403 Forbidden</title></head><body><h1>403 Forbidden</h1></body></html>"


class BinanceRestSpeaker:
    """The `RestSpeaker` of Binance spot."""

    def __init__(self, market: Market, settings: SimulatorSettings) -> None:
        self._weights = WeightCounter(settings.weight_per_minute, enforced=settings.enforce_limits)
        self._answerer = Answerer(market, settings)
        self._published = PublishedFiles(market)
        self._market = market
        self._settings = settings

    @property
    def used(self) -> int:
        """Weight in this clock minute."""
        return self._weights.used

    async def answer(self, request: web.Request, fault: RestFault | None) -> web.StreamResponse:
        """See `RestSpeaker`."""
        if request.path.startswith(FOLDER):
            return self._published_file(request.path, fault)
        endpoint = ENDPOINTS.get(request.path)
        weight = UNKNOWN_PATH_WEIGHT if endpoint is None else endpoint.weight(request.query)
        verdict = self._weights.spend(weight, self._market.now_ms)
        if fault is not None and (fault.status is not None or fault.empty):
            return self._faulty(fault, verdict)
        if verdict.status != 200:
            return self._limited(verdict)
        if endpoint is None:
            return self._not_found(request, verdict)
        try:
            await self._work_ahead(endpoint, request)
            return _json(200, self._body(endpoint, request, fault), verdict)
        except RestRefusal as refusal:
            return _json(refusal.status, {"code": refusal.code, "msg": refusal.message}, verdict)

    async def _work_ahead(self, endpoint: Endpoint, request: web.Request) -> None:
        """Let streams and other requests have their turns while much of the past is made."""
        if endpoint.ahead is not None:
            # What is refused is refused by the answer, in its order.
            with suppress(RestRefusal):
                for _ in endpoint.ahead(self._answerer, request.query):
                    await asyncio.sleep(0)

    def _published_file(self, path: str, fault: RestFault | None) -> web.Response:
        # On Binance the files lie on another host, which counts no weight.
        if fault is not None and fault.status is not None:
            return self._faulty(fault, Admission(fault.status, self._weights.used))
        body = self._published.at(path)
        if body is None:
            return web.Response(status=404, body=NO_SUCH_KEY, content_type="application/xml")
        return web.Response(body=body, content_type="binary/octet-stream")

    def _check_key(self, request: web.Request) -> None:
        wanted, key = self._settings.api_key, request.headers.get(KEY_HEADER)
        if wanted is not None and request.path == KEYED_PATH and key != wanted:
            raise RestRefusal(*(NO_KEY if key is None else BAD_KEY), status=401)

    def _body(self, endpoint: Endpoint, request: web.Request, fault: RestFault | None) -> object:
        self._check_key(request)
        unit = parameters.time_unit(request.headers.get("X-MBX-TIME-UNIT"))
        parameters.check_names(request.query, endpoint.reads)
        if fault is None:
            return endpoint.answer(self._answerer, request.query, unit)
        query = lying_query(request.query, fault, self._market.now_ms)
        body = endpoint.answer(self._answerer, query, unit)
        more = filling_query(query, body, fault)
        if more is not None and isinstance(body, list):
            filling = endpoint.answer(self._answerer, more, unit)
            assert isinstance(filling, list), "the same endpoint answers in the same form"
            body = [*body, *filling]
        return lying_body(body, fault)

    def _faulty(self, fault: RestFault, verdict: Admission) -> web.Response:
        if fault.status is None:
            return _json(200, [], verdict)
        if fault.status in (418, 429):
            retry_after_s = DEFAULT_RETRY_AFTER_S if fault.retry_after_s is None else fault.retry_after_s
            until_ms = self._market.now_ms + retry_after_s * 1000
            return self._limited(Admission(fault.status, verdict.used, retry_after_s, until_ms))
        if fault.status == 403 and fault.code is None:
            # The firewall in front of the exchange speaks HTML.
            return web.Response(status=403, body=FIREWALL_PAGE, content_type="text/html")
        if fault.location is not None:
            return web.Response(status=fault.status, headers={"Location": fault.location})
        code, message = FAULT_BODIES.get(fault.status, (0, RESTRICTED_TEXT))
        body = {"code": code if fault.code is None else fault.code, "msg": fault.message or message}
        return _json(fault.status, body, verdict, retry_after_s=fault.retry_after_s)

    def _limited(self, verdict: Admission) -> web.Response:
        text = BUSY_TEXT.format(limit=self._settings.weight_per_minute)
        if verdict.status == 418:
            text = BANNED_TEXT.format(until=verdict.banned_until_ms)
        return _json(verdict.status, {"code": -1003, "msg": text}, verdict, retry_after_s=verdict.retry_after_s)

    def _not_found(self, request: web.Request, verdict: Admission) -> web.Response:
        if "text/html" in request.headers.get("Accept", ""):
            return web.Response(status=404, body=b"<html><body><h2>404 Not found</h2></body></html>",
                                content_type="text/html")  # fmt: skip
        return _json(404, {"code": 404, "msg": "Not found"}, verdict)


def _json(status: int, body: object, verdict: Admission, *, retry_after_s: int | None = None) -> web.Response:
    headers = CIMultiDict({"X-MBX-USED-WEIGHT": str(verdict.used), "X-MBX-USED-WEIGHT-1M": str(verdict.used)})
    if retry_after_s is not None:
        headers["Retry-After"] = str(retry_after_s)
    return web.Response(status=status, body=msgspec.json.encode(body), headers=headers, content_type="application/json")
