"""Opens WebSockets, and closes what the library leaves open.

picows costs 0.27 µs per frame where websockets costs 3.5. It accepts some things that the protocol forbids, and those
are refused here: reserved bits, a continuation without a start, messages that interleave, endless fragments, an
extension or subprotocol that nobody asked for, redirects. Pings are answered within the message limit only.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable

from picows import (
    WSCloseCode,
    WSError,
    WSFrame,
    WSHandshakeError,
    WSListener,
    WSMsgType,
    WSTransport,
    ws_connect,
)

from data_collector.model.errors import VenueUnreachable
from data_collector.model.protocols import Reply, ShutdownNotice
from data_collector.pipeline.governor import Governor

HANDSHAKE_TIMEOUT_S = 5.0
MESSAGE_BYTES_MAX = 1024 * 1024
"""The longest frame of the recordings has 34 KiB."""

PING_FLOOD_MAX = 100
"""Pings left unanswered because of the message limit before the connection is given up."""

Control = Reply | ShutdownNotice

_TEXT = WSMsgType.TEXT

Receive = Callable[[memoryview, int], Control | None]
"""Called with each text message (valid during the call only) and its receive time in ns. What it returns concerns the
connection and is handed to `OnControl`."""

OnControl = Callable[[Control], None]


class WebSocket(WSListener):
    """One open connection. Made by `open_websocket`."""

    def __init__(self, receive: Receive, on_control: OnControl, messages_per_s: int) -> None:
        self._receive = receive
        self._on_control = on_control
        self._transport: WSTransport | None = None
        self._messages = Governor(messages_per_s, 1.0)
        self._parts: list[bytes] | None = None
        self._unanswered_pings = 0
        self._ended = asyncio.get_running_loop().create_future()
        self._reason: str | None = None
        self.failure: BaseException | None = None
        """A bug in the receiver: raised by `wait_ended`."""
        self.heard = True
        """Set by every frame, pings included; the line clears it to see whether more come."""
        self.last_message_ns = 0
        """Wall clock of the newest text message."""

    async def send(self, message: bytes) -> None:
        """Send a text message as soon as the message limit allows."""
        await self._messages.turn()
        if self._transport is not None and not self._transport.is_disconnected:
            self._transport.send(WSMsgType.TEXT, message)

    def close(self, reason: str, code: WSCloseCode = WSCloseCode.OK) -> None:
        """Close from our side; `wait_ended` then returns."""
        self._end(reason)
        if self._transport is not None and not self._transport.is_disconnected:
            if not self._transport.is_close_frame_sent:
                self._transport.send_close(code)
            self._transport.disconnect(graceful=True)

    async def wait_ended(self, timeout_s: float) -> str | None:
        """Why the connection ended, or None when it still lives after `timeout_s`."""
        await asyncio.wait((self._ended,), timeout=timeout_s)
        if self.failure is not None:
            raise self.failure
        return self._reason

    def on_ws_connected(self, transport: WSTransport) -> None:
        """picows calls this after the handshake."""
        self._transport = transport
        headers = transport.response.headers
        for header in ("Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"):
            if header in headers:
                self.close("protocol", WSCloseCode.MANDATORY_EXTENSION)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """picows calls this for each frame."""
        received_ns = time.time_ns()
        self.heard = True
        try:
            if (
                frame.msg_type is _TEXT and frame.fin and self._parts is None
                and not (frame.rsv1 or frame.rsv2 or frame.rsv3)
            ):  # fmt: skip
                self.last_message_ns = received_ns
                control = self._receive(frame.get_payload_as_memoryview(), received_ns)
                if control is not None:
                    self._on_control(control)
            else:
                self._take_uncommon(transport, frame, received_ns)
        except BaseException as error:  # noqa: BLE001 - picows would log a bug and go on; the line raises it
            self.failure = error
            self.close("bug", WSCloseCode.INTERNAL_ERROR)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """picows calls this once."""
        self._end(_close_reason(transport))

    def _take_uncommon(self, transport: WSTransport, frame: WSFrame, received_ns: int) -> None:
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            self.close("protocol", WSCloseCode.PROTOCOL_ERROR)
            return
        match frame.msg_type:
            case WSMsgType.PING:
                self._answer_ping(transport, frame.get_payload_as_bytes())
            case WSMsgType.PONG:
                pass
            case WSMsgType.CLOSE:
                self._end(f"close {_number(frame.get_close_code())}")
                transport.send_close(frame.get_close_code())
                transport.disconnect()
            case WSMsgType.TEXT | WSMsgType.CONTINUATION:
                self._take_part(frame, received_ns)
            case _:
                self.close("protocol", WSCloseCode.UNSUPPORTED_DATA)

    def _take_part(self, frame: WSFrame, received_ns: int) -> None:
        starts = frame.msg_type == WSMsgType.TEXT
        if starts != (self._parts is None):
            self.close("protocol", WSCloseCode.PROTOCOL_ERROR)
            return
        parts = [] if self._parts is None else self._parts
        parts.append(frame.get_payload_as_bytes())
        self._parts = parts
        if sum(map(len, parts)) > MESSAGE_BYTES_MAX or len(parts) > MESSAGE_BYTES_MAX // 1024:
            self.close("protocol", WSCloseCode.MESSAGE_TOO_BIG)
        elif frame.fin:
            self._parts = None
            control = self._receive(memoryview(b"".join(parts)), received_ns)
            if control is not None:
                self._on_control(control)

    def _answer_ping(self, transport: WSTransport, payload: bytes) -> None:
        if self._messages.try_now():
            self._unanswered_pings = 0
            transport.send_pong(payload)
            return
        self._unanswered_pings += 1
        if self._unanswered_pings > PING_FLOOD_MAX:
            self.close("ping_flood", WSCloseCode.POLICY_VIOLATION)

    def _end(self, reason: str) -> None:
        if not self._ended.done():
            self._reason = reason
            self._ended.set_result(None)


async def open_websocket(
    url: str,
    receive: Receive,
    on_control: OnControl,
    *,
    messages_per_s: int,
    proxy: str | None = None,
    hint_451: str = "",
) -> WebSocket:
    """Connect and shake hands. Raises `VenueUnreachable` with a sentence that says what went wrong."""
    try:
        _, listener = await ws_connect(
            lambda: WebSocket(receive, on_control, messages_per_s),
            url,
            ssl_context=_context() if url.startswith("wss:") else None,
            websocket_handshake_timeout=HANDSHAKE_TIMEOUT_S,
            enable_auto_ping=False,
            enable_auto_pong=False,
            max_frame_size=MESSAGE_BYTES_MAX,
            max_redirects=0,
            proxy=proxy,
        )
    except WSHandshakeError as error:
        raise _handshake_refused(error, hint_451) from error
    except ssl.SSLCertVerificationError as error:
        raise VenueUnreachable(f"its certificate cannot be trusted ({error.verify_message})") from error
    except (OSError, TimeoutError, EOFError, WSError) as error:
        raise VenueUnreachable(f"cannot connect ({getattr(error, 'strerror', None) or error})") from error
    assert isinstance(listener, WebSocket)
    return listener


def _handshake_refused(error: WSHandshakeError, hint_451: str) -> VenueUnreachable:
    response = error.response
    if response is None:
        return VenueUnreachable(f"the handshake failed ({error})")
    status = int(response.status)
    text = f"the handshake was answered with HTTP {status}"
    if status in {301, 302, 303, 307, 308}:
        text += " (redirects are not followed)"
    retry_after = response.headers.get("Retry-After", "")
    hint = f". {hint_451}" if status == 451 and hint_451 else ""
    return VenueUnreachable(text + hint, retry_after_s=float(retry_after) if retry_after.isdigit() else None)


def _close_reason(transport: WSTransport) -> str:
    # None where no close frame came or went, though the library declares otherwise.
    received = getattr(transport.close_handshake, "recv", None)
    return "reset" if received is None else f"close {_number(received.code)}"


def _number(code: WSCloseCode) -> int:
    # Codes that picows has no name for come as plain numbers.
    return code if isinstance(code, int) else int(code.value)


def _context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
