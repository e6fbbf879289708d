"""Rows 54 and 55: a replica is promoted that lacks what was acknowledged, and two primaries at once."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.faults.exact import assert_alive_and_exact, first_ids, tails
from tests.faults.servers import StoreServer, serving
from tests.integration.scene import Scene
from tests.integration.waiting import until_async
from tests.proxy import Proxy

TRADES = 5_000


@pytest.fixture
def replica(tmp_path: Path) -> Iterator[StoreServer]:
    """A second server."""
    with serving(tmp_path / "replica") as replica:
        yield replica


@pytest.fixture
async def replication(server: StoreServer, replica: StoreServer) -> AsyncIterator[Proxy]:
    """What the replica gets passes through here; it is a replica once we begin."""
    async with Proxy(server.port) as replication:
        replica.store.ask("REPLICAOF", "127.0.0.1", replication.port)
        await until_async(replica.is_replica, "a replica in step")
        yield replication


async def in_step(server: StoreServer, replica: StoreServer) -> None:
    """The replica has all that the primary has."""
    await until_async(
        lambda: replica.store.tail_id("BTCUSDT") == server.store.tail_id("BTCUSDT") > 0, "a replica that has all"
    )


def move(scene: Scene, proxy: Proxy, to: StoreServer) -> None:
    """Everybody goes to another server from now on, as with a service name or a load balancer."""
    proxy.point_to(to.port)
    scene.store = to.store_behind(proxy.port)


async def test_row_54_promoted_replica_gets_what_was_acknowledged_and_it_lacks(
    proxied: Scene, server: StoreServer, replica: StoreServer, replication: Proxy, proxy: Proxy
) -> None:
    scene = proxied
    await scene.trade()
    await in_step(server, replica)
    first = first_ids(scene)
    replica.send(signal.SIGSTOP)
    replication.hold()
    await scene.simulator.burst("BTCUSDT", TRADES)
    await scene.settled()
    acknowledged = tails(scene)

    server.end(signal.SIGKILL)
    replication.reset()
    replica.send(signal.SIGCONT)
    replica.store.ask("REPLICAOF", "NO", "ONE")
    lacked = acknowledged["BTCUSDT"] - replica.store.tail_id("BTCUSDT")
    move(scene, proxy, replica)

    await assert_alive_and_exact(scene)
    assert lacked == TRADES
    assert first_ids(scene) == first
    assert scene.counted("store_rollbacks_total") >= 1


async def test_row_55_what_the_loser_of_a_split_brain_took_is_written_to_the_winner(
    proxied: Scene, server: StoreServer, replica: StoreServer, replication: Proxy, proxy: Proxy
) -> None:
    scene = proxied
    await scene.trade()
    await in_step(server, replica)
    first = first_ids(scene)
    replication.hold()
    replica.store.ask("REPLICAOF", "NO", "ONE")
    # Two primaries: ours is the one that will lose.
    await scene.simulator.burst("BTCUSDT", TRADES)
    await scene.settled()
    replication.reset()
    server.store.ask("REPLICAOF", "127.0.0.1", replica.port)
    await until_async(server.is_replica, "the loser as a replica")
    assert scene.store.tail_id("BTCUSDT") < scene.simulator.tape("BTCUSDT")[-1].trade_id
    move(scene, proxy, replica)

    await assert_alive_and_exact(scene)
    await in_step(replica, server)
    assert first_ids(scene) == first
    assert scene.counted("store_rollbacks_total") >= 1


async def test_row_56_promoted_replica_that_is_empty_is_filled(
    proxied: Scene, replica: StoreServer, proxy: Proxy
) -> None:
    scene = proxied
    await scene.simulator.burst("BTCUSDT", TRADES)
    await scene.settled()
    first = first_ids(scene)
    move(scene, proxy, replica)

    await assert_alive_and_exact(scene)
    assert first_ids(scene) == first
    assert scene.counted("store_wipes_total") >= len(scene.symbols)
