"""A REST side that fails or is slow never stops what the streams bring, and is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from data_collector.simulator import FrameFault, RestFault, Simulator
from data_collector.simulator.control.actions import SetStatus
from data_collector.venues.binance.speaker import SPEAKER
from tests.integration.scene import DRIVEN, NO_HOLES, playing
from tests.integration.store_reader import Store
from tests.integration.waiting import until_async

FAULTS = {
    "429": (RestFault(status=429, retry_after_s=1), "asks us to wait"),
    "418": (RestFault(status=418, retry_after_s=1), "asks us to wait"),
    "451": (RestFault(status=451), "binance.us"),
    "403": (RestFault(status=403), "403"),
    "500": (RestFault(status=500), "500"),
    "503": (RestFault(status=503), "503"),
    "empty": (RestFault(empty=True), "answered with something else"),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_streams_are_collected_while_rest_fails(store: Store, folder: Path, name: str) -> None:
    fault, words = FAULTS[name]
    simulator = Simulator(DRIVEN, [SPEAKER])
    simulator.faults.add(fault)
    async with playing(store, folder, simulator=simulator) as scene:
        await scene.subscribed()
        await scene.trade()

        assert scene.assert_trades_exact() == NO_HOLES
        assert scene.status.condition == "degraded"
        assert any(words in reason for reason in scene.status.reasons), scene.status.reasons


async def test_rest_that_never_answers_delays_the_start_by_its_timeout_only(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data_collector.rest.client.TIMEOUT_S", 0.5)
    simulator = Simulator(DRIVEN, [SPEAKER])
    simulator.faults.add(RestFault(hang=True))
    async with playing(store, folder, simulator=simulator) as scene:
        await scene.subscribed()
        await scene.trade()

        assert any("did not answer" in reason for reason in scene.status.reasons)
        assert scene.assert_trades_exact() == NO_HOLES


async def test_exchange_that_wants_a_key_for_old_trades_gives_what_needs_none_and_is_told(
    store: Store, folder: Path
) -> None:
    """Binance.US: 401 and -2014 for trades by their ids. The newest 1,000 need no key, the rest is lost at once."""
    simulator = Simulator(structs.replace(DRIVEN, api_key="a-key"), [SPEAKER])
    async with playing(store, folder, simulator=simulator) as scene:
        await scene.subscribed()
        await scene.trade()
        simulator.faults.add(FrameFault(kind="drop", stream="btcusdt@trade", count=1_500))
        await simulator.burst("BTCUSDT", 1_500)
        await simulator.burst("BTCUSDT", 100)
        await scene.settled()

        [(first, last, reason)] = scene.assert_trades_exact()["BTCUSDT"]
        assert (last - first + 1, reason) == (600, "lost")
        assert any("set BINANCE_API_KEY" in each for each in scene.status.reasons), scene.status.reasons


@pytest.mark.parametrize("status", [401, 404])
async def test_page_of_a_proxy_in_front_of_old_trades_loses_none(store: Store, folder: Path, status: int) -> None:
    """While a host is renewed something else answers for it; 500 of what is missing can be had no other way."""
    simulator = Simulator(DRIVEN, [SPEAKER])
    async with playing(store, folder, simulator=simulator) as scene:
        await scene.subscribed()
        await scene.trade()
        simulator.faults.add(RestFault(path="/api/v3/historicalTrades", status=status, count=2))
        simulator.faults.add(FrameFault(kind="drop", stream="btcusdt@trade", count=1_500))
        await simulator.burst("BTCUSDT", 1_500)
        await scene.trade()

        assert scene.assert_trades_exact() == NO_HOLES


async def test_key_heals_what_the_stream_left_out(store: Store, folder: Path) -> None:
    simulator = Simulator(structs.replace(DRIVEN, api_key="a-key"), [SPEAKER])
    async with playing(store, folder, simulator=simulator, binance_api_key="a-key") as scene:
        await scene.subscribed()
        await scene.trade()
        simulator.faults.add(FrameFault(kind="drop", stream="btcusdt@trade", count=1_500))
        await simulator.burst("BTCUSDT", 1_500)
        await scene.trade()

        assert scene.assert_trades_exact() == NO_HOLES
        keyed = {path for path, headers in simulator.headers_sent.items() if "X-MBX-APIKEY" in headers}
        assert keyed == {"/api/v3/historicalTrades"}


async def test_empty_answer_at_a_restart_declares_nothing_skipped(store: Store, folder: Path, tmp_path: Path) -> None:
    """Minute-old trades, and `aggTrades` answers that there are none since an hour."""
    async with playing(store, folder) as scene:
        await scene.subscribed()
        await scene.trade()
        await scene.collector.stop()
        await scene.simulator.burst("BTCUSDT", 3_000)
        scene.simulator.faults.add(RestFault(path="/api/v3/aggTrades", empty=True))
        async with playing(store, tmp_path / "second", beside=scene) as second:
            await second.subscribed(after_attempts=1)
            await second.trade()

            assert second.assert_trades_exact() == NO_HOLES


async def test_health_recovers_with_the_rest_side(store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_collector.service.watches.statistics.POLL_S", 0.2)
    async with playing(store, folder) as scene:
        await scene.subscribed()
        await scene.trade(120_000)
        await until_async(lambda: scene.status.condition == "healthy", "health")
        scene.simulator.faults.add(RestFault(status=500))
        monkeypatch.setattr("data_collector.service.watches.statistics.CLOCK_S", 0.0)
        monkeypatch.setattr("data_collector.service.watches.statistics.LIST_S", 0.0)

        # What is due is asked for at the next poll.
        scene.collector._service._collection.statistics._due_s.clear()
        await until_async(lambda: scene.status.condition == "degraded", "the fault in health")
        scene.simulator.faults.clear()

        await until_async(lambda: scene.status.condition == "healthy", "health again")
        assert scene.status.reasons == []


async def test_rest_that_stays_down_stays_told(store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_collector.service.watches.statistics.POLL_S", 0.2)
    async with playing(store, folder) as scene:
        await scene.subscribed()
        await scene.trade(120_000)
        await until_async(lambda: scene.status.condition == "healthy", "health")
        scene.simulator.faults.add(RestFault(status=500))
        scene.collector._service._collection.statistics._due_s.clear()
        await until_async(lambda: scene.status.condition == "degraded", "the fault in health")

        requests = scene.simulator.faults.hit_counts["rest"]
        await until_async(
            lambda: scene.simulator.faults.hit_counts["rest"] > requests + 3 or scene.status.condition == "healthy",
            "further polls",
        )

        assert scene.status.condition == "degraded"


async def test_symbol_list_that_comes_late_stops_only_the_symbol_that_it_lacks(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data_collector.service.watches.statistics.POLL_S", 0.2)
    simulator = Simulator(DRIVEN, [SPEAKER])
    simulator.faults.add(RestFault(path="/api/v3/exchangeInfo", status=500, count=1))
    async with playing(store, folder, simulator=simulator, symbols=("BTCUSDT", "NOPEUSDT")) as scene:
        await scene.subscribed()
        simulator.advance(5_000)
        await until_async(lambda: store.tail_id("BTCUSDT") > 0, "trades of the other symbol")

        await until_async(lambda: any("does not list NOPEUSDT" in r for r in scene.status.reasons), "the reason")
        assert scene.status.collector_running


async def test_volume_is_kept_current_by_rest_where_tickers_are_not_collected(store: Store, folder: Path) -> None:
    async with playing(store, folder, channels="trade") as scene:
        await scene.subscribed()
        await scene.trade()
        await until_async(lambda: "volume" in store.hash("latest:BTCUSDT"), "the volume")
        await scene.trade()

        latest = store.hash("latest:BTCUSDT")
        assert latest["price"] == scene.simulator.tape("BTCUSDT")[-1].price
        assert float(latest["volume"]) > 0
        assert store.keys("stream:*") == []


async def test_symbol_that_does_not_trade_is_told_and_waited_for(store: Store, folder: Path) -> None:
    simulator = Simulator(DRIVEN, [SPEAKER])
    await simulator.perform(SetStatus(symbol="ETHUSDT", status="BREAK"))
    async with playing(store, folder, simulator=simulator) as scene:
        await scene.subscribed()
        simulator.advance(5_000)
        await until_async(lambda: store.tail_id("BTCUSDT") > 0, "trades of the other symbol")

        assert any("ETHUSDT (BREAK)" in reason for reason in scene.status.reasons)
        assert store.length("trades:ETHUSDT") == 0
        await simulator.perform(SetStatus(symbol="ETHUSDT", status="TRADING"))
        await scene.trade()
        assert scene.assert_trades_exact()["ETHUSDT"] == []
