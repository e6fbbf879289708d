"""Processes that are killed, stopped and held while records flow: nothing is doubled, nothing is missing."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.integration.exactness import assert_trades_exact, iso
from tests.integration.processes import (
    CollectorProcess,
    Exchange,
    collecting,
    exchange,
    is_running,
)
from tests.integration.store_reader import Store
from tests.integration.waiting import until

SYMBOLS = ("BTCUSDT", "ETHUSDT")


def first_trades(collector: CollectorProcess, count: int = 50) -> Store:
    """The store, once there are some trades of each symbol in it."""
    store = collector.embedded_store()
    until(lambda: all(store.length(f"trades:{symbol}") >= count for symbol in SYMBOLS), "trades", output=collector.told)
    return store


def settle(market: Exchange, store: Store) -> None:
    """Stop the market, and wait until its last trade is stored."""
    market.act("pause")
    for symbol in SYMBOLS:
        newest = market.last_id(symbol)
        until(lambda: store.tail_id(symbol) == newest, f"trade {newest} of {symbol}")  # noqa: B023


def filled(collector: CollectorProcess) -> float:
    """How many missing trades REST has given."""
    wanted = {"channel": "trade", "source": "rest"}
    name = "data_collector_gap_filled_total"
    return sum(each.value for each in collector.status().samples if each.name == name and each.labels == wanted)


def server_pid(store: Store) -> int:
    facts = store.ask("INFO", "server")
    assert isinstance(facts, dict)
    return int(facts["process_id"])


def test_killed_collector_goes_on_and_fills_what_it_missed(market: Exchange, folder: Path) -> None:
    collector = CollectorProcess(folder, market)
    store = first_trades(collector)
    pid = server_pid(store)
    collector.kill()
    last = {symbol: market.last_id(symbol) for symbol in SYMBOLS}
    until(lambda: all(market.last_id(symbol) > last[symbol] + 20 for symbol in SYMBOLS), "trades that nobody collects")
    assert is_running(pid)

    with collecting(folder, market) as again:
        until(lambda: all(store.tail_id(symbol) > last[symbol] + 20 for symbol in SYMBOLS), "newer", output=again.told)
        settle(market, store)

        assert server_pid(store) == pid
        for symbol in SYMBOLS:
            assert assert_trades_exact(store, symbol, market.trades(symbol)) == []
        assert filled(again) > 20
        store.close()


@pytest.mark.slow
@pytest.mark.parametrize("kills", [3, pytest.param(200, marks=[pytest.mark.long, pytest.mark.timeout(3600)])])
def test_collector_that_is_killed_again_and_again_never_doubles(market: Exchange, folder: Path, kills: int) -> None:
    for _ in range(kills):
        collector = CollectorProcess(folder, market)
        store = collector.embedded_store()
        tails = {symbol: store.tail_id(symbol) for symbol in SYMBOLS}
        until(lambda: all(store.tail_id(symbol) > tails[symbol] for symbol in SYMBOLS), "progress")  # noqa: B023
        collector.kill()
        store.close()
    with collecting(folder, market) as last:
        store = last.embedded_store()
        settle_after_progress(market, store)

        for symbol in SYMBOLS:
            assert assert_trades_exact(store, symbol, market.trades(symbol)) == []
        store.close()


def settle_after_progress(market: Exchange, store: Store) -> None:
    tails = {symbol: store.tail_id(symbol) for symbol in SYMBOLS}
    until(lambda: all(store.tail_id(symbol) > tails[symbol] for symbol in SYMBOLS), "progress")
    settle(market, store)


def test_terminated_collector_stores_all_that_it_received_and_exits_0(market: Exchange, folder: Path) -> None:
    collector = CollectorProcess(folder, market)
    store = first_trades(collector)
    market.act("burst", symbol="BTCUSDT", trades=30_000)
    # The exchange stands still: what it has sent is all there is.
    market.act("pause")

    code = collector.terminate()

    assert code == 0, collector.output
    with collecting(folder, market) as again:
        store = again.embedded_store()
        until(lambda: again.status().collector_running, "the collector")
        received = [line for line in collector.output.splitlines() if "records_left" in line]
        assert received == []
        market.act("resume")
        settle_after_progress(market, store)
        assert assert_trades_exact(store, "BTCUSDT", market.trades("BTCUSDT")) == []
        store.close()


@pytest.mark.slow
def test_interrupted_collector_ends_its_store_too(market: Exchange, folder: Path) -> None:
    collector = CollectorProcess(folder, market)
    store = first_trades(collector, 5)
    pid = server_pid(store)

    assert collector.terminate() == 0

    assert not is_running(pid)
    assert not (folder / "live" / "valkey.json").exists()
    assert "Traceback" not in collector.output


def test_hung_up_control_line_ends_collector_and_store(market: Exchange, folder: Path) -> None:
    collector = CollectorProcess(folder, market)
    store = first_trades(collector, 5)
    pid = server_pid(store)

    collector.hang_up()

    assert collector.process.wait(20) == 0
    assert not is_running(pid)


def test_killed_store_comes_back_and_nothing_is_doubled(market: Exchange, folder: Path) -> None:
    with collecting(folder, market) as collector:
        store = first_trades(collector)
        port = store.url
        pid = server_pid(store)

        os.kill(pid, signal.SIGKILL)
        until(lambda: "embedded_store_ended" in collector.output, "the end of the store")
        until(lambda: '"store_up"' in collector.output, "the store again", output=collector.told)
        settle_after_progress(market, store)

        assert collector.embedded_store().url == port
        assert server_pid(store) != pid
        for symbol in SYMBOLS:
            # Synced every second: the end of what was acknowledged may be gone, and is written again then.
            assert assert_trades_exact(store, symbol, market.trades(symbol)) == []
        assert collector.process.poll() is None
        store.close()


@pytest.mark.slow
def test_held_store_loses_nothing(market: Exchange, folder: Path) -> None:
    with collecting(folder, market) as collector:
        store = first_trades(collector)
        pid = server_pid(store)
        os.kill(pid, signal.SIGSTOP)
        try:
            now_ms = market.now_ms()
            until(lambda: market.now_ms() > now_ms + 60_000, "three seconds at twentyfold speed")
        finally:
            os.kill(pid, signal.SIGCONT)
        settle(market, store)

        for symbol in SYMBOLS:
            assert assert_trades_exact(store, symbol, market.trades(symbol)) == []
        store.close()


@pytest.mark.slow
def test_held_collector_catches_up_without_doubling(market: Exchange, folder: Path) -> None:
    with collecting(folder, market) as collector:
        store = first_trades(collector)
        os.kill(collector.process.pid, signal.SIGSTOP)
        now_ms = market.now_ms()
        until(lambda: market.now_ms() > now_ms + 20_000, "a second at twentyfold speed")
        os.kill(collector.process.pid, signal.SIGCONT)
        settle(market, store)

        for symbol in SYMBOLS:
            assert assert_trades_exact(store, symbol, market.trades(symbol)) == []
        store.close()


@pytest.mark.slow
def test_klines_that_closed_while_nobody_collected_are_fetched(tmp_path: Path, folder: Path) -> None:
    with exchange(tmp_path / "exchange", "--speed", "60", "--trades-per-s", "2") as market:
        collector = CollectorProcess(folder, market)
        store = first_trades(collector)
        until(lambda: _closed(store) >= 2, "closed klines")
        collector.kill()
        now_ms = market.now_ms()
        until(lambda: market.now_ms() > now_ms + 150_000, "two and a half minutes of market time")

        count = _closed(store)
        with collecting(folder, market):
            until(lambda: _closed(store) >= count + 4, "those that closed meanwhile, and more")
            market.act("pause")
            assert store.gaps("BTCUSDT", "kline") == []
            stored = [
                r["timestamp"] for r in store.records("stream:BTCUSDT") if r["interval"] == "1m" and r["is_closed"]
            ]
            truth = [iso(kline.open_ms, digits="seconds") for kline in market.closed_klines("BTCUSDT", "1m")]
            start = truth.index(str(stored[0]))
            assert stored == truth[start : start + len(stored)]
            assert len(stored) >= count + 4
            store.close()


def _closed(store: Store) -> int:
    return sum(bool(r["is_closed"]) for r in store.records("stream:BTCUSDT") if r["interval"] == "1m")
