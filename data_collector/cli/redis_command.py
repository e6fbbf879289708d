"""`data-collector redis`: one Redis command, for machines without redis-cli."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import typer

from data_collector.cli.found_store import find_store, opened
from data_collector.cli.redis_text import json_text, numbered_lines, raw_lines
from data_collector.model.errors import Misconfigured
from data_collector.sinks.redis.connection import Command, ReplyError

PATIENCE_S = 365 * 86_400.0
"""`XREAD BLOCK 0` waits for as long as it takes; Ctrl-C ends it."""

ENDLESS = frozenset({"SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "MONITOR", "SYNC", "PSYNC"})


def redis(
    words: Annotated[list[str], typer.Argument(metavar="COMMAND...", help="A Redis command and its arguments.")],
    url: Annotated[
        str | None, typer.Option("--url", "-u", help="The store; default: REDIS_URL, or the embedded one that runs.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the reply as JSON.")] = False,
) -> None:
    """Run one Redis command against the store: `data-collector redis XLEN trades:BTCUSDT`."""
    if words[0].upper() in ENDLESS:
        raise Misconfigured(f"{words[0].upper()} never ends, and this command prints one reply; use redis-cli for it.")
    reply = asyncio.run(_ask(url, words, json=json))
    if isinstance(reply, ReplyError):
        typer.echo(f"(error) {reply}", err=True)
        raise typer.Exit(1)
    lines = [json_text(reply)] if json else (numbered_lines if sys.stdout.isatty() else raw_lines)(reply)
    typer.echo("\n".join(lines))


async def _ask(url: str | None, words: list[str], *, json: bool) -> object:
    commands: list[Command] = [tuple(words)]
    if json:
        # Version 3 of the protocol tells objects from lists.
        commands.insert(0, ("HELLO", "3"))
    async with opened(await find_store(url)) as connection:
        return (await connection.execute(commands, timeout_s=PATIENCE_S))[-1]
