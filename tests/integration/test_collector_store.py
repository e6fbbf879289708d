"""What can happen to the store: records wait, nothing is doubled, what cannot be kept is told."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from data_collector.simulator import FrameFault
from data_collector.simulator.control.actions import SkipIds
from tests.integration.exactness import assert_closed_klines_exact
from tests.integration.scene import NO_HOLES, Scene, playing
from tests.integration.store_reader import Store
from tests.integration.waiting import until_async


@pytest.fixture
async def scene(store: Store, folder: Path) -> AsyncIterator[Scene]:
    """A market that has been collected from for a while."""
    async with playing(store, folder) as scene:
        await scene.subscribed()
        await scene.trade()
        yield scene


def server_pid(store: Store) -> int:
    facts = store.ask("INFO", "server")
    assert isinstance(facts, dict)
    return int(facts["process_id"])


def waiting_after_a_second(scene: Scene) -> float:
    """How many records wait for the store after one more second of trading."""
    scene.simulator.advance(1_000)
    return scene.counted("outlet_records")


@pytest.mark.parametrize("is_quiet", [True, False])
async def test_store_that_is_held_is_told_at_once_and_nothing_is_lost(
    store: Store, folder: Path, *, is_quiet: bool
) -> None:
    """Long before the answer is given up, also while there is nothing to write."""
    async with playing(store, folder) as scene:
        await scene.subscribed()
        await scene.trade()
        await until_async(lambda: scene.status.ready, "readiness")
        store.ask("CLIENT", "PAUSE", 5_000, "ALL")
        if not is_quiet:
            scene.simulator.advance(1_000)

        await until_async(lambda: not scene.status.ready, "no readiness")
        assert scene.status.condition == "degraded"
        assert "The store has not answered for 2 s." in str(scene.status.reasons)
        assert scene.counted("store_up") == 0

        await until_async(lambda: scene.status.ready, "readiness")
        await scene.settled()
        assert scene.counted("store_reconnects_total") == 0
        scene.assert_trades_exact()


async def test_functions_that_are_gone_are_loaded_again(scene: Scene) -> None:
    for _ in range(3):
        scene.store.ask("FUNCTION", "FLUSH")
        await scene.trade()

    assert scene.assert_trades_exact() == NO_HOLES
    assert scene.counted("store_reconnects_total") >= 3


async def test_wiped_store_begins_anew_and_stays_exact(scene: Scene) -> None:
    scene.store.ask("FLUSHALL")
    await scene.trade(20_000)
    await scene.klines_closed()

    assert scene.assert_trades_exact() == NO_HOLES
    closed = scene.simulator.closed_klines("BTCUSDT", "1m")
    assert_closed_klines_exact(scene.store, "BTCUSDT", "1m", closed)
    assert float(scene.store.hash("latest:BTCUSDT")["volume"]) > 0


async def test_wiped_store_is_claimed_again_for_its_exchange(scene: Scene) -> None:
    scene.store.ask("FLUSHALL")

    def claimed() -> bool:
        # The claim goes with what is written, every few seconds.
        scene.simulator.advance(1_000)
        return scene.store.text("collector:source") == scene.simulator.rest_url

    await until_async(claimed, "the claim")


async def test_cut_connection_is_made_again_and_nothing_is_doubled(scene: Scene) -> None:
    for _ in range(5):
        scene.simulator.advance(2_000)
        scene.store.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await scene.trade()

    assert scene.assert_trades_exact() == NO_HOLES
    records = [entry["fields"]["data"] for entry in scene.store.entries("stream:BTCUSDT")]
    assert len(records) == len(set(records))


async def test_store_that_stands_still_is_waited_for(scene: Scene) -> None:
    pid = server_pid(scene.store)
    os.kill(pid, signal.SIGSTOP)
    try:
        await until_async(lambda: waiting_after_a_second(scene) > 100, "records that wait")
        assert scene.status.collector_running
    finally:
        os.kill(pid, signal.SIGCONT)
    await scene.trade()

    assert scene.assert_trades_exact() == NO_HOLES


async def test_paused_clients_lose_nothing(scene: Scene) -> None:
    scene.store.ask("CLIENT", "PAUSE", 1_000, "WRITE")
    scene.simulator.advance(30_000)
    await scene.klines_closed()

    assert scene.assert_trades_exact() == NO_HOLES


async def test_store_without_memory_is_told_and_nothing_is_lost(scene: Scene) -> None:
    scene.store.ask("CONFIG", "SET", "maxmemory", 1)
    try:
        scene.simulator.advance(10_000)
        await until_async(lambda: any("OOM" in reason for reason in scene.status.reasons), "the reason")
        assert scene.status.condition == "degraded"
        assert scene.counted("store_up") == 0
        assert scene.counted("outlet_oldest_seconds") > 0
        scene.simulator.advance(10_000)
    finally:
        scene.store.ask("CONFIG", "SET", "maxmemory", 0)
    await scene.klines_closed()

    assert scene.assert_trades_exact() == NO_HOLES
    assert_closed_klines_exact(scene.store, "BTCUSDT", "1m", scene.simulator.closed_klines("BTCUSDT", "1m"))
    await until_async(lambda: not any("OOM" in reason for reason in scene.status.reasons), "recovery")
    await until_async(lambda: scene.counted("outlet_oldest_seconds") == 0, "nothing that waits")


async def test_read_only_store_is_told_and_nothing_is_lost(scene: Scene) -> None:
    scene.store.ask("REPLICAOF", "127.0.0.1", 1)
    try:
        scene.simulator.advance(10_000)
        await until_async(lambda: any("READONLY" in reason for reason in scene.status.reasons), "the reason")
    finally:
        scene.store.ask("REPLICAOF", "NO", "ONE")
    await scene.trade()

    assert scene.assert_trades_exact() == NO_HOLES


@pytest.mark.parametrize("key", ["trades:BTCUSDT", "stream:BTCUSDT", "latest:BTCUSDT", "gaps:BTCUSDT"])
async def test_key_of_another_type_stops_only_its_symbol_and_is_told(scene: Scene, key: str) -> None:
    scene.store.ask("DEL", key)
    scene.store.ask("SET", key, "mine") if key != "latest:BTCUSDT" else scene.store.ask("SADD", key, "mine")
    # Something to declare.
    await scene.simulator.perform(SkipIds(symbol="BTCUSDT", count=1))
    scene.simulator.advance(30_000)
    newest = scene.simulator.tape("ETHUSDT")[-1].trade_id
    await until_async(lambda: scene.store.tail_id("ETHUSDT") == newest, "trades of the other symbol")

    await until_async(
        lambda: any(key in reason and "WRONGTYPE" in reason for reason in scene.status.reasons), "the reason"
    )
    assert scene.status.condition == "degraded"
    assert scene.status.collector_running


async def test_symbol_goes_on_when_the_foreign_key_is_gone(scene: Scene) -> None:
    scene.store.ask("DEL", "trades:BTCUSDT")
    scene.store.ask("SET", "trades:BTCUSDT", "mine")
    scene.simulator.advance(10_000)
    await until_async(lambda: any("WRONGTYPE" in reason for reason in scene.status.reasons), "the reason")

    scene.store.ask("DEL", "trades:BTCUSDT")
    await scene.trade(10_000)

    assert scene.assert_trades_exact() == NO_HOLES
    await until_async(lambda: not any("WRONGTYPE" in reason for reason in scene.status.reasons), "recovery")


async def test_deleted_stream_begins_anew(scene: Scene) -> None:
    scene.store.ask("DEL", "trades:BTCUSDT", "stream:BTCUSDT")
    await scene.trade()
    await scene.klines_closed()

    assert scene.assert_trades_exact() == NO_HOLES


async def test_two_collectors_on_one_store_write_each_record_once(scene: Scene, tmp_path: Path) -> None:
    async with playing(scene.store, tmp_path / "second", beside=scene) as second:
        await second.subscribed()
        for _ in range(6):
            await scene.trade(60_000)
        await scene.klines_closed()
        known = [each.counted("records_known_total", channel="trade") for each in (scene, second)]
        await until_async(lambda: scene.status.condition == second.status.condition == "healthy", "a healthy pair")

    assert scene.assert_trades_exact() == NO_HOLES
    for interval in ("1m", "5m"):
        closed = scene.simulator.closed_klines("BTCUSDT", interval)
        assert_closed_klines_exact(scene.store, "BTCUSDT", interval, closed)
    assert sum(known) > 0


async def test_hole_of_two_collectors_is_filled_once(scene: Scene, tmp_path: Path) -> None:
    async with playing(scene.store, tmp_path / "second", beside=scene) as second:
        await second.subscribed()
        await scene.trade()
        # One frame for each of them.
        scene.simulator.faults.add(FrameFault(kind="drop", stream="btcusdt@trade", count=4, connection=1))
        scene.simulator.faults.add(FrameFault(kind="drop", stream="btcusdt@trade", count=4, connection=2))
        await scene.trade()

        # What the first has stored is the store's answer to both; the second may still be looking at its own hole.
        await until_async(lambda: scene.filled() == second.filled() == 4, "both holes filled")
        assert scene.assert_trades_exact() == NO_HOLES


async def test_holes_of_one_collector_are_filled_and_nothing_is_doubled(scene: Scene, tmp_path: Path) -> None:
    async with playing(scene.store, tmp_path / "second", beside=scene) as second:
        await second.subscribed()
        scene.simulator.faults.add(FrameFault(kind="drop", stream="*@trade", rate=0.2, connection=1))
        for _ in range(10):
            await scene.trade(2_000)
        scene.simulator.faults.clear()
        await scene.trade()

        assert scene.assert_trades_exact() == NO_HOLES
        assert scene.filled() > 0
