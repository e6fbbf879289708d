"""The format: each thing that was said is a line, a JSON array; files are lines, packed with Zstandard.

    ["head",0,NS,{…}]                a file begins: exchange, version, what is collected
    ["open",CONNECTION,NS,{…}]       a connection was made
    ["sent",CONNECTION,NS,FRAME]     what we said on it
    ["in",CONNECTION,NS,FRAME]       what the exchange said
    ["end",CONNECTION,NS,"why"]
    ["asked",NUMBER,NS,{…}]          a request to the REST side, and status and headers of its answer, which is next
    ["body",NUMBER,NS,BODY]
    ["left",0,NS,{…}]                so many lines are missing here

`NS` is the time of receipt in nanoseconds since 1970. `FRAME` and `BODY` are the bytes of the exchange; those that are
no JSON, or hold a line break, come as `["in64",…,"…"]` and `["body64",…,"…"]`, in Base64.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import TypeVar

import msgspec
from msgspec import Struct

FORMAT_VERSION = 1
"""Raise it when a line changes its meaning; kinds may be added without, readers pass over those they do not know."""

_ENCODED = b"64"

Content = TypeVar("Content")


class Head(Struct, frozen=True, kw_only=True):
    """How a file begins."""

    format: int = FORMAT_VERSION
    exchange: str
    version: str = ""
    """Of the collector."""
    symbols: tuple[str, ...] = ()
    intervals: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    run: int = 0
    """When the collector began, in nanoseconds: numbers of connections are those of one run."""


class Opened(Struct, frozen=True):
    """A connection."""

    line: str
    path: str


class Asked(Struct, frozen=True, kw_only=True):
    """A request that was answered."""

    path: str
    query: dict[str, str] = {}
    status: int
    headers: dict[str, str] = {}
    """Those that say something about the answer."""
    asked_ns: int


class Left(Struct, frozen=True):
    """Lines that are missing."""

    lines: int
    why: str


class Line(Struct, frozen=True):
    """One line, as read."""

    kind: str
    number: int
    """Of the connection, or of the request."""
    ns: int
    content: bytes
    """As it was said."""


def line_of(kind: str, number: int, ns: int, content: bytes) -> bytes:
    """A line with content that is JSON, or is not."""
    if is_plain(content):
        return b'["%b",%d,%d,%b]\n' % (kind.encode(), number, ns, content)
    return encoded_line(kind, number, ns, content)


def encoded_line(kind: str, number: int, ns: int, content: bytes) -> bytes:
    """A line with content that may be anything."""
    return b'["%b64",%d,%d,"%b"]\n' % (kind.encode(), number, ns, b64encode(content))


def own_line(kind: str, number: int, ns: int, content: Struct | str) -> bytes:
    """A line that we say ourselves."""
    return line_of(kind, number, ns, msgspec.json.encode(content))


def is_plain(content: bytes) -> bool:
    """Whether it is JSON on one line."""
    if b"\n" in content:
        return False
    try:
        msgspec.json.decode(content, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def parse(line: bytes) -> Line | None:
    """None for what is no line of ours, or only the beginning of one."""
    parts = line.split(b",", 3)
    if len(parts) != 4 or not parts[0].startswith(b'["') or not parts[3].endswith(b"]"):
        return None
    kind, number, ns, content = parts[0][2:-1], parts[1], parts[2], parts[3][:-1]
    try:
        if kind.endswith(_ENCODED):
            kind, content = kind.removesuffix(_ENCODED), b64decode(content[1:-1], validate=True)
        return Line(kind.decode(), int(number), int(ns), content)
    except ValueError:
        return None


def content_of(line: Line, form: type[Content]) -> Content | None:
    """What we have said ourselves in a line; None where it is damaged."""
    try:
        return msgspec.json.decode(line.content, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
