"""The clients on the stream side: what each is subscribed to, its limits, its pings, and what faults do to it."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Collection, Sequence

from picows import WSFrame, WSListener, WSMsgType, WSTransport

from data_collector.simulator.control.faults import Faults, RefuseStreams
from data_collector.simulator.limits import SlidingWindow
from data_collector.simulator.settings import SimulatorSettings
from data_collector.simulator.speaker import Form, StreamSpeaker
from data_collector.simulator.streams.delivery import PING, PONG, Delivery, close_frame, frame, text_frame
from data_collector.time_limit import time_limit

POLICY_VIOLATION = 1008

CLOSE_GRACE_S = 1.0
"""How long a client has to answer a close frame before its connection is cut."""

READER_TIMEOUT_S = 10.0
"""How long a burst waits for a client that does not read."""

STALLED_BYTES_MAX = 16 * 1024 * 1024
"""What is kept for a stalled connection; when there is more it is cut."""


class StreamConnection(WSListener):
    """Made at the handshake; known to the hub from its end until the socket is gone."""

    def __init__(
        self, number: int, path: bytes, speaker: StreamSpeaker, settings: SimulatorSettings, faults: Faults, hub: Hub
    ) -> None:
        super().__init__()
        self.number = number
        self.form = Form()
        self.streams: dict[str, None] = {}
        """In the order in which they were subscribed to."""
        self.frames_sent = 0
        self.pinged = 0
        """How often the client has pinged."""
        self.writable = asyncio.Event()
        """Cleared while the client reads too slowly."""
        self.writable.set()
        self._path = path
        self._speaker = speaker
        self._manners = speaker.manners
        self._settings = settings
        self._faults = faults
        self._delivery = Delivery(number, faults, self.write)
        self._hub = hub
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        most = self._manners.messages_per_s
        self._messages = None if most is None else SlidingWindow(most, 1.0)
        self._text = b""
        self._pings: list[bytes] = []
        self._timers: list[asyncio.TimerHandle] = []
        self._ping_timer: asyncio.TimerHandle | None = None
        self._pong_timer: asyncio.TimerHandle | None = None
        self._pulse_timer: asyncio.TimerHandle | None = None
        self._silence_timer: asyncio.TimerHandle | None = None
        self._wrote = False
        """Whether anything was sent since the last look."""
        self._stalled: bytearray | None = None
        self._closing = False

    # What the client does.

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The handshake is done."""
        self._transport = transport.underlying_transport
        self._hub.add(self)
        manners = self._manners
        self._timers.append(self._loop.call_later(manners.max_age_s, self.close, 1000, ""))
        if manners.ping_interval_s is not None:
            self._ping_timer = self._loop.call_later(manners.ping_interval_s, self._ping, manners.ping_interval_s)
        if manners.pulse_s is not None:
            self._pulse_timer = self._loop.call_later(manners.pulse_s, self._pulse, manners.pulse_s)
        if manners.subscribe_within_s is not None:
            self._timers.append(self._loop.call_later(manners.subscribe_within_s, self._close_idle))
        self._heard()
        self._speaker.greet(self._path, self)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The socket is gone."""
        self._transport = None
        timers = (self._ping_timer, self._pong_timer, self._pulse_timer, self._silence_timer)
        for timer in (*self._timers, *timers):
            if timer is not None:
                timer.cancel()
        self.writable.set()
        self._hub.forget(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """A frame from the client."""
        if frame.msg_type == WSMsgType.CLOSE:
            self.close(1000, "")
            transport.disconnect()
            return
        if self._closing:
            return
        if not self._may_speak():
            self.close(POLICY_VIOLATION, "Too many requests")
            return
        match frame.msg_type:
            case WSMsgType.PING:
                self.pinged += 1
                self._send_control(PONG, frame.get_payload_as_bytes())
            case WSMsgType.PONG:
                self._on_pong(frame.get_payload_as_bytes())
            case _:
                self._heard()
                self._text += frame.get_payload_as_bytes()
                if frame.fin:
                    text, self._text = self._text, b""
                    self._speaker.hear(text, self)

    def pause_writing(self) -> None:
        """The client reads more slowly than we write."""
        self.writable.clear()

    def resume_writing(self) -> None:
        """It has caught up."""
        self.writable.set()

    def _on_pong(self, payload: bytes) -> None:
        # Unsolicited pongs are allowed and do not keep a connection alive.
        if payload in self._pings and self._pong_timer is not None:
            self._pings.clear()
            self._pong_timer.cancel()
            self._pong_timer = None

    def _may_speak(self) -> bool:
        allowed = self._messages is None or self._messages.allows(self._loop.time())
        return allowed or not self._settings.enforce_limits

    def _heard(self) -> None:
        if (seconds := self._manners.silence_s) is not None:
            if self._silence_timer is not None:
                self._silence_timer.cancel()
            self._silence_timer = self._loop.call_later(seconds, self.close, 1000, "")

    # What its speaker asks of it.

    def has_room(self, streams: Sequence[str]) -> bool:
        """Whether so many may be subscribed to."""
        most = self._manners.streams_per_connection
        if most is None or not self._settings.enforce_limits:
            return True
        return len(self.streams.keys() | set(streams)) <= most

    def subscribe(self, streams: Sequence[str]) -> None:
        """Send these streams from now on; again is the same as once."""
        self.streams |= dict.fromkeys(streams)
        for stream in streams:
            self._hub.subscribe(stream, self)

    def refusal(self, stream: str) -> RefuseStreams | None:
        """The fault that a subscription meets; counts it."""
        return self._faults.refused_stream(stream)

    def tell(self, stream: str, payloads: Sequence[bytes]) -> None:
        """Payloads of a stream, to this client alone."""
        self.deliver(stream, payloads, b"".join([self._speaker.text(stream, each, self.form) for each in payloads]))

    # What happens by itself.

    def _pulse(self, period_s: float) -> None:
        if self.streams and not self._wrote:
            self._speaker.pulse(self)
        self._wrote = False
        self._pulse_timer = self._loop.call_later(period_s, self._pulse, period_s)

    def _close_idle(self) -> None:
        if not self.streams:
            self.close(POLICY_VIOLATION, "Nothing was subscribed to")

    def _ping(self, period_s: float) -> None:
        payload = str(int(self._loop.time() * 1000)).encode()
        self._pings.append(payload)
        self._send_control(PING, payload)
        self._ping_timer = self._loop.call_later(period_s, self._ping, period_s)
        if self._pong_timer is None:
            timeout_s = self._manners.pong_timeout_s
            self._pong_timer = self._loop.call_later(timeout_s, self.close, POLICY_VIOLATION, "Pong timeout")

    # What the exchange does.

    def deliver(self, stream: str, payloads: Sequence[bytes], framed: bytes) -> None:
        """Send the payloads of a stream; `framed` is all of them as this kind of connection gets them."""
        self.frames_sent += len(payloads)
        if self._delivery.is_plain:
            self.write(framed)
            return
        for payload in payloads:
            self._delivery.deliver(
                stream, payload, text=lambda each: self._speaker.text(stream, each, self.form), later=self._write_later
            )

    def _write_later(self, seconds: float, raw: bytes) -> None:
        self._loop.call_later(seconds, self.write, raw)

    def send_text(self, payload: bytes) -> None:
        """A text message that belongs to no stream."""
        self.write(text_frame(payload))

    def _send_control(self, opcode: int, payload: bytes) -> None:
        self.write(frame(opcode, payload))

    def write(self, raw: bytes) -> None:
        """Bytes as they are, valid frames or not. A client that leaves too much unread is cut off."""
        if self._transport is None or self._closing:
            return
        self._wrote = True
        if self._stalled is not None:
            self._stalled += raw
            if len(self._stalled) > STALLED_BYTES_MAX:
                self.cut_off()
            return
        self._transport.write(raw)
        if self._transport.get_write_buffer_size() > self._settings.write_buffer_bytes_max:
            self.cut_off()

    def close(self, code: int, reason: str) -> None:
        """Send a close frame and cut the connection soon after."""
        if self._closing or self._transport is None:
            return
        self.write(close_frame(code, reason))
        self._closing = True
        self._hub.silence(self)
        self._timers.append(self._loop.call_later(CLOSE_GRACE_S, self._transport.close))

    def close_later(self, seconds: float, code: int) -> None:
        """Close after some time, unless the client has gone by then."""
        self._timers.append(self._loop.call_later(seconds, self.close, code, ""))

    def drop_stream(self, stream: str) -> None:
        """End a subscription."""
        self.streams.pop(stream, None)
        self._hub.unsubscribe(stream, self)

    async def until_writable(self) -> None:
        """Wait for a client that reads slowly, but not for ever: one that does not read at all is cut off."""
        try:
            async with time_limit(READER_TIMEOUT_S):
                await self.writable.wait()
        except TimeoutError:
            self.cut_off()

    def cut_off(self) -> None:
        """End the connection at once, with whatever was not sent yet."""
        if self._transport is not None:
            self._transport.abort()

    def hang_up(self) -> None:
        """Cut the connection once what was written is sent."""
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        """Cut the connection with a TCP reset in the middle of a frame."""
        if self._transport is None:
            return
        half = text_frame(b'{"trade":1' + b" " * 200)[:40]
        self.write(half)
        connected = self._transport.get_extra_info("socket")
        # Lingering for no time makes the kernel send RST in place of FIN.
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def stall(self, seconds: float | None) -> None:
        """Send no byte more: for some seconds, after which all of it comes at once, or until the end."""
        if self._stalled is None:
            self._stalled = bytearray()
        if seconds is not None:
            self._timers.append(self._loop.call_later(seconds, self._resume))

    def _resume(self) -> None:
        held, self._stalled = self._stalled, None
        if held:
            self.write(bytes(held))


class Hub:
    """Every connection, and every stream with the connections that want it."""

    def __init__(self, on_first_listener: Callable[[str], None]) -> None:
        self.connections: dict[int, StreamConnection] = {}
        self.deserted = asyncio.Event()
        """Set while there is no connection."""
        self.deserted.set()
        self._listeners: dict[str, dict[int, StreamConnection]] = {}
        self._on_first_listener = on_first_listener

    def listeners(self, stream: str) -> Collection[StreamConnection]:
        """The connections that are subscribed to a stream."""
        found = self._listeners.get(stream)
        return () if found is None else found.values()

    def subscribe(self, stream: str, connection: StreamConnection) -> None:
        """Add a listener; again is the same as once."""
        if stream not in self._listeners:
            self._listeners[stream] = {}
            self._on_first_listener(stream)
        self._listeners[stream][connection.number] = connection

    def unsubscribe(self, stream: str, connection: StreamConnection) -> None:
        """Take a listener away; one that is not there is no error."""
        listeners = self._listeners.get(stream, {})
        listeners.pop(connection.number, None)
        if not listeners:
            self._listeners.pop(stream, None)

    def silence(self, connection: StreamConnection) -> None:
        """End every subscription of a connection."""
        for stream in connection.streams:
            self.unsubscribe(stream, connection)

    def add(self, connection: StreamConnection) -> None:
        """Take a new connection in."""
        self.connections[connection.number] = connection
        self.deserted.clear()

    def forget(self, connection: StreamConnection) -> None:
        """Take a connection whose socket is gone out of everything."""
        self.silence(connection)
        self.connections.pop(connection.number, None)
        if not self.connections:
            self.deserted.set()
