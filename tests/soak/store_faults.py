"""Faults of the store: servers that die, lie, forget or refuse, and the way to them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from random import Random

from data_collector.model.errors import SinkUnavailable
from data_collector.sinks.redis.connection import ReplyError
from tests.soak.kind import Kind
from tests.soak.scene import Scene

Strike = Callable[[Scene, Random], Awaitable[None]]


def exclusive(strike: Strike) -> Strike:
    """A fault after which the primary is another process or has other data."""

    async def struck(scene: Scene, random: Random) -> None:
        async with scene.pair.changing:
            await strike(scene, random)

    return struck


@exclusive
async def kill_primary(scene: Scene, _random: Random) -> None:
    """kill -9, and it comes up again with what is on disk, LOADING for a while."""
    await scene.pair.restart_primary()


@exclusive
async def fail_over(scene: Scene, _random: Random) -> None:
    """The primary dies, the replica becomes primary, an empty server becomes replica."""
    await scene.pair.in_step()
    scene.pair.primary.kill()
    await scene.pair.promote()
    await scene.pair.renew_replica()


@exclusive
async def fail_over_lagging(scene: Scene, random: Random) -> None:
    """The same with a replica that has got nothing for a while: acknowledged writes are gone."""
    await scene.pair.in_step()
    scene.pair.feed.hold()
    await asyncio.sleep(random.uniform(0.2, 0.8))
    scene.pair.primary.kill()
    scene.pair.feed.reset()
    await scene.pair.promote()
    await scene.pair.renew_replica()


@exclusive
async def split_brain(scene: Scene, random: Random) -> None:
    """Two primaries for 0.2 to 0.8 s, some collectors on each; then one of them and its writes are thrown away."""
    pair = scene.pair
    await pair.in_step()
    await pair.replica.ask("REPLICAOF", "NO", "ONE")
    pair.door.target = pair.replica.port
    pair.door.reset(0.5, random)
    await asyncio.sleep(random.uniform(0.2, 0.8))
    if random.random() < 0.5:
        pair.primary, pair.replica = pair.replica, pair.primary
    pair.replica.kill()
    pair.door.point_to(pair.primary.port)
    await pair.renew_replica()


@exclusive
async def flush_all(scene: Scene, _random: Random) -> None:
    """FLUSHALL: every key is gone."""
    await flush(scene)


@exclusive
async def flush_all_and_functions(scene: Scene, random: Random) -> None:
    """FLUSHALL and FUNCTION FLUSH: as a new server."""
    await flush(scene)
    await scene.pair.primary.ask("FUNCTION", "FLUSH")
    await asyncio.sleep(random.uniform(0.0, 0.1))


async def flush(scene: Scene) -> None:
    """Every key is gone, and the oracles know."""
    for oracle in scene.trades:
        oracle.was_wiped = True
    await scene.pair.primary.ask("FLUSHALL")
    if scene.plan.klines_begin_anew:
        now_ms = (await scene.market.state()).now_ms
        for series in scene.klines:
            series.begins_ms = now_ms


@exclusive
async def delete_trades(scene: Scene, random: Random) -> None:
    """DEL of one trades stream."""
    oracle = random.choice(scene.trades)
    oracle.was_wiped = True
    await scene.pair.primary.ask("DEL", oracle.key)


async def flush_functions(scene: Scene, _random: Random) -> None:
    """FUNCTION FLUSH."""
    await scene.pair.primary.ask("FUNCTION", "FLUSH")


async def pause_clients(scene: Scene, random: Random) -> None:
    """CLIENT PAUSE of writers for 0.2 to 1.5 s."""
    seconds = random.uniform(0.2, 1.5)
    await scene.pair.primary.ask("CLIENT", "PAUSE", int(seconds * 1000), "WRITE")
    await asyncio.sleep(seconds)


async def debug_sleep(scene: Scene, random: Random) -> None:
    """DEBUG SLEEP for 0.2 to 1.5 s: the server does nothing at all."""
    await scene.pair.primary.ask("DEBUG", "SLEEP", f"{random.uniform(0.2, 1.5):.2f}")


async def kill_clients(scene: Scene, _random: Random) -> None:
    """CLIENT KILL of everybody."""
    await scene.pair.primary.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


async def no_replicas(scene: Scene, random: Random) -> None:
    """Writes are refused with NOREPLICAS for 0.2 to 1 s."""
    await _configured(scene, random, "min-replicas-to-write", "5")


async def out_of_memory(scene: Scene, random: Random) -> None:
    """Writes are refused with OOM for 0.2 to 1 s."""
    await _configured(scene, random, "maxmemory", "1mb")


async def _configured(scene: Scene, random: Random, name: str, value: str) -> None:
    await scene.pair.primary.ask("CONFIG", "SET", name, value)
    try:
        await asyncio.sleep(random.uniform(0.2, 1.0))
    finally:
        await scene.pair.primary.ask("CONFIG", "SET", name, "0")


async def lose_replies(scene: Scene, random: Random) -> None:
    """One to three replies are lost after the server has executed."""
    scene.pair.door.lose_replies(random.randint(1, 3))
    await asyncio.sleep(random.uniform(0.1, 0.5))
    scene.pair.door.lose_replies(0)


async def delay_replies(scene: Scene, random: Random) -> None:
    """Half a second to three seconds of latency, for as long."""
    scene.pair.door.latency_s = random.uniform(0.25, 1.5)
    await asyncio.sleep(random.uniform(0.5, 3.0))
    scene.pair.door.latency_s = 0.0


async def reset_connections(scene: Scene, random: Random) -> None:
    """RST to some or all."""
    scene.pair.door.reset(random.choice((0.5, 1.0)), random)


async def unreachable(scene: Scene, random: Random) -> None:
    """Nobody reaches the store for 0.2 to 2 s."""
    scene.pair.door.refuses = True
    scene.pair.door.reset()
    await asyncio.sleep(random.uniform(0.2, 2.0))
    scene.pair.door.refuses = False


async def half_open(scene: Scene, random: Random) -> None:
    """No byte passes for 0.2 to 2 s, and nobody is told."""
    scene.pair.door.hold()
    await asyncio.sleep(random.uniform(0.2, 2.0))
    scene.pair.door.go_on()


def tolerant(strike: Strike) -> Strike:
    """A store that refuses the order that was to hurt it is hurt enough; what was set is unset when it settles."""

    async def struck(scene: Scene, random: Random) -> None:
        with contextlib.suppress(SinkUnavailable, ReplyError):
            await strike(scene, random)

    return struck


EMPTYING = (flush_all, flush_all_and_functions, delete_trades)

KINDS = tuple(
    Kind(name, "store", weight, tolerant(strike), alone=strike in EMPTYING)
    for name, weight, strike in (
        ("kill-primary", 4, kill_primary),
        ("fail-over", 4, fail_over),
        ("fail-over-writes-lost", 4, fail_over_lagging),
        ("split-brain", 4, split_brain),
        ("flushall", 2, flush_all),
        ("flushall-functions-too", 2, flush_all_and_functions),
        ("del-trades", 2, delete_trades),
        ("function-flush", 3, flush_functions),
        ("client-pause", 3, pause_clients),
        ("debug-sleep", 3, debug_sleep),
        ("client-kill", 3, kill_clients),
        ("noreplicas", 3, no_replicas),
        ("oom", 2, out_of_memory),
        ("reply-lost", 6, lose_replies),
        ("store-latency", 2, delay_replies),
        ("store-reset", 3, reset_connections),
        ("store-unreachable", 3, unreachable),
        ("store-half-open", 3, half_open),
    )
)
