"""Rows 36 to 40, 45 and 53: processes that are killed, held and ended while records flow."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from tests.faults.servers import StoreServer, serving
from tests.integration.exactness import assert_trades_exact
from tests.integration.processes import CollectorProcess, Exchange, collecting
from tests.integration.store_reader import Store
from tests.integration.waiting import until
from tests.invariants.held import faults_at
from tests.invariants.lies import lies
from tests.invariants.said import said_by

SYMBOLS = ("BTCUSDT", "ETHUSDT")
BURST = 5_000


def progress(store: Store, collector: CollectorProcess | None = None) -> None:
    """Newer trades of every symbol are stored than now."""
    before = {symbol: store.tail_id(symbol) for symbol in SYMBOLS}
    until(
        lambda: all(store.tail_id(symbol) > before[symbol] for symbol in SYMBOLS), "progress",
        output=str if collector is None else collector.told,
    )  # fmt: skip


def assert_alive_and_exact(market: Exchange, store: Store, collector: CollectorProcess) -> None:
    """The market goes on, its newest trade is stored, nothing is missing; every repair is over."""
    market.act("resume")
    progress(store, collector)
    market.act("pause")
    newest = {symbol: market.last_id(symbol) for symbol in SYMBOLS}
    until(
        lambda: all(store.tail_id(symbol) == newest[symbol] for symbol in SYMBOLS), f"the newest trades {newest}",
        output=collector.told,
    )  # fmt: skip
    for symbol in SYMBOLS:
        assert assert_trades_exact(store, symbol, market.trades(symbol)) == []
    until(lambda: collector.status().gaps.open_count == 0, "the end of every repair", output=collector.told)
    until(lambda: collector.status().ready, "readiness", output=collector.told)
    faults = [fault for symbol in SYMBOLS for fault in faults_at(market, store, symbol)]
    said = asyncio.run(said_by(collector.status(), store.url))
    assert [*faults, *lies(said, faults)] == []


def filled(collector: CollectorProcess, source: str = "rest") -> float:
    """How many missing trades came from there."""
    wanted = {"channel": "trade", "source": source}
    name = "data_collector_gap_filled_total"
    return sum(each.value for each in collector.status().samples if each.name == name and each.labels == wanted)


def known(collector: CollectorProcess) -> float:
    """How many trades the store had already when they were offered."""
    name = "data_collector_records_known_total"
    samples = collector.status().samples
    return sum(each.value for each in samples if each.name == name and each.labels == {"channel": "trade"})


def subscribed(collector: CollectorProcess) -> None:
    """It collects."""
    until(lambda: collector.status().ready, "readiness", output=collector.told)


def test_row_36_killed_replica_costs_nothing_while_the_other_runs(market: Exchange, folder: Path, store: Store) -> None:
    doomed = CollectorProcess(folder / "doomed", market, redis_url=store.url)
    with collecting(folder / "other", market, redis_url=store.url) as other:
        subscribed(doomed)
        subscribed(other)
        market.act("burst", symbol="BTCUSDT", trades=BURST)
        doomed.kill()
        progress(store, other)

        assert_alive_and_exact(market, store, other)
        assert filled(other) == 0


def test_row_37_killed_collectors_are_repaid_by_rest_for_a_minute(market: Exchange, folder: Path, store: Store) -> None:
    all_of_them = [CollectorProcess(folder / name, market, redis_url=store.url) for name in ("first", "second")]
    for collector in all_of_them:
        subscribed(collector)
    progress(store)
    for collector in all_of_them:
        collector.kill()
    now_ms = market.now_ms()
    until(lambda: market.now_ms() > now_ms + 60_000, "a minute of market time")
    market.act("burst", symbol="BTCUSDT", trades=BURST)

    with collecting(folder / "first", market, redis_url=store.url) as again:
        assert_alive_and_exact(market, store, again)
        assert filled(again) > BURST


@pytest.mark.parametrize("lives", [3, pytest.param(60, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
def test_row_38_killed_again_and_again_it_makes_progress_in_each_life(
    market: Exchange, folder: Path, store: Store, lives: int
) -> None:
    for _ in range(lives):
        collector = CollectorProcess(folder, market, redis_url=store.url)
        market.act("burst", symbol="ETHUSDT", trades=500)
        progress(store, collector)
        collector.kill()

    with collecting(folder, market, redis_url=store.url) as last:
        assert_alive_and_exact(market, store, last)
        assert filled(last) > 0


@pytest.mark.parametrize("seconds", [5, pytest.param(40, marks=pytest.mark.long)])
def test_row_39_held_collector_judges_what_it_finds_by_id(
    market: Exchange, folder: Path, store: Store, seconds: int
) -> None:
    with collecting(folder, market, redis_url=store.url) as collector:
        subscribed(collector)
        progress(store)
        collector.process.send_signal(signal.SIGSTOP)
        market.act("burst", symbol="BTCUSDT", trades=1_000)
        now_ms = market.now_ms()
        until(lambda: market.now_ms() > now_ms + seconds * 20_000, "time", deadline_s=3.0 * seconds)
        collector.process.send_signal(signal.SIGCONT)

        assert_alive_and_exact(market, store, collector)


@pytest.mark.parametrize("times", [1, 2])
def test_row_40_ended_under_load_it_leaves_nothing_behind(
    market: Exchange, folder: Path, store: Store, times: int
) -> None:
    collector = CollectorProcess(folder, market, redis_url=store.url)
    subscribed(collector)
    progress(store)
    market.act("burst", symbol="BTCUSDT", trades=BURST)
    began_s = time.monotonic()
    for _ in range(times):
        collector.process.send_signal(signal.SIGTERM)

    assert collector.wait() == 0, collector.output
    assert time.monotonic() - began_s < 10.0
    assert "Traceback" not in collector.output
    with collecting(folder, market, redis_url=store.url) as again:
        assert_alive_and_exact(market, store, again)


def test_row_40_signals_of_a_terminal_are_left_to_the_one_who_started_it(
    market: Exchange, folder: Path, store: Store
) -> None:
    collector = CollectorProcess(folder, market, redis_url=store.url)
    subscribed(collector)
    for each in (signal.SIGINT, signal.SIGHUP):
        collector.process.send_signal(each)
        progress(store, collector)
    market.act("burst", symbol="BTCUSDT", trades=BURST)

    collector.hang_up()

    assert collector.process.wait(10) == 0, collector.output
    with collecting(folder, market, redis_url=store.url) as again:
        assert_alive_and_exact(market, store, again)


def test_row_45_two_collectors_of_one_configuration_double_nothing(
    market: Exchange, folder: Path, store: Store
) -> None:
    with (
        collecting(folder / "first", market, redis_url=store.url) as first,
        collecting(folder / "second", market, redis_url=store.url) as second,
    ):
        subscribed(first)
        subscribed(second)
        market.act("burst", symbol="BTCUSDT", trades=BURST)

        assert_alive_and_exact(market, store, first)
        assert known(first) + known(second) >= BURST


@pytest.mark.parametrize("appendonly", ["yes", "no"])
def test_row_53_killed_store_gets_back_what_it_acknowledged_and_lost(
    market: Exchange, folder: Path, tmp_path: Path, appendonly: str
) -> None:
    with (
        serving(tmp_path / "server", "--appendonly", appendonly) as server,
        collecting(folder, market, redis_url=server.url) as collector,
    ):
        subscribed(collector)
        market.act("burst", symbol="BTCUSDT", trades=BURST)
        progress(server.store, collector)
        first = first_id(server.store)
        revive(server)

        assert_alive_and_exact(market, server.store, collector)
        assert first_id(server.store) == first
        assert known(collector) == 0 or appendonly == "yes"


def first_id(store: Store) -> int:
    """Where the stored trades begin."""
    return int(str(store.records("trades:BTCUSDT")[0]["trade_id"]))


def revive(server: StoreServer) -> None:
    """Killed, and started again: its clients may meet it while it loads."""
    server.end(signal.SIGKILL)
    server.launch()
    until(server.store.answers, "an answer of the store")


def test_row_53_killed_embedded_store_is_started_again_and_exact(market: Exchange, folder: Path) -> None:
    with collecting(folder, market) as collector:
        store = collector.embedded_store()
        subscribed(collector)
        market.act("burst", symbol="BTCUSDT", trades=BURST)
        progress(store, collector)
        facts = store.ask("INFO", "server")
        assert isinstance(facts, dict)

        os.kill(int(facts["process_id"]), signal.SIGKILL)
        until(lambda: "embedded_store_ended" in collector.output, "the end of the store")
        until(store.answers, "the store again", output=collector.told)

        assert_alive_and_exact(market, store, collector)
        store.close()
