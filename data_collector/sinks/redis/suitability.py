"""Whether a store may be written to: it must not throw keys away, and must belong to the same exchange."""

from __future__ import annotations

from types import NoneType
from typing import Final

from data_collector.model.errors import Misconfigured, SinkUnavailable
from data_collector.model.keys import StoreKeys
from data_collector.model.store_url import StoreAddress
from data_collector.sinks.redis.connection import IN_CLUSTER_MODE, ReplyError, StoreConnection

BROKEN_OFF: Final = "a restore that was broken off"
"""Stands for the source while a restore is at work: a collector refuses to fill such a store."""

MEMORY_DIGITS_MAX = 20
"""Of a number of bytes."""


async def unsuited(connection: StoreConnection, address: StoreAddress, *, expected_bytes: int) -> str | None:
    """Why the store may not be relied on: it would evict keys, or is too small. Raises as `check_store`."""
    (memory,) = await connection.execute([("INFO", "memory")])
    if isinstance(memory, ReplyError):
        _raise_refusal(address, memory)
    facts = dict(line.split(":", 1) for line in str(memory).splitlines() if ":" in line)
    policy, told = facts.get("maxmemory_policy", "noeviction"), facts.get("maxmemory", "0")
    if not facts or not (told.isascii() and told.isdigit() and len(told) <= MEMORY_DIGITS_MAX):
        connection.distrust(f"INFO was answered with {str(memory)[:40]!r}")
    maxmemory = int(told)
    if maxmemory and policy != "noeviction":
        return (
            f"The store at {address.place} throws keys away when it is full (maxmemory-policy {policy}): that loses "
            "trades without an error. Run CONFIG SET maxmemory-policy noeviction, or use another store."
        )
    if maxmemory and expected_bytes > maxmemory:
        return (
            f"The store at {address.place} may use {maxmemory / 2**20:,.0f} MiB (maxmemory), and these settings "
            f"fill about {expected_bytes / 2**20:,.0f} MiB. Lower TRADES_MAXLEN, STREAM_MAXLEN or KLINE_TTL_SECONDS, "
            "collect fewer symbols, or give the store more."
        )
    return None


async def used_bytes(connection: StoreConnection) -> int:
    """Memory that the store's data takes; 0 where it does not tell. Raises `SinkUnavailable`."""
    (memory,) = await connection.execute([("INFO", "memory")])
    told = str(memory).partition("used_memory:")[2].partition("\r\n")[0]
    return int(told) if told.isascii() and told.isdigit() and len(told) <= MEMORY_DIGITS_MAX else 0


async def check_store(
    connection: StoreConnection, address: StoreAddress, *, source: str, keys: StoreKeys, expected_bytes: int
) -> None:
    """Look whether the store suits us and belongs to no other exchange than that at `source`.

    Raises `Misconfigured` when it would evict keys, is too small or was filled from another exchange,
    `SinkUnavailable` when it cannot answer now.
    """
    sentence = await unsuited(connection, address, expected_bytes=expected_bytes)
    if sentence is not None:
        raise Misconfigured(sentence)
    # Claimed with the first record: a start that never got one leaves the store free.
    (claimed,) = await connection.execute([("GET", keys.own("source"))])
    if not isinstance(claimed, (str, ReplyError, NoneType)):
        connection.distrust(f"GET was answered with {str(claimed)[:40]!r}")
    if claimed is not None:
        _check_claim(claimed, address, source, keys)


async def claim_store(connection: StoreConnection, address: StoreAddress, *, source: str, keys: StoreKeys) -> None:
    """Write down which exchange the store is filled from. Raises `Misconfigured` when it is another one's."""
    claim = keys.own("source")
    written, claimed = await connection.execute([("SET", claim, source, "NX"), ("GET", claim)])
    # A store that is full or a replica refuses to write and may well hold our claim.
    for reply in (claimed, written if claimed is None else None):
        if isinstance(reply, ReplyError):
            _raise_refusal(address, reply)
    is_told = isinstance(claimed, str) and (written is None or isinstance(written, ReplyError))
    if not is_told and (written, claimed) != ("OK", source):
        connection.distrust(f"after SET with {str(written)[:40]!r}, GET was answered with {str(claimed)[:40]!r}")
    _check_claim(claimed, address, source, keys)


def _check_claim(claimed: object, address: StoreAddress, source: str, keys: StoreKeys) -> None:
    if isinstance(claimed, ReplyError):
        _raise_refusal(address, claimed)
    if claimed == BROKEN_OFF:
        raise Misconfigured(
            f"The store at {address.place} holds a part of a backup: a restore was broken off. Do it again: "
            "data-collector restore FOLDER --replace"
        )
    if claimed != source:
        raise Misconfigured(
            f"The store at {address.place} was filled from {claimed}, and this collector reads {source}: their trades "
            "must not mix. Use another store or database number (REDIS_URL), another data folder (VAR_DIR), or "
            + (
                f"delete the keys that begin with {keys.prefix} (FLUSHDB would take those of other exchanges too)."
                if keys.prefix
                else "empty this one with FLUSHDB, if no other exchange is in it."
            )
        )


def _raise_refusal(address: StoreAddress, reply: ReplyError) -> None:
    if reply.kind in {"NOAUTH", "NOPERM", "WRONGPASS"}:
        raise Misconfigured(
            f"The store at {address.place} refuses us: {reply} Check the user and password in REDIS_URL."
        )
    if reply.kind in {"MOVED", "ASK", "CROSSSLOT", "CLUSTERDOWN"}:
        # A user who may not ask INFO gets this far.
        raise Misconfigured(f"The store at {address.place} {IN_CLUSTER_MODE}")
    if reply.kind == "WRONGTYPE":
        raise Misconfigured(f"The store at {address.place} uses our key collector:source for something else: {reply}")
    raise SinkUnavailable(f"The store at {address.place} cannot serve now: {reply}")
