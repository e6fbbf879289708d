"""`data-collector redis`: one Redis command, for machines without redis-cli."""

from __future__ import annotations

import asyncio
import json
import sys

import msgspec
import typer

from data_collector.cli.surroundings.found_store import find_store, opened
from data_collector.model.errors import Misconfigured
from data_collector.settings import load_settings
from data_collector.sinks.redis.connection import Command, ReplyError

TIMEOUT_S = 365 * 86_400.0
"""`XREAD BLOCK 0` waits for as long as it takes; Ctrl-C ends it."""

ENDLESS = frozenset({"SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "MONITOR", "SYNC", "PSYNC"})


def redis(*, words: list[str], url: str | None, as_json: bool, exchange: str | None) -> None:
    """What it takes and does stands in `cli.arguments.live`."""
    if words[0].upper() in ENDLESS:
        raise Misconfigured(f"{words[0].upper()} never ends, and this command prints one reply; use redis-cli for it.")
    reply = asyncio.run(_ask(url, words, exchange, as_json=as_json))
    if isinstance(reply, ReplyError):
        typer.echo(f"(error) {reply}", err=True)
        raise typer.Exit(1)
    lines = [json_text(reply)] if as_json else (numbered_lines if sys.stdout.isatty() else raw_lines)(reply)
    typer.echo("\n".join(lines))


async def _ask(url: str | None, words: list[str], exchange: str | None, *, as_json: bool) -> object:
    commands: list[Command] = [tuple(words)]
    if as_json:
        # Version 3 of the protocol tells objects from lists.
        commands.insert(0, ("HELLO", "3"))
    async with opened(await find_store(url, None if url else load_settings(exchange=exchange))) as connection:
        return (await connection.execute(commands, timeout_s=TIMEOUT_S))[-1]


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
