"""What `doctor` asks the store: version, memory, policy, functions, rights, and whose records it holds."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Sequence

from data_collector.cli.doctor.check_surroundings import check_binary
from data_collector.cli.doctor.finding import Finding
from data_collector.cli.surroundings.found_exchange import collector_filling
from data_collector.cli.surroundings.found_store import find_store
from data_collector.model.errors import Misconfigured, SinkUnavailable, Unavailable
from data_collector.model.store_url import StoreAddress
from data_collector.observe.escaping import escaped
from data_collector.settings import Settings, expected_store_bytes
from data_collector.settings.fields import variable_of
from data_collector.sinks.redis.connection import ReplyError, StoreConnection
from data_collector.sinks.redis.functions import load_functions
from data_collector.venues.discovery import find_venue

OLDEST = (7, 0)
"""Server-side functions came with Redis 7."""

MEMORY_WARN_SHARE = 0.8
PROBE_SECONDS = 10


async def check_store(every: Sequence[Settings]) -> list[Finding]:
    """All findings about the store of `REDIS_URL`, or about the embedded one, that these exchanges share."""
    try:
        address = await find_store(settings=every[0])
    except Unavailable:
        return [await asyncio.to_thread(check_binary)]
    try:
        connection = await StoreConnection.connect(address)
    except (SinkUnavailable, Misconfigured) as error:
        cure = "Start that store, correct REDIS_URL, or unset it for the embedded one."
        return [Finding("store", "fail", escaped(str(error)), cure)]
    try:
        return await _ask(connection, address, every)
    except SinkUnavailable as error:
        return [Finding("store", "fail", escaped(str(error)), "See what the store's own log says.")]
    finally:
        connection.close()


async def _ask(connection: StoreConnection, address: StoreAddress, every: Sequence[Settings]) -> list[Finding]:
    (information,) = await connection.execute([("INFO",)])
    facts = dict(line.split(":", 1) for line in str(information).splitlines() if ":" in line)
    writing: list[Finding] = []
    origins: list[Finding] = []
    for settings in every:
        keys = find_venue(settings.exchange).store_keys
        probe = keys.own(f"doctor:{os.getpid()}")
        written, _, source = await connection.execute(
            [("SET", probe, "1", "EX", PROBE_SECONDS), ("DEL", probe), ("GET", keys.own("source"))]
        )
        writing.append(_judge_writing(written))
        # Who fills it has looked at its start, and a demo's market has no address of its own.
        if await collector_filling(settings, address) is None:
            origins += _judge_source(source, settings)
    failing = [finding for finding in writing if finding.state == "fail"]
    return [
        _judge_version(facts, address),
        *_judge_memory(facts, sum(map(expected_store_bytes, every))),
        # A user of the store may write the keys of one exchange and not of another.
        *(failing[:1] or writing[:1]),
        await _check_functions(connection),
        *origins,
    ]


def _judge_version(facts: dict[str, str], address: StoreAddress) -> Finding:
    version = facts.get("redis_version")
    if version is None:
        return Finding("store", "warn", f"{address.place} does not tell its version", "Allow INFO for this user.")
    # Valkey tells an old Redis version for compatibility, and its own beside it.
    name = f"Valkey {facts['valkey_version']}" if "valkey_version" in facts else f"Redis {version}"
    numbers = tuple(int(number) for number in re.findall("[0-9]+", version)[:2])
    if numbers < OLDEST:
        return Finding("store", "fail", f"{name} at {address.place}", "Use Redis 7 or newer, or any Valkey.")
    return Finding("store", "ok", f"{name} at {address.place}")


def _judge_memory(facts: dict[str, str], expected: int) -> list[Finding]:
    used, limit = int(facts.get("used_memory", "0")), int(facts.get("maxmemory", "0"))
    policy = facts.get("maxmemory_policy", "noeviction")
    if limit and policy != "noeviction":
        cure = "CONFIG SET maxmemory-policy noeviction: any other throws trades away without an error."
        return [Finding("store policy", "fail", f"maxmemory-policy is {escaped(policy)}", cure)]
    bound = f" of {_mebibytes(limit)}" if limit else ", no limit set"
    seen = f"{_mebibytes(used)} used{bound}; these settings fill {_mebibytes(expected)}"
    if limit and expected > limit:
        cure = "Raise maxmemory, lower TRADES_MAXLEN, STREAM_MAXLEN or KLINE_TTL_SECONDS, or collect fewer symbols."
        return [Finding("store memory", "fail", seen, cure)]
    if limit and used > limit * MEMORY_WARN_SHARE:
        return [Finding("store memory", "warn", seen, "Raise maxmemory, or lower TRADES_MAXLEN and STREAM_MAXLEN.")]
    return [Finding("store memory", "ok", seen)]


def _mebibytes(count: int) -> str:
    return f"{count / 1024**2:,.0f} MiB"


def _judge_writing(written: object) -> Finding:
    if isinstance(written, ReplyError):
        cure = "Allow this user to write; a replica or a full store cannot be used."
        return Finding("store writes", "fail", escaped(str(written)), cure)
    return Finding("store writes", "ok", "a key was written and removed")


async def _check_functions(connection: StoreConnection) -> Finding:
    try:
        await load_functions(connection)
    except Misconfigured as error:
        return Finding("store functions", "fail", escaped(str(error)), "Use Redis 7 or Valkey, with FUNCTION allowed.")
    except SinkUnavailable as error:
        return Finding("store functions", "fail", escaped(str(error)), "A full store or a replica cannot be used.")
    return Finding("store functions", "ok", "server-side functions load")


def _judge_source(source: object, settings: Settings) -> list[Finding]:
    ours = settings.rest_url
    if isinstance(source, str) and source != ours:
        seen = f"it was filled from {escaped(source)}, and {variable_of('rest_url', settings.exchange)} is {ours}"
        cure = "Use another store, database number or VAR_DIR: trades of two exchanges must not mix."
        return [Finding("store origin", "fail", seen, cure)]
    return []
