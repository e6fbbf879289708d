"""WebSocket frames, and what faults do to them on their way to one connection.

They are as a server sends them (RFC 6455, section 5.2): unmasked, so one can go to many clients.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from data_collector.simulator.control.faults import CorruptShape, Faults, FrameFault

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA

_FIN = 0x80

DEPTH = 100_000
"""Nesting that exhausts the stack of a parser that recurses."""

DIGITS = 5_000
"""More digits than Python turns into an integer without being asked."""


class Delivery:
    """Stands between the feed and the socket of a connection while there are faults in force."""

    def __init__(self, number: int, faults: Faults, write: Callable[[bytes], None]) -> None:
        self._number = number
        self._faults = faults
        self._write = write
        self._held_back: list[tuple[int, bytes]] = []

    @property
    def is_plain(self) -> bool:
        """Whether frames may go to the socket as they are."""
        return not self._faults.frame_faults and not self._held_back

    def deliver(
        self, stream: str, payload: bytes, *, text: Callable[[bytes], bytes], later: Callable[[float, bytes], None]
    ) -> None:
        """Send a payload as the fault that fits it says.

        `text` makes the frame of a payload; `later` sends something after some seconds.
        """
        fault = self._faults.frame_fault(self._number, stream, payload)
        framed = text(payload)
        if fault is not None and fault.kind == "reorder":
            self._held_back.append((fault.span, framed))
            return
        if fault is not None and fault.kind == "delay":
            later(fault.delay_s, framed)
        for each in [payload] if fault is None else _payloads_with(fault, payload):
            self._write(text(each))
        self._release()

    def _release(self) -> None:
        waiting = [(span - 1, held) for span, held in self._held_back]
        self._held_back = [(span, held) for span, held in waiting if span > 0]
        for span, held in waiting:
            if span <= 0:
                self._write(held)


def _payloads_with(fault: FrameFault, payload: bytes) -> list[bytes]:
    match fault.kind:
        case "drop" | "reorder" | "delay":
            return []
        case "duplicate":
            return [payload, payload]
        case "change":
            return [changed(payload, fault)]
        case "conflict":
            return [payload, changed(payload, fault)]
        case "corrupt":
            return [corrupted(payload, fault.shape)]


def changed(payload: bytes, fault: FrameFault) -> bytes:
    """The payload with the fault's `set`, `add` and `remove`; one that is no JSON object stays as it is."""
    body = msgspec.json.decode(payload, type=object)
    if not isinstance(body, dict):
        return payload
    for path, value in fault.set.items():
        holder, key = _place(body, path)
        holder[key] = value
    for path, amount in fault.add.items():
        holder, key = _place(body, path)
        before = holder.get(key)
        holder[key] = before + amount if isinstance(before, int) else amount
    for path in fault.remove:
        holder, key = _place(body, path)
        holder.pop(key, None)
    return msgspec.json.encode(body)


def _place(body: dict[str, object], path: str) -> tuple[dict[str, object], str]:
    *parents, key = path.split(".")
    holder: object = body
    for parent in parents:
        if isinstance(holder, list):
            holder = holder[int(parent)] if parent.isdecimal() and int(parent) < len(holder) else {}
        elif isinstance(holder, dict):
            inner = holder.get(parent)
            if not isinstance(inner, dict | list):
                inner = holder[parent] = {}
            holder = inner
    return (holder if isinstance(holder, dict) else {}), key


def corrupted(payload: bytes, shape: CorruptShape) -> bytes:
    """Something broken in place of the payload; the length may be anything."""
    return _SHAPES[shape](payload)


_SHAPES: dict[CorruptShape, Callable[[bytes], bytes]] = {
    "truncated": lambda payload: payload[: len(payload) // 2],
    "bad_utf8": lambda payload: payload[:-2] + b'\xff\xfe"}',
    "deep": lambda _: b'{"e":' + b"[" * DEPTH + b"]" * DEPTH + b"}",
    "nan": lambda payload: payload[:-1] + b',"x0":NaN}',
    "huge_number": lambda payload: payload[:-1] + b',"x0":' + b"9" * DIGITS + b"}",
    "duplicate_keys": lambda payload: payload[:-1] + b',"s":"OTHER","e":"other"}',
    "empty": lambda _: b"",
    "binary": lambda _: bytes(range(256)),
}


def frame(opcode: int, payload: bytes) -> bytes:
    """A whole message in one frame."""
    size = len(payload)
    if size < 126:
        return bytes((_FIN | opcode, size)) + payload
    if size < 65536:
        return bytes((_FIN | opcode, 126)) + size.to_bytes(2, "big") + payload
    return bytes((_FIN | opcode, 127)) + size.to_bytes(8, "big") + payload


def text_frame(payload: bytes) -> bytes:
    """A text message."""
    return frame(TEXT, payload)


def close_frame(code: int, reason: str) -> bytes:
    """A close message; any code that fits 16 bits, also those that no library would send."""
    return frame(CLOSE, code.to_bytes(2, "big") + reason.encode())
