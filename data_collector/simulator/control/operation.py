"""The simulator's own REST routes, under /simulator: faults, actions and the truth, for other processes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web
from msgspec import Struct, field

from data_collector.model.records import Kline, Trade
from data_collector.simulator.control.actions import Action
from data_collector.simulator.control.faults import (
    EqualTimes,
    Fault,
    Faults,
    FrameFault,
    Lie,
    Refuse,
    RefuseStreams,
    RestFault,
)
from data_collector.simulator.market.candles import INTERVALS


class FaultOrder(Struct, forbid_unknown_fields=True):
    """Body of POST /simulator/faults: added to what is in force."""

    frames: list[FrameFault] = field(default_factory=list)
    rest: list[RestFault] = field(default_factory=list)
    refuse: list[Refuse] = field(default_factory=list)
    streams: list[RefuseStreams] = field(default_factory=list)
    equal_times: list[EqualTimes] = field(default_factory=list)
    lies: list[Lie] = field(default_factory=list)


class Operation:
    """Carries out what an operator asks over HTTP. The exchange itself is behind plain functions."""

    def __init__(
        self,
        *,
        faults: Faults,
        perform: Callable[[Action], Awaitable[None]],
        state: Callable[[], object],
        tape: Callable[[str, int], list[Trade]],
        closed_klines: Callable[[str, str], list[Kline]],
    ) -> None:
        self._faults = faults
        self._perform = perform
        self._state = state
        self._tape = tape
        self._closed_klines = closed_klines

    def routes(self) -> list[web.RouteDef]:
        """To be added before the exchange's own paths."""
        return [
            web.get("/simulator/state", self._get_state),
            web.get("/simulator/tape", self._get_tape),
            web.get("/simulator/klines", self._get_klines),
            web.post("/simulator/faults", self._post_faults),
            web.delete("/simulator/faults", self._delete_faults),
            web.post("/simulator/actions", self._post_action),
        ]

    async def _get_state(self, _: web.Request) -> web.Response:
        return _json(self._state())

    async def _get_tape(self, request: web.Request) -> web.Response:
        from_id = request.query.get("from_id", "0")
        if not from_id.isdecimal():
            return _refusal("from_id: not a number")
        try:
            return _json(self._tape(request.query.get("symbol", ""), int(from_id)))
        except KeyError:
            return _refusal("symbol: not listed")

    async def _get_klines(self, request: web.Request) -> web.Response:
        interval = request.query.get("interval", "1m")
        if interval not in INTERVALS:
            return _refusal("interval: not known")
        try:
            return _json(self._closed_klines(request.query.get("symbol", ""), interval))
        except KeyError:
            return _refusal("symbol: not listed")

    async def _post_faults(self, request: web.Request) -> web.Response:
        if (refusal := _not_json(request)) is not None:
            return refusal
        try:
            order = msgspec.json.decode(await request.read(), type=FaultOrder)
        except msgspec.DecodeError as error:
            return _refusal(str(error))
        asked: list[Fault] = [
            *order.frames, *order.rest, *order.refuse, *order.streams, *order.equal_times, *order.lies
        ]  # fmt: skip
        for fault in asked:
            self._faults.add(fault)
        return _json(self._state())

    async def _delete_faults(self, _: web.Request) -> web.Response:
        self._faults.clear()
        return _json(self._state())

    async def _post_action(self, request: web.Request) -> web.Response:
        if (refusal := _not_json(request)) is not None:
            return refusal
        try:
            await self._perform(msgspec.json.decode(await request.read(), type=Action))
        except msgspec.DecodeError as error:
            return _refusal(str(error))
        except KeyError as error:
            return _refusal(f"symbol {error}: not listed")
        return _json(self._state())


def _not_json(request: web.Request) -> web.Response | None:
    # A page in a browser cannot send this type to another origin without being asked first.
    return None if request.content_type == "application/json" else _refusal("send application/json", status=415)


def _refusal(message: str, *, status: int = 400) -> web.Response:
    return _json({"error": message}, status=status)


def _json(body: object, *, status: int = 200) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json")
