"""The server-side functions: their text, their names, and how they get into the server."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import Literal

from data_collector.model.channels import CHANNELS
from data_collector.model.errors import Misconfigured, SinkUnavailable
from data_collector.model.keys import Channel, Collected
from data_collector.sinks.redis.connection import ReplyError, StoreConnection

_text = (Path(__file__).parent / "functions.lua").read_text(encoding="utf-8")

DIGEST = hashlib.sha256(_text.encode()).hexdigest()[:12]
"""In every name, so that two versions of the collector can share a server."""

APPEND_TRADES = f"append_trades_{DIGEST}"
TRADES_END = f"trades_end_{DIGEST}"
APPEND_KLINES = f"append_klines_{DIGEST}"
PUT_KLINE = f"put_kline_{DIGEST}"
PUT_NEWEST = {name: f"put_{name}_{DIGEST}" for name, channel in CHANNELS.items() if not channel.has_gaps}
"""Of each channel of which the newest record counts."""

APPEND_ONCE = f"append_once_{DIGEST}"
REPLAY = f"replay_{DIGEST}"
MISSING_RIGHTS = f"missing_rights_{DIGEST}"

LIBRARY = _text.replace("@DIGEST@", DIGEST)


async def load_functions(connection: StoreConnection) -> None:
    """Put the library into the server; one that is there is replaced by the same text.

    Raises `Misconfigured` where the server knows no functions or forbids them, `SinkUnavailable` where it cannot now.
    """
    (reply,) = await connection.execute([("FUNCTION", "LOAD", "REPLACE", LIBRARY)])
    if not isinstance(reply, ReplyError):
        return
    if reply.kind == "NOPERM":
        raise Misconfigured(f"The store forbids FUNCTION LOAD ({reply}). Allow it for this user.")
    if "unknown command" in str(reply).lower():
        raise Misconfigured("The store has no functions: Redis 7 or Valkey 7.2 is the oldest that works.")
    raise SinkUnavailable(f"The store does not take the functions now: {reply}")


def with_rights(channels: Collection[Channel]) -> list[Collected]:
    """Those with rights of their own, in `NEEDED` of the functions: asked for where they are collected.

    Tickers are written whatever is collected: they come from REST too.
    """
    return [name for name in PUT_NEWEST if name != "ticker" and name in channels]


async def check_rights(
    connection: StoreConnection, prefix: str, *purposes: Literal["collector", "replay"] | Collected
) -> None:
    """Raise `Misconfigured` when our user may not do what the functions do; call after `load_functions`.

    Raises `SinkUnavailable` where the server cannot tell now.
    """
    missing: list[str] = []
    for reply in await connection.execute([("FCALL", MISSING_RIGHTS, 0, prefix, purpose) for purpose in purposes]):
        if isinstance(reply, ReplyError):
            if reply.kind != "NOPERM":
                raise SinkUnavailable(f"The store does not run the functions now: {reply}")
            missing = ["FCALL"]
        elif not isinstance(reply, list):
            connection.distrust(f"a function was answered with {str(reply)[:40]!r}")
        else:
            missing += [f"{command}*" for command in reply]
    if missing:
        raise Misconfigured(
            f"The store's user lacks rights: {', '.join(missing)}. "
            "docs/operations.md has the ACL SETUSER command that gives all of them."
        )
