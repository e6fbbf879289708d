"""A server's reply as text: for people on a terminal, raw lines in a pipe, or JSON."""

from __future__ import annotations

import json

import msgspec


def raw_lines(reply: object) -> list[str]:
    """One line per value, nested ones flattened, as redis-cli prints into a pipe."""
    if reply is None:
        return [""]
    if isinstance(reply, dict):
        return [line for pair in reply.items() for part in pair for line in raw_lines(part)]
    if isinstance(reply, list | set | tuple):
        return [line for part in reply for line in raw_lines(part)]
    return [str(reply)]


def numbered_lines(reply: object) -> list[str]:
    """Quoted, typed and numbered, as redis-cli prints on a terminal."""
    if reply is None:
        return ["(nil)"]
    if isinstance(reply, bool):
        return [f"({str(reply).lower()})"]
    if isinstance(reply, int):
        return [f"(integer) {reply}"]
    if isinstance(reply, dict):
        return numbered_lines([part for pair in reply.items() for part in pair])
    if isinstance(reply, list | set | tuple):
        return _numbered(list(reply)) or ["(empty array)"]
    # JSON's escapes are those that people know, and they keep control characters off the terminal.
    return [json.dumps(str(reply), ensure_ascii=False).replace("\x7f", "\\u007f").replace("\x9b", "\\u009b")]


def _numbered(parts: list[object]) -> list[str]:
    lines = []
    width = len(str(len(parts)))
    for number, part in enumerate(parts, start=1):
        first, *rest = numbered_lines(part)
        lines.append(f"{number:>{width}}) {first}")
        lines.extend(f"{'':{width}}  {line}" for line in rest)
    return lines


def json_text(reply: object) -> str:
    """The reply as JSON; objects where the protocol's version 3 tells maps from lists."""
    return msgspec.json.encode(reply).decode()
