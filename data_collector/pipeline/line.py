"""One connection to the exchange, kept up for ever.

Life cycle: the service makes lines with the streams that each carries and runs each in a task; cancelling the task
closes the connection. A line dials (through the shared governor), subscribes in paced messages, checks the answers and
what the exchange says is subscribed, and then only watches: for silence, for the announced or regular end of the
connection, which it forestalls by opening the next one first. It owns the back-off. Frames go from the socket's
callback straight into `Intake.receive`.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial

import structlog
from msgspec import Struct

from data_collector.model.errors import BadFrame, VenueUnreachable
from data_collector.model.protocols import Codec, Reply, ShutdownNotice, StreamLimits, UnknownEvent
from data_collector.model.status import ConnectionStatus
from data_collector.observe.counters import Counters
from data_collector.pipeline.backoff import Backoff
from data_collector.pipeline.governor import Governor
from data_collector.pipeline.transport import Control, Receive, WebSocket, open_websocket

REPLY_TIMEOUT_S = 10.0
"""The exchange answers a subscription in milliseconds."""

SILENCE_MARGIN_S = 5.0
"""On top of the ping interval: without any frame for that long the connection is dead."""

OVERLAP_S = 2.0
"""How long the old connection is read beside the new one: it may lag behind it."""

HELD_MAX = 20_000
"""Messages of the new connection that wait meanwhile; when there are more they go on at once."""

ROLLOVER_EARLY = (0.94, 0.98)
"""At which part of the connection's allowed age the next one is opened (hours 22.5 to 23.5 of 24), at random."""


class Address(Struct, frozen=True):
    """Where lines connect."""

    url: str
    proxy: str | None = None
    hint_451: str = ""


class Line:
    """Carries a fixed set of streams."""

    def __init__(
        self, name: str, streams: Sequence[str], address: Address, codec: Codec, limits: StreamLimits,
        receive: Receive, dials: Governor, counters: Counters,
    ) -> None:  # fmt: skip
        self._streams = tuple(streams)
        self._address = address
        self._codec = codec
        self._limits = limits
        self._receive = receive
        self._dials = dials
        self._counters = counters
        self._backoff = Backoff()
        self._log = structlog.get_logger().bind(line=name)
        self._replies: dict[int, asyncio.Future[Reply]] = {}
        self._request_id = 0
        self._roll_over = False
        self._held: list[tuple[bytes, int]] | None = None
        self._subscribed_s = 0.0
        self._socket: WebSocket | None = None
        self._connected_at: datetime | None = None
        self._told_down = False
        self._down_since_s = time.monotonic()
        self._state = ConnectionStatus(line=name, state="connecting", streams=len(self._streams))

    @property
    def status(self) -> ConnectionStatus:
        """For `/status`."""
        state = self._state
        state.connected_since = self._connected_at.isoformat() if self._connected_at else None
        if self._socket is not None and self._socket.last_message_ns:
            state.last_message_seconds_ago = round((time.time_ns() - self._socket.last_message_ns) / 1e9, 3)
        return state

    @property
    def down_s(self) -> float:
        """How long there has been no connection; 0 while there is one."""
        return 0.0 if self._connected_at else time.monotonic() - self._down_since_s

    async def run(self) -> None:
        """Until cancelled."""
        socket: WebSocket | None = None
        try:
            while True:
                try:
                    following = await self._connect(replacing=socket)
                except VenueUnreachable as error:
                    socket = await self._wait_after(error, socket)
                    continue
                old, socket = socket, following
                if old is not None:
                    await self._hand_over(old)
                if not await self._watch(socket):
                    socket = None
                    await self._pause(self._backoff.next_delay_s(served_s=time.monotonic() - self._subscribed_s))
        finally:
            self._release()
            self._state.state = "stopped"
            self._connected_at = None
            if socket is not None:
                socket.close("stop")

    async def _hand_over(self, old: WebSocket) -> None:
        """What the old connection still brings comes first; copies are known by their ids."""
        self._counters.add("data_collector_rollovers_total")
        try:
            await old.wait_ended(OVERLAP_S)
        finally:
            old.close("rollover")
            self._release()

    async def _connect(self, *, replacing: WebSocket | None) -> WebSocket:
        """One try to connect and subscribe. Raises `VenueUnreachable`."""
        self._held = None
        if replacing is None:
            self._state.state = "connecting"
        await self._dials.turn()
        if replacing is not None:
            self._held = []
        socket = await open_websocket(
            self._address.url,
            self._receive if replacing is None else self._receive_later,
            self._on_control,
            messages_per_s=self._limits.control_messages_per_s,
            proxy=self._address.proxy,
            hint_451=self._address.hint_451,
        )
        try:
            await self._subscribe(socket)
        except BaseException:
            socket.close("not subscribed")
            raise
        self._state.state = "connected"
        self._socket = socket
        self._connected_at = datetime.now(UTC)
        self._subscribed_s = time.monotonic()
        self._roll_over = False
        self._told_down = False
        self._log.info("line_connected", url=self._address.url, streams=len(self._streams))
        return socket

    def _receive_later(self, message: memoryview, received_ns: int) -> Control | None:
        """Holds the messages of a new connection back while the old one may still bring what comes before them."""
        if self._held is None:
            return self._receive(message, received_ns)
        try:
            decoded = self._codec.decode(message, received_ns)
        except BadFrame:
            decoded = UnknownEvent("to be judged later")
        if isinstance(decoded, Reply | ShutdownNotice):
            return decoded
        self._held.append((bytes(message), received_ns))
        if len(self._held) >= HELD_MAX:
            self._release()
        return None

    def _release(self) -> None:
        held, self._held = self._held or [], None
        for message, received_ns in held:
            self._receive(memoryview(message), received_ns)

    async def _wait_after(self, error: VenueUnreachable, alive: WebSocket | None) -> WebSocket | None:
        """Back off; return the connection that still serves, if there is one."""
        self._counters.add("data_collector_connect_failures_total")
        self._state.last_error = str(error)
        if not self._told_down:
            self._told_down = True
            self._log.warning("line_down", url=self._address.url, reason=str(error))
        delay_s = self._backoff.next_delay_s(retry_after_s=error.retry_after_s)
        if alive is None:
            await self._pause(delay_s)
            return None
        return alive if await self._watch(alive, for_s=delay_s) else None

    async def _pause(self, delay_s: float) -> None:
        self._state.state = "waiting"
        await asyncio.sleep(delay_s)

    async def _subscribe(self, socket: WebSocket) -> None:
        size = self._limits.streams_per_control_message
        for start in range(0, len(self._streams), size):
            part = self._streams[start : start + size]
            await self._ask(socket, partial(self._codec.subscribe, part))
        reply = await self._ask(socket, self._codec.list_subscriptions)
        missing = set(self._streams) - set(self._streams if reply.streams is None else reply.streams)
        if missing:
            raise VenueUnreachable(f"the exchange left out {len(missing)} streams, such as {min(missing)}")

    async def _ask(self, socket: WebSocket, message: Callable[[int], bytes]) -> Reply:
        self._request_id += 1
        request_id = self._request_id
        answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._replies[request_id] = answered
        try:
            self._counters.add("data_collector_control_messages_total")
            await socket.send(message(request_id))
            await asyncio.wait((answered,), timeout=REPLY_TIMEOUT_S)
            if not answered.done():
                ended = await socket.wait_ended(0)
                raise VenueUnreachable(f"no answer to a subscription ({ended or 'still connected'})")
        finally:
            del self._replies[request_id]
        reply = answered.result()
        if reply.error is not None:
            raise VenueUnreachable(f"the exchange refused a subscription: {reply.error} (code {reply.code})")
        return reply

    async def _watch(self, socket: WebSocket, *, for_s: float | None = None) -> bool:
        """Until the connection has ended (False), or the next one is due beside it or `for_s` is over (True)."""
        heard_s = time.monotonic()
        silence_max_s = self._limits.ping_interval_s + SILENCE_MARGIN_S
        roll_over_s = self._subscribed_s + self._limits.max_age_s * random.uniform(*ROLLOVER_EARLY)
        until_s = roll_over_s if for_s is None else time.monotonic() + for_s
        while True:
            now = time.monotonic()
            if now >= until_s or (self._roll_over and for_s is None):
                return True
            if socket.heard:
                socket.heard = False
                heard_s = now
            elif now - heard_s >= silence_max_s:
                socket.close("silent")
            # Half a second, so that an announced shutdown is acted on at once.
            reason = await socket.wait_ended(min(0.5, silence_max_s, until_s - now))
            if reason is not None:
                self._lost(reason)
                return False

    def _lost(self, reason: str) -> None:
        served_s = time.monotonic() - self._subscribed_s
        self._connected_at = None
        self._down_since_s = time.monotonic()
        self._state.reconnects += 1
        self._state.last_error = reason
        self._counters.add("data_collector_disconnects_total", reason=_label(reason))
        self._log.warning("line_lost", reason=reason, served_s=round(served_s, 1))

    def _on_control(self, control: Control) -> None:
        if isinstance(control, ShutdownNotice):
            self._log.info("exchange_shutdown_announced")
            self._roll_over = True
            return
        waiting = self._replies.get(control.request_id) if isinstance(control.request_id, int) else None
        if waiting is not None and not waiting.done():
            waiting.set_result(control)
        elif control.error is not None:
            self._log.warning("exchange_error", message=control.error, code=control.code)


def _label(reason: str) -> str:
    """Codes of the exchange's own making are one label: the set must stay closed."""
    kind, _, code = reason.partition(" ")
    return reason if kind != "close" or code.startswith("10") else "close other"
