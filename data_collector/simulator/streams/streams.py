"""The stream side's door: who is let in, and who is not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from picows import WSListener, WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener, ws_create_server

from data_collector.simulator.control.faults import Faults
from data_collector.simulator.limits import SlidingWindow
from data_collector.simulator.settings import SimulatorSettings
from data_collector.simulator.speaker import StreamSpeaker
from data_collector.simulator.streams.connection import Hub, StreamConnection

CLIENT_FRAME_BYTES_MAX = 1024 * 1024
"""A SUBSCRIBE of 1024 streams has about 30 KiB."""


class StreamSide:
    """Accepts connections and counts them."""

    def __init__(
        self, speaker: StreamSpeaker, settings: SimulatorSettings, faults: Faults, hub: Hub, numbers: Iterator[int],
        *, connection: type[StreamConnection] = StreamConnection,
    ) -> None:  # fmt: skip
        """`connection` is what each client gets."""
        self.attempts = 0
        self._speaker = speaker
        self._settings = settings
        self._faults = faults
        self._hub = hub
        self._numbers = numbers
        self._connection = connection
        self._connects = SlidingWindow(speaker.manners.connects_max, speaker.manners.connects_window_s)

    async def listen(self, port: int) -> asyncio.Server:
        """Open the port. Raises `OSError` when it is taken."""
        return await ws_create_server(
            self._on_request,
            self._settings.host,
            port,
            ssl=self._settings.tls,
            enable_auto_pong=False,
            max_frame_size=CLIENT_FRAME_BYTES_MAX,
            logger_name="simulator",
        )

    def _on_request(self, request: WSUpgradeRequest) -> WSListener | WSUpgradeResponseWithListener | None:
        self.attempts += 1
        loop_s = asyncio.get_running_loop().time()
        if not self._connects.allows(loop_s) and self._settings.enforce_limits:
            return _refused(429)
        fault = self._faults.refusal()
        if fault is not None:
            return _refused(fault.status, fault.location)
        if not self._speaker.admits(request.path):
            return None
        return self._connection(
            next(self._numbers), request.path, self._speaker, self._settings, self._faults, self._hub
        )


def _refused(status: int, location: str | None = None) -> WSUpgradeResponseWithListener:
    if location is not None:
        return WSUpgradeResponseWithListener(WSUpgradeResponse.create_redirect_response(status, location), None)
    return WSUpgradeResponseWithListener(WSUpgradeResponse.create_error_response(status, b"refused"), None)
