"""One open WebSocket: frames are decoded here, once, and given on; what concerns the connection goes to its line.

picows costs 0.27 µs per frame where websockets costs 3.5. It accepts some things that the protocol forbids, and those
are refused here: reserved bits, a continuation without a start, messages that interleave, endless fragments, an
extension or subprotocol that nobody asked for. Pings are answered within the message limit only.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable

from msgspec import Struct
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from data_collector.model.errors import BadFrame
from data_collector.model.records import Record, Trade
from data_collector.model.venue import Acknowledged, Closing, Event, Head, Listed, Pulse, Refused, UnknownEvent
from data_collector.observe.memory import SHORTAGE
from data_collector.pipeline.connections.governor import Governor

MESSAGE_BYTES_MAX = 1024 * 1024
"""The longest frame of the recordings has 34 KiB."""

PING_FLOOD_MAX = 100
"""Pings in a row that have to wait because of the message limit before the connection is given up."""

BAD_MESSAGES_MAX = 100
"""Undecodable messages within a second that cost the connection."""

LINGER_S = 1.0
"""How long a closed connection may take to send what it has left; a peer may keep it open for ever."""

_TEXT = WSMsgType.TEXT


class Unreadable(Struct, frozen=True):
    """A message that could not be decoded."""

    frame: bytes
    error: BadFrame


Decode = Callable[[memoryview, int], Event | list[Record]]
"""Gets a text message, which is valid during the call only, and its receive time in ns. Raises `BadFrame`."""

Received = Record | list[Record] | Head | UnknownEvent | Unreadable
"""What one message is for the stages that follow."""

Receive = Callable[[Received], None]

Control = Acknowledged | Refused | Listed | Pulse | Closing
"""What concerns the connection alone."""

OnControl = Callable[[Control], None]


class WebSocket(WSListener):
    """One open connection. Made by `open_websocket`."""

    def __init__(self, decode: Decode, receive: Receive, on_control: OnControl, messages_per_s: int) -> None:
        self._decode = decode
        self._receiver = receive
        self._receive = receive
        self._on_control = on_control
        self._loop = asyncio.get_running_loop()
        self._transport: WSTransport | None = None
        self._messages = Governor(messages_per_s, 1.0)
        self._parts: list[bytes] | None = None
        self._parts_bytes = 0
        self._waiting_pings = 0
        self._ping_payload = b""
        self._bad_second = 0
        self._bad_messages = 0
        self.ended: asyncio.Future[None] = self._loop.create_future()
        """Done when the connection has ended; why tells `end_reason`."""
        self.offers: list[str] = []
        """Headers of the handshake's answer that use what we did not offer."""
        self.on_sent: Callable[[bytes], None] | None = None
        """Shown what we say."""
        self._reason: str | None = None
        self._failure: BaseException | None = None
        self._farewell: asyncio.Task[None] | None = None
        self.heard = True
        """Set by every frame, pings included; the line clears it to see whether more come."""
        self.last_message_ns = 0
        """Wall clock of the newest message that is not about the connection alone."""

    def hand_to(self, receive: Receive) -> None:
        """Give the messages to this receiver from now on."""
        self._receiver = self._receive = receive

    def sample(self, take: Receive) -> None:
        """Show the next message to `take` too, once: messages that are no sample pay nothing for it."""

        def receive_sample(received: Received) -> None:
            self._receive = self._receiver
            take(received)
            self._receiver(received)

        self._receive = receive_sample

    @property
    def certificate_ends_s(self) -> float | None:
        """Unix time at which the peer's certificate ends; None without TLS."""
        if self._transport is None:
            return None
        shown = self._transport.underlying_transport.get_extra_info("peercert")
        return ssl.cert_time_to_seconds(shown["notAfter"]) if shown else None

    async def send(self, message: bytes) -> None:
        """Send a text message as soon as the message limit allows."""
        await self._messages.turn()
        if self._transport is not None and not self._transport.is_disconnected:
            self._transport.send(WSMsgType.TEXT, message)
            if self.on_sent is not None:
                self.on_sent(message)

    def ping(self) -> bool:
        """Ask the peer for a sign of life, if the message limit allows; every frame is one. Whether it was asked."""
        if self._transport is None or self._transport.is_disconnected or not self._messages.try_now():
            return False
        self._transport.send_ping(b"")
        return True

    def keep_alive(self, every_s: float, message: Callable[[], bytes | None]) -> None:
        """Send such a message so often until the end, whatever else is sent."""
        self._loop.call_later(every_s, self._send_keepalive, every_s, message)

    def close(self, reason: str, code: WSCloseCode = WSCloseCode.OK) -> None:
        """Close from our side; `ended` is done then, whatever the peer does."""
        self._end(reason)
        if self._transport is not None and not self._transport.is_disconnected:
            if not self._transport.is_close_frame_sent:
                self._transport.send_close(code)
            self._transport.disconnect(graceful=True)
            self._loop.call_later(LINGER_S, self._transport.disconnect, False)

    @property
    def last_words(self) -> str:
        """Why the connection ended; empty while it lives."""
        return self._reason or ""

    def end_reason(self) -> str | None:
        """Why the connection ended, or None while it lives. Raises a bug of the receiver."""
        if self._failure is not None:
            raise self._failure
        return self._reason

    async def wait_ended(self, timeout_s: float) -> str | None:
        """Wait for the end, for so long; why it ended, or None while it lives. Raises a bug of the receiver."""
        await asyncio.wait((self.ended,), timeout=timeout_s)
        return self.end_reason()

    def on_ws_connected(self, transport: WSTransport) -> None:
        """picows calls this after the handshake."""
        self._transport = transport
        headers = transport.response.headers
        self.offers = [name for name in ("Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol") if name in headers]
        if self.offers:
            self.close("protocol", WSCloseCode.MANDATORY_EXTENSION)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """picows calls this for each frame, those that came with the one that made us close included."""
        received_ns = time.time_ns()
        self.heard = True
        try:
            if (
                frame.msg_type is _TEXT and frame.fin and self._parts is None
                and not (frame.rsv1 or frame.rsv2 or frame.rsv3)
            ):  # fmt: skip
                message = frame.get_payload_as_memoryview()
            else:
                whole = self._take_uncommon(transport, frame)
                if whole is None:
                    return
                message = memoryview(whole)
            try:
                decoded = self._decode(message, received_ns)
            except BadFrame as error:
                self.last_message_ns = received_ns
                self._count_bad_message()
                self._receive(Unreadable(bytes(message), error))
                return
            # Nine of ten messages are trades, single or in lists: they are told apart the quickest way.
            if type(decoded) is Trade or isinstance(decoded, list) or not isinstance(decoded, Control):
                self.last_message_ns = received_ns
                self._receive(decoded)
            else:
                self._on_control(decoded)
        except BaseException as error:  # noqa: BLE001 - picows would log a bug and go on; the line raises it
            SHORTAGE.meet(error)
            self._failure = error
            self.close("bug", WSCloseCode.INTERNAL_ERROR)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """picows calls this once."""
        self._end(_close_reason(transport))
        # What the library has refused it keeps until somebody asks, and complains when nobody does.
        self._farewell = self._loop.create_task(transport.wait_disconnected())
        self._farewell.add_done_callback(lambda farewell: farewell.cancelled() or farewell.exception())

    def _count_bad_message(self) -> None:
        second = int(time.monotonic())
        if second != self._bad_second:
            self._bad_second, self._bad_messages = second, 0
        self._bad_messages += 1
        if self._bad_messages >= BAD_MESSAGES_MAX:
            self.close("bad_messages")

    def _take_uncommon(self, transport: WSTransport, frame: WSFrame) -> bytes | None:
        """The text message that ends with this frame, if one does."""
        if self.ended.done():
            return None
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            self.close("protocol", WSCloseCode.PROTOCOL_ERROR)
            return None
        match frame.msg_type:
            case WSMsgType.PING:
                self._answer_ping(transport, frame.get_payload_as_bytes())
            case WSMsgType.PONG:
                pass
            case WSMsgType.CLOSE:
                code = _number(frame.get_close_code())
                if code in _NEVER_SENT or code > CLOSE_CODE_MAX:
                    self.close("protocol", WSCloseCode.PROTOCOL_ERROR)
                    return None
                self._end(f"close {code}")
                transport.send_close(frame.get_close_code())
                transport.disconnect()
            case WSMsgType.TEXT | WSMsgType.CONTINUATION:
                return self._take_part(frame)
            case _:
                self.close("protocol", WSCloseCode.UNSUPPORTED_DATA)
        return None

    def _take_part(self, frame: WSFrame) -> bytes | None:
        starts = frame.msg_type == WSMsgType.TEXT
        if starts != (self._parts is None):
            self.close("protocol", WSCloseCode.PROTOCOL_ERROR)
            return None
        if self._parts is None:
            self._parts, self._parts_bytes = [], 0
        part = frame.get_payload_as_bytes()
        self._parts.append(part)
        self._parts_bytes += len(part)
        if self._parts_bytes > MESSAGE_BYTES_MAX or len(self._parts) > MESSAGE_BYTES_MAX // 1024:
            self._parts = None
            self.close("protocol", WSCloseCode.MESSAGE_TOO_BIG)
        elif frame.fin:
            whole, self._parts = b"".join(self._parts), None
            return whole
        return None

    def _answer_ping(self, transport: WSTransport, payload: bytes) -> None:
        """At once if the message limit allows; else the newest of those that wait is answered when it does."""
        self._ping_payload = payload
        if self._waiting_pings:
            self._waiting_pings += 1
            if self._waiting_pings > PING_FLOOD_MAX:
                self.close("ping_flood", WSCloseCode.POLICY_VIOLATION)
        elif self._messages.try_now():
            transport.send_pong(payload)
        else:
            self._waiting_pings = 1
            self._loop.call_later(self._messages.next_in_s(), self._answer_waiting_ping, transport)

    def _answer_waiting_ping(self, transport: WSTransport) -> None:
        if self.ended.done() or transport.is_disconnected:
            return
        if self._messages.try_now():
            # The protocol allows to answer only the newest of several pings.
            self._waiting_pings = 0
            transport.send_pong(self._ping_payload)
        else:
            self._loop.call_later(max(0.001, self._messages.next_in_s()), self._answer_waiting_ping, transport)

    def _send_keepalive(self, every_s: float, message: Callable[[], bytes | None]) -> None:
        if self.ended.done() or self._transport is None or self._transport.is_disconnected:
            return
        again_s = every_s
        if not self._messages.try_now():
            again_s = max(0.001, self._messages.next_in_s())
        elif (frame := message()) is not None:
            self._transport.send(WSMsgType.TEXT, frame)
        self._loop.call_later(again_s, self._send_keepalive, every_s, message)

    def _end(self, reason: str) -> None:
        if not self.ended.done():
            self._reason = reason
            self.ended.set_result(None)


def _close_reason(transport: WSTransport) -> str:
    # None where no close frame came or went, though the library declares otherwise.
    received = getattr(transport.close_handshake, "recv", None)
    if received is not None:
        return f"close {_number(received.code)}"
    sent = getattr(transport.close_handshake, "sent", None)
    return "reset" if sent is None or _number(sent.code) not in _VIOLATIONS else "protocol"


_NEVER_SENT = frozenset({1004, 1005, 1006, 1015})
"""Codes that stand for the lack of one; the library lets some of them through."""

CLOSE_CODE_MAX = 4_999

_VIOLATIONS = frozenset({1002, 1007, 1009})
"""What the library closes with when it has refused a frame."""


def _number(code: WSCloseCode) -> int:
    # Codes that picows has no name for come as plain numbers.
    return code if isinstance(code, int) else int(code.value)
