"""The stream side's door: which URL gets which connection, and who is not let in."""

from __future__ import annotations

import asyncio
from itertools import count
from urllib.parse import unquote, urlsplit

from picows import WSListener, WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener, ws_create_server

from data_collector.simulator.control.control import Refusal, is_stream_name
from data_collector.simulator.control.faults import Faults
from data_collector.simulator.limits import SlidingWindow
from data_collector.simulator.settings import SimulatorSettings
from data_collector.simulator.streams.connection import Hub, StreamConnection, Target

CLIENT_FRAME_BYTES_MAX = 1024 * 1024
"""A SUBSCRIBE of 1024 streams has about 30 KiB."""

TIME_UNITS = {"MICROSECOND": True, "MILLISECOND": False}


class StreamSide:
    """Accepts connections and counts them."""

    def __init__(self, settings: SimulatorSettings, faults: Faults, hub: Hub) -> None:
        self.attempts = 0
        self._settings = settings
        self._faults = faults
        self._hub = hub
        self._numbers = count(1)
        self._connects = SlidingWindow(settings.connects_max, settings.connects_window_s)

    async def listen(self) -> asyncio.Server:
        """Open the port. Raises `OSError` when it is taken."""
        return await ws_create_server(
            self._on_request,
            self._settings.host,
            self._settings.ws_port,
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
        target = parse_target(request.path)
        if target is None:
            return None
        return StreamConnection(next(self._numbers), target, self._settings, self._faults, self._hub)


def parse_target(path: bytes) -> Target | None:
    """`/ws/a/b`, `/ws`, `/stream?streams=a/b`, `/stream`; None for any other path.

    Parts of the path that are no stream name at all are passed over, because clients put counters there.
    """
    url = urlsplit(path.decode("utf-8", "replace"))
    # Not parse_qs: a plus sign in a stream name is no blank.
    parts = (part.partition("=") for part in url.query.split("&"))
    query = {name: unquote(value) for name, _, value in parts}
    microseconds = TIME_UNITS.get(query.get("timeUnit", "").upper(), False)
    if url.path == "/stream" or url.path.startswith("/stream/"):
        return _target(query.get("streams", ""), combined=True, microseconds=microseconds)
    if url.path == "/ws" or url.path.startswith("/ws/"):
        return _target(unquote(url.path.removeprefix("/ws")), combined=False, microseconds=microseconds)
    return None


def _target(names: str, *, combined: bool, microseconds: bool) -> Target:
    streams = tuple(name for name in names.split("/") if "@" in name or name.startswith("!"))
    if all(map(is_stream_name, streams)):
        return Target(combined, microseconds, streams)
    refusal = Refusal(2, "Invalid request: invalid stream", closes=True)
    return Target(combined, microseconds, refusal=refusal)


def _refused(status: int, location: str | None = None) -> WSUpgradeResponseWithListener:
    if location is not None:
        return WSUpgradeResponseWithListener(WSUpgradeResponse.create_redirect_response(status, location), None)
    return WSUpgradeResponseWithListener(WSUpgradeResponse.create_error_response(status, b"refused"), None)
