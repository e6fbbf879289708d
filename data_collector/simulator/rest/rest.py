"""The HTTP around an exchange's REST answers: what is counted, and faults that hold a request up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from aiohttp import web

from data_collector.simulator.control.faults import Faults, RestFault
from data_collector.simulator.speaker import RestSpeaker
from data_collector.time_limit import time_limit

PATHS_MAX = 1_000
"""Anybody may ask for anything."""


class RestSide:
    """Answers every GET. `refresh` moves the market on to now, so that the answer is of this moment."""

    def __init__(self, speaker: RestSpeaker, faults: Faults, refresh: Callable[[], None]) -> None:
        self.requests = 0
        self.headers_sent: dict[str, Mapping[str, str]] = {}
        """The headers of the newest request, by path."""
        self.speaker = speaker
        self._faults = faults
        self._refresh = refresh
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Let go of the requests that are hanging."""
        self._stopping.set()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One request."""
        self.requests += 1
        if request.path in self.headers_sent or len(self.headers_sent) < PATHS_MAX:
            self.headers_sent[request.path] = request.headers
        self._refresh()
        fault = self._faults.rest_fault(request.path)
        if fault is not None:
            await self._hold_up(fault)
        return await self.speaker.answer(request, fault)

    async def _hold_up(self, fault: RestFault) -> None:
        try:
            async with time_limit(None if fault.hang else fault.delay_s):
                await self._stopping.wait()
        except TimeoutError:
            return
