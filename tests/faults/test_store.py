"""Rows 56 to 62: what a store refuses, loses, does late, or has been given by somebody else."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from msgspec import structs

from data_collector.model.errors import Misconfigured
from data_collector.simulator import Simulator
from data_collector.sinks.redis.functions import DIGEST
from data_collector.venues.binance.speaker import SPEAKER
from tests.faults.exact import assert_alive_and_exact, first_ids, tails, told
from tests.faults.servers import StoreServer, serving
from tests.integration.scene import DRIVEN, NO_HOLES, Scene, playing
from tests.integration.store_reader import Store
from tests.integration.waiting import until_async
from tests.proxy import Proxy

Ask = Callable[[Store], object]


@pytest.mark.parametrize(
    "words",
    [("FLUSHALL",), ("DEL", "trades:BTCUSDT"), ("DEL", "trades:BTCUSDT", "trades:ETHUSDT", "latest:BTCUSDT")],
    ids=["all", "one stream", "some keys"],
)
async def test_row_56_what_was_deleted_is_filled_from_where_it_began(scene: Scene, words: tuple[str, ...]) -> None:
    await scene.simulator.burst("BTCUSDT", 3_000)
    await scene.settled()
    first = first_ids(scene)

    scene.store.ask(*words)

    await assert_alive_and_exact(scene)
    assert first_ids(scene) == first
    assert scene.counted("store_wipes_total") >= 1


async def test_row_56_store_that_is_wiped_while_nothing_is_traded_is_filled(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data_collector.pipeline.outlet.pump.VERIFY_S", 0.2)
    before, first = tails(scene), first_ids(scene)
    await asyncio.sleep(0)
    scene.store.ask("FLUSHALL")

    await until_async(lambda: tails(scene) == before, "all of it again")
    assert first_ids(scene) == first
    await assert_alive_and_exact(scene)


async def test_row_56_wipe_while_nobody_collects_is_filled_at_the_next_start(store: Store, folder: Path) -> None:
    # Before the first message the machine's clock tells how far back is wanted.
    simulator = Simulator(structs.replace(DRIVEN, start_ms=None), [SPEAKER])
    async with playing(store, folder, simulator=simulator) as scene:
        await scene.subscribed()
        await scene.trade()
        first = first_ids(scene)
        await scene.collector.stop()
        store.ask("FLUSHALL")
        simulator.advance(5_000)

        async with playing(store, folder, beside=scene) as again:
            await again.subscribed(after_attempts=1)
            await assert_alive_and_exact(again)
            # Where it had begun is lost too: it begins where a start fills from, which is no later.
            assert all(again_id <= first[symbol] for symbol, again_id in first_ids(again).items())


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
async def test_row_56_store_that_would_evict_is_refused_at_the_start(tmp_path: Path, folder: Path, policy: str) -> None:
    with serving(tmp_path / "server", "--maxmemory", "1gb", "--maxmemory-policy", policy) as server:
        refused = playing(server.store, folder)
        with pytest.raises(Misconfigured, match="noeviction"):
            await refused.__aenter__()


async def break_background_save(server: StoreServer) -> None:
    """Its folder is gone, and it may not write while it cannot save."""
    server.store.ask("CONFIG", "SET", "save", "3600 1")
    shutil.rmtree(server.folder)
    server.store.ask("BGSAVE")
    await until_async(lambda: _last_save(server) == "err", "a failed save")


def _last_save(server: StoreServer) -> str:
    facts = server.store.ask("INFO", "persistence")
    assert isinstance(facts, dict)
    return str(facts["rdb_last_bgsave_status"])


REFUSALS: dict[str, tuple[tuple[str | int, ...], tuple[str | int, ...]]] = {
    "READONLY": (("REPLICAOF", "127.0.0.1", 1), ("REPLICAOF", "NO", "ONE")),
    "NOREPLICAS": (("CONFIG", "SET", "min-replicas-to-write", 1), ("CONFIG", "SET", "min-replicas-to-write", 0)),
    "OOM": (("CONFIG", "SET", "maxmemory", 1), ("CONFIG", "SET", "maxmemory", 0)),
}


@pytest.mark.parametrize("kind", REFUSALS)
async def test_row_57_refusal_to_write_is_told_and_nothing_is_lost(scene: Scene, kind: str) -> None:
    begin, end = REFUSALS[kind]
    scene.store.ask(*begin)
    try:
        await told(scene, kind)
        await scene.simulator.burst("BTCUSDT", 2_000)
    finally:
        scene.store.ask(*end)

    await assert_alive_and_exact(scene)
    assert scene.counted("store_errors_total", kind=kind) >= 1


async def test_row_57_store_that_cannot_save_is_told_and_nothing_is_lost(proxied: Scene, server: StoreServer) -> None:
    await break_background_save(server)
    await told(proxied, "MISCONF")
    # Without the empty text it would not even end: it cannot save.
    server.store.ask("CONFIG", "SET", "save", "")

    await assert_alive_and_exact(proxied)
    assert proxied.counted("store_errors_total", kind="MISCONF") >= 1


async def test_row_57_store_that_is_busy_with_a_script_is_waited_for(proxied: Scene, server: StoreServer) -> None:
    server.store.ask("CONFIG", "SET", "busy-reply-threshold", 50)
    endless = asyncio.create_task(asyncio.to_thread(ask_in_vain, server.url, "EVAL", "while true do end", 0))
    try:
        await told(proxied, "BUSY")
    finally:
        server.store.ask("SCRIPT", "KILL")
        await endless

    await assert_alive_and_exact(proxied)


def ask_in_vain(url: str, *words: str | int) -> None:
    """The answer is an error."""
    store = Store(url)
    with pytest.raises(redis.RedisError):
        store.ask(*words)
    store.close()


async def test_row_57_store_with_too_many_clients_is_waited_for(proxied: Scene, server: StoreServer) -> None:
    server.store.ask("CONFIG", "SET", "maxclients", 1)
    server.store.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    try:
        await told(proxied, "max number of clients")
    finally:
        server.store.ask("CONFIG", "SET", "maxclients", 100)

    await assert_alive_and_exact(proxied)


@pytest.mark.parametrize("right", ["-xadd", "-fcall"])
async def test_row_57_right_that_is_taken_away_is_told_and_nothing_is_lost(
    proxied: Scene, server: StoreServer, right: str
) -> None:
    server.store.ask("ACL", "SETUSER", "default", right)
    try:
        await told(proxied, right[1:])
    finally:
        server.store.ask("ACL", "SETUSER", "default", "+@all")

    await assert_alive_and_exact(proxied)


async def test_row_57_password_that_was_changed_is_told_and_nothing_is_lost(
    proxied: Scene, server: StoreServer, proxy: Proxy
) -> None:
    server.store.ask("CONFIG", "SET", "requirepass", "new")
    proxy.reset()
    try:
        await told(proxied, "NOAUTH")
    finally:
        server.store.ask("CONFIG", "SET", "requirepass", "")

    await assert_alive_and_exact(proxied)


async def test_row_58_reply_that_is_lost_after_the_call_was_carried_out_doubles_nothing(
    proxied: Scene, proxy: Proxy
) -> None:
    for number in range(1, 6):
        proxy.lose_replies(1, b"append_trades")
        await proxied.simulator.burst("BTCUSDT", 300)
        await proxied.trade()
        # The trades are stored before the connection is back: the next loss must not fall into its making.
        await proxied.reconnected(number)

    await assert_alive_and_exact(proxied)
    assert proxy.lost_replies == 5
    assert proxied.counted("records_known_total", channel="trade") >= 5
    assert proxied.counted("store_reconnects_total") >= 5


async def test_row_58_reset_in_the_middle_of_a_backlog_doubles_nothing(proxied: Scene, proxy: Proxy) -> None:
    for _ in range(5):
        proxy.hold()
        await proxied.simulator.burst("BTCUSDT", 1_000)
        proxy.reset()
        proxy.go_on()
        await proxied.settled()

    await assert_alive_and_exact(proxied)
    assert proxied.counted("store_reconnects_total") >= 1


async def test_row_59_slow_store_loses_nothing_and_status_still_answers(proxied: Scene, proxy: Proxy) -> None:
    proxy.latency_s = 0.5
    for _ in range(3):
        await proxied.simulator.burst("BTCUSDT", 1_000)
        assert proxied.status.collector_running
        await proxied.trade(1_000)
    proxy.latency_s = 0.0

    await assert_alive_and_exact(proxied)


async def test_row_59_store_that_holds_writes_loses_nothing(scene: Scene) -> None:
    scene.store.ask("CLIENT", "PAUSE", 1_500, "WRITE")
    await scene.simulator.burst("BTCUSDT", 5_000)
    assert scene.status.collector_running

    await assert_alive_and_exact(scene)


async def test_row_59_store_that_stands_still_beyond_memory_is_filled_from_the_spool(
    server: StoreServer, proxy: Proxy, folder: Path
) -> None:
    async with playing(server.store_behind(proxy.port), folder) as scene:
        scene.collector._service._collection.outlet.records_max = 2_000
        await scene.subscribed()
        await scene.trade()
        server.send(signal.SIGSTOP)
        for _ in range(10):
            await scene.simulator.burst("BTCUSDT", 1_000)
        await until_async(scene.collector._service._collection.outlet.debts.due.is_set, "trades in the spool alone")
        server.send(signal.SIGCONT)

        await assert_alive_and_exact(scene)


async def test_row_60_functions_that_are_gone_are_loaded_again(scene: Scene) -> None:
    for _ in range(3):
        scene.store.ask("FUNCTION", "FLUSH")
        await scene.trade()

    await assert_alive_and_exact(scene)
    assert scene.counted("store_reconnects_total") >= 3


async def test_row_60_functions_of_another_version_stay_beside_ours(scene: Scene) -> None:
    foreign = "#!lua name={}\nredis.register_function('append_trades_{}', function() return {{'OK', 1, 1, 0}} end)"
    scene.store.ask("FUNCTION", "LOAD", foreign.format("data_collector_0123456789ab", "0123456789ab"))

    await assert_alive_and_exact(scene)
    libraries = scene.store.ask("FUNCTION", "LIST")
    assert "data_collector_0123456789ab" in str(libraries)
    assert DIGEST in str(libraries)


async def test_row_60_text_that_was_tampered_with_is_replaced_at_the_next_connection(scene: Scene) -> None:
    tampered = (
        f"#!lua name=data_collector_{DIGEST}\n"
        f"redis.register_function('append_trades_{DIGEST}', function() error('tampered') end)"
    )
    scene.store.ask("FUNCTION", "LOAD", "REPLACE", tampered)

    await assert_alive_and_exact(scene)
    assert "tampered" not in str(scene.store.ask("FUNCTION", "LIST", "WITHCODE"))


async def test_row_61_stream_that_somebody_trims_goes_on_without_a_second_copy(scene: Scene) -> None:
    scene.store.ask("XTRIM", "trades:BTCUSDT", "MAXLEN", 0)
    tail = scene.simulator.tape("BTCUSDT")[-1].trade_id

    await assert_alive_and_exact(scene)
    assert first_ids(scene)["BTCUSDT"] == tail + 1
    assert scene.counted("store_wipes_total") == 0


async def test_row_61_reader_is_warned_before_its_entries_are_trimmed_and_told_after(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data_collector.service.watches.consumer_groups.LOOK_S", 0.05)
    async with playing(store, folder, trades_maxlen="1000") as scene:
        await scene.subscribed()
        await scene.trade()
        for group in ("slow", "quick"):
            store.ask("XGROUP", "CREATE", "trades:BTCUSDT", group, "$")
        await scene.simulator.burst("BTCUSDT", 500)
        await scene.settled()
        store.ask("XREADGROUP", "GROUP", "slow", "one", "COUNT", 10, "STREAMS", "trades:BTCUSDT", ">")
        read_all(store, "quick")
        assert groups(scene) == (0, 0)

        await scene.simulator.burst("BTCUSDT", 420)
        await told(scene, "consumer group slow of trades:BTCUSDT will soon lose")
        read_all(store, "quick")
        await until_async(lambda: groups(scene) == (1, 0), "one group at risk")
        assert store.length("trades:BTCUSDT") < 1_000
        assert any("TRADES_MAXLEN" in reason for reason in scene.status.reasons)

        await scene.simulator.burst("BTCUSDT", 1_000)
        await told(scene, "consumer group slow of trades:BTCUSDT has lost")

        store.ask("XGROUP", "DESTROY", "trades:BTCUSDT", "slow")
        read_all(store, "quick")
        await until_async(lambda: groups(scene) == (0, 0), "no group at risk")
        await assert_alive_and_exact(scene)


def groups(scene: Scene) -> tuple[float, float]:
    """How many consumer groups are about to lose entries, and how many have lost some."""
    return scene.counted("consumer_groups_behind", state="at_risk"), scene.counted(
        "consumer_groups_behind", state="lost"
    )


def read_all(store: Store, group: str) -> None:
    """The group reads and acknowledges everything."""
    store.ask("XREADGROUP", "GROUP", group, "one", "NOACK", "STREAMS", "trades:BTCUSDT", ">")


async def test_row_62_key_of_another_type_stops_its_symbol_alone_and_is_filled_when_it_is_gone(scene: Scene) -> None:
    first = first_ids(scene)
    scene.store.ask("DEL", "trades:BTCUSDT")
    scene.store.ask("SET", "trades:BTCUSDT", "mine")
    await told(scene, "trades:BTCUSDT")
    newest = scene.simulator.tape("ETHUSDT")[-1].trade_id
    await until_async(lambda: scene.store.tail_id("ETHUSDT") == newest, "trades of the other symbol")
    assert any("WRONGTYPE" in reason for reason in scene.status.reasons)

    scene.store.ask("DEL", "trades:BTCUSDT")

    await assert_alive_and_exact(scene)
    assert first_ids(scene) == first


async def test_row_62_foreign_entry_with_a_large_id_is_shown(scene: Scene) -> None:
    tail = scene.store.tail_id("BTCUSDT")
    scene.store.ask("XADD", "trades:BTCUSDT", f"9999999999999-{tail + 10_000_000}", "data", "mine")

    await told(scene, "somebody else's entry")
    newest = scene.simulator.tape("ETHUSDT")[-1].trade_id
    await until_async(lambda: scene.store.tail_id("ETHUSDT") == newest, "trades of the other symbol")
    assert scene.status.condition == "degraded"

    # What the sentence advises: then all of it is there again.
    scene.store.ask("DEL", "trades:BTCUSDT")
    await assert_alive_and_exact(scene)
    assert scene.assert_trades_exact() == NO_HOLES


async def test_row_62_foreign_entry_a_little_ahead_hides_no_trade(scene: Scene) -> None:
    tail = scene.store.tail_id("BTCUSDT")
    time_ms = scene.simulator.market.now_ms
    scene.store.ask("XADD", "trades:BTCUSDT", f"{time_ms}-{tail + 20}", "data", "{}")

    await scene.simulator.burst("BTCUSDT", 100)
    await told(scene, "somebody else's entry")
    assert scene.store.tail_id("BTCUSDT") == tail + 20

    # What the sentence advises: then all of it is there again.
    scene.store.ask("DEL", "trades:BTCUSDT")
    await assert_alive_and_exact(scene)
    assert scene.assert_trades_exact() == NO_HOLES


async def test_row_62_foreign_entry_that_was_taken_out_again_hides_no_trade(scene: Scene) -> None:
    tail = scene.store.tail_id("BTCUSDT")
    entry = f"{scene.simulator.market.now_ms}-{tail + 20}"
    scene.store.ask("XADD", "trades:BTCUSDT", entry, "data", "{}")
    scene.store.ask("XDEL", "trades:BTCUSDT", entry)

    await scene.simulator.burst("BTCUSDT", 100)
    await told(scene, "somebody else's entry")
    assert scene.store.tail_id("BTCUSDT") == tail

    # What the sentence advises: then all of it is there again.
    scene.store.ask("DEL", "trades:BTCUSDT")
    await assert_alive_and_exact(scene)
    assert scene.assert_trades_exact() == NO_HOLES
