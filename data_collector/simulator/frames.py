"""WebSocket frames as a server sends them (RFC 6455, section 5.2): unmasked, so one can go to many clients."""

from __future__ import annotations

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA

_FIN = 0x80


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


def wrapped(stream: str, payload: bytes) -> bytes:
    """The payload as a combined connection gets it."""
    return b'{"stream":"' + stream.encode() + b'","data":' + payload + b"}"


def text_payload(stream: str, payload: bytes, *, combined: bool) -> bytes:
    """The text frame of a stream's payload in one of the two forms."""
    return frame(TEXT, wrapped(stream, payload) if combined else payload)
