"""The control messages of a stream connection: what they ask, and how the exchange answers. Pure."""

from __future__ import annotations

import re
from typing import Literal

import msgspec
from msgspec import Struct

from data_collector.simulator.settings import ErrorShape

METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")

Method = Literal["SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY"]

RequestId = int | str | None

ID_MIN, ID_MAX = -(2**63), 2**63 - 1

_TEXT_ID = re.compile(r"[A-Za-z0-9_-]{1,36}")
"""Documented as alphanumeric; the official client sends UUIDs with their hyphens, and they are accepted."""

_STREAM = re.compile(r"[^@\s!]+@[A-Za-z][A-Za-z0-9_]*(@(100ms|1000ms|\+08:00))?|![A-Za-z][A-Za-z0-9_]*(@arr)?")
"""Only the form is checked: a stream that does not exist is acknowledged and stays silent."""


class ControlMessage(Struct, frozen=True):
    """A control message that is in order."""

    method: Method
    request_id: RequestId
    streams: tuple[str, ...] = ()
    """Of SUBSCRIBE and UNSUBSCRIBE."""
    combined: bool | None = None
    """Of SET_PROPERTY."""


class ControlError(Struct, frozen=True):
    """A control message that gets an error."""

    code: int
    message: str
    request_id: RequestId = None
    closes: bool = False
    """Whether the connection is closed after it."""


def is_stream_name(text: str) -> bool:
    """Whether it has the form of a stream name."""
    return _STREAM.fullmatch(text) is not None


def parse(text: bytes) -> ControlMessage | ControlError:
    """Understand a text frame."""
    try:
        message = msgspec.json.decode(text, type=object)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ControlError(3, "Invalid JSON: expected value at line 1 column 1")
    where = f"at line 1 column {len(text)}"
    if not isinstance(message, dict):
        return ControlError(2, f"Invalid request: invalid type, expected struct {where}")
    request_id = message.get("id")
    if "id" not in message or not _is_id(request_id):
        return ControlError(2, "Invalid request: request ID must be an unsigned integer")
    if message.get("method") is None:
        return ControlError(2, f"Invalid request: missing field `method` {where}", request_id)
    return _method(message["method"], message.get("params"), request_id, where)


def _method(method: object, params: object, request_id: RequestId, where: str) -> ControlMessage | ControlError:
    match method:
        case "SUBSCRIBE" | "UNSUBSCRIBE":
            return _subscription(method, params, request_id)
        case "SET_PROPERTY" | "GET_PROPERTY":
            return _property(method, params, request_id)
        case "LIST_SUBSCRIPTIONS" if params:
            return ControlError(2, "Invalid request: too many parameters", request_id)
        case "LIST_SUBSCRIPTIONS":
            return ControlMessage(method, request_id)
        case _:
            expected = ", ".join(f"`{known}`" for known in METHODS)
            message = f"Invalid request: unknown variant {method}, expected one of {expected} {where}"
            return ControlError(2, message, request_id)


def _is_id(value: object) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return ID_MIN <= value <= ID_MAX
    return value is None or (isinstance(value, str) and _TEXT_ID.fullmatch(value) is not None)


def _subscription(method: Method, params: object, request_id: RequestId) -> ControlMessage | ControlError:
    if not isinstance(params, list):
        return ControlError(2, "Invalid request: missing field `params`", request_id)
    streams: list[str] = []
    for name in params:
        if not isinstance(name, str) or not is_stream_name(name):
            return ControlError(2, "Invalid request: invalid stream", request_id, closes=True)
        streams.append(name)
    return ControlMessage(method, request_id, tuple(streams))


def _property(method: Method, params: object, request_id: RequestId) -> ControlMessage | ControlError:
    if not isinstance(params, list) or not params or not isinstance(params[0], str):
        return ControlError(2, "Invalid request: property name must be a string", request_id)
    wanted = 2 if method == "SET_PROPERTY" else 1
    if len(params) > wanted:
        return ControlError(2, "Invalid request: too many parameters", request_id)
    if params[0] != "combined":
        return ControlError(0, "Unknown property", request_id)
    if method == "GET_PROPERTY":
        return ControlMessage(method, request_id)
    if len(params) < wanted or not isinstance(params[1], bool):
        return ControlError(1, "Invalid value type: expected Boolean", request_id)
    return ControlMessage(method, request_id, combined=params[1])


def answer(result: object, request_id: RequestId) -> bytes:
    """The reply of success; `id` keeps its type."""
    return msgspec.json.encode({"result": result, "id": request_id})


def error(refusal: ControlError, shape: ErrorShape) -> bytes:
    """The reply of failure."""
    body = {"code": refusal.code, "msg": refusal.message}
    if shape == "flat":
        return msgspec.json.encode({**body, "id": refusal.request_id})
    return msgspec.json.encode({"error": body, "id": refusal.request_id})
