"""What a faulty frame looks like. Pure."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from data_collector.simulator.faults import CorruptShape, FrameFault

DEPTH = 100_000
"""Nesting that exhausts the stack of a parser that recurses."""

DIGITS = 5_000
"""More digits than Python turns into an integer without being asked."""


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
    for parent in parents:
        inner = body.get(parent)
        if not isinstance(inner, dict):
            inner = {}
            body[parent] = inner
        body = inner
    return body, key


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
