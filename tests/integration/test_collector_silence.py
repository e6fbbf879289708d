"""Streams that fall silent: quiet ones are left alone, mute ones are made to speak again."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from msgspec import structs
from structlog.testing import capture_logs

from data_collector.model.calendar import DAY_MS
from data_collector.model.keys import Key
from data_collector.pipeline.connections import rhythm
from data_collector.service.watches import silence
from data_collector.simulator import FrameFault, Simulator, SimulatorSettings
from data_collector.simulator.control.actions import DropStream
from data_collector.venues.binance.speaker import SPEAKER
from data_collector.venues.discovery import find_speaker, find_venue
from tests.integration.scene import NO_HOLES, START_MS, SYMBOLS, Scene, playing
from tests.integration.store_reader import Store
from tests.integration.waiting import until_async

LIVE = SimulatorSettings(start_ms=START_MS, symbols=SYMBOLS, trades_per_s=50.0)

TRADES = "btcusdt@trade"

LEARNED_S = 60.0
"""A busy machine makes it slower."""


NOT_TRADED = SimulatorSettings(driven=True, start_ms=START_MS, symbols=SYMBOLS, trades_per_s=0.0, history_trades=2_000)
"""Nothing but the past."""


@pytest.fixture
async def scene(store: Store, folder: Path) -> AsyncIterator[Scene]:
    """A running market whose rhythm is known."""
    async with playing(store, folder, LIVE) as scene:
        await scene.subscribed()
        await until_async(lambda: scene.status.ready, "readiness")
        await rhythm_is_known(scene)
        yield scene


async def rhythm_is_known(scene: Scene, symbol: str = "BTCUSDT") -> None:
    """Wait for some seconds of trades; the first second may bring all that was traded while it started."""
    for _ in range(4):
        until_ms = scene.simulator.market.now_ms + 1_000
        await until_async(partial(_is_past, scene, until_ms), "a second", deadline_s=LEARNED_S)
        await speaks_again(scene, symbol)


def _is_past(scene: Scene, time_ms: int) -> bool:
    return scene.simulator.market.now_ms > time_ms


async def speaks_again(scene: Scene, symbol: str = "BTCUSDT") -> None:
    """Wait until the trades that are made now are stored."""
    newest = scene.simulator.tape(symbol)[-1].trade_id
    await until_async(lambda: scene.store.tail_id(symbol) >= newest, "trades of now", deadline_s=LEARNED_S)


async def test_quiet_streams_are_left_alone(scene: Scene) -> None:
    sent = scene.counted("control_messages_total")

    scene.simulator.clock.pause()
    await scene.settled()
    await until_async(lambda: scene.counted("streams_quiet") >= 2, "quiet streams", deadline_s=LEARNED_S)

    assert scene.counted("streams_mute") == 0
    assert scene.counted("watchdogs_total") == 0
    assert scene.counted("control_messages_total") == sent
    assert scene.status.ready
    scene.simulator.clock.resume()
    await speaks_again(scene)
    await until_async(lambda: scene.counted("streams_quiet") == 0, "streams that speak")


async def test_symbol_that_was_not_traded_for_a_day_is_proven_quiet(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its 24-hour statistics say `"lastId":-1,"count":0`, and its streams say nothing."""
    monkeypatch.setattr(silence, "QUIET_AGAIN_S", 0.1)
    monkeypatch.setattr(silence, "PROBE_S", 0.1)
    simulator = Simulator(NOT_TRADED, [SPEAKER])
    simulator.advance(2 * DAY_MS)
    async with playing(store, folder, simulator=simulator) as scene:
        await until_async(lambda: scene.status.ready, "readiness")
        assert scene.status.condition == "healthy", scene.status.reasons
        assert scene.counted("streams_mute") == 0
        latest = store.hash("latest:BTCUSDT")
        assert latest["price"] == simulator.tape("BTCUSDT")[-1].price
        assert (latest["count"], "last_price" in latest) == ("0", False)


async def test_mute_stream_is_subscribed_to_anew(scene: Scene) -> None:
    await scene.simulator.perform(DropStream(stream=TRADES))

    await until_async(lambda: scene.counted("watchdogs_total", kind="stream") == 1, "the alarm", deadline_s=LEARNED_S)
    await speaks_again(scene)
    await until_async(lambda: scene.counted("streams_mute") == 0, "no mute stream")

    assert scene.counted("rollovers_total") == 0
    assert scene.status.connections[0].reconnects == 0
    scene.simulator.clock.pause()
    await scene.settled()
    assert scene.assert_trades_exact()["ETHUSDT"] == []


@pytest.mark.slow
async def test_connection_whose_stream_stays_mute_is_replaced_before_it_is_closed(scene: Scene) -> None:
    scene.simulator.faults.add(FrameFault(kind="drop", stream=TRADES, connection=1))

    await until_async(lambda: scene.counted("rollovers_total") == 1, "another connection", deadline_s=LEARNED_S)
    await speaks_again(scene)

    assert scene.counted("watchdogs_total", kind="stream") == 1
    assert scene.status.connections[0].reconnects == 0
    scene.simulator.clock.pause()
    await scene.settled()
    assert scene.assert_trades_exact()["ETHUSDT"] == []


async def test_stream_that_the_exchange_dropped_without_a_word_is_subscribed_to_again(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data_collector.pipeline.connections.connection.SUBSCRIPTIONS_S", (0.5, 0.6))
    async with playing(store, folder) as scene:
        await scene.subscribed()
        await scene.trade()

        await scene.simulator.perform(DropStream(stream=TRADES))
        await until_async(lambda: scene.counted("subscription_drift_total") == 1, "the drift")
        await until_async(lambda: TRADES in scene.simulator.connections()[0].streams, "the stream again")
        await scene.trade()

        assert scene.assert_trades_exact() == NO_HOLES
        assert scene.status.connections[0].reconnects == 0


async def test_stream_whose_records_are_all_refused_by_a_rule_is_not_mute(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A price cap of the user refuses every trade, and another rule every candle; the tickers pass."""
    monkeypatch.setattr(silence, "QUIET_AGAIN_S", 0.1)
    monkeypatch.setattr(silence, "PROBE_S", 0.1)
    suites = folder / "suites"
    suites.mkdir()
    for kind, column, rule in (("trade", "price", "price_cap"), ("kline", "close", "close_cap")):
        suite = {"name": kind, "expectations": [capped(column, rule)]}
        (suites / f"{kind}.json").write_text(json.dumps(suite))

    with capture_logs() as logs:
        async with playing(store, folder, LIVE, suites_dir=str(suites)) as scene:
            cure = "see `data-collector quarantine list`, or mend the rule"
            told = {
                f"all trades of BTCUSDT, ETHUSDT are refused by price_cap: {cure}",
                f"all 1m klines, 5m klines of BTCUSDT, ETHUSDT are refused by close_cap: {cure}",
            }
            await until_async(
                lambda: set(scene.status.reasons) == told, "the rules, and nothing else", deadline_s=LEARNED_S
            )
            warned = [each["rules"] for each in logs if each["event"] == "streams_all_refused"]
            assert sorted(warned) == [("close_cap",), ("price_cap",)]
            (suites / "trade.json").unlink()
            await until_async(lambda: "streams_pass_again" in [each["event"] for each in logs], "an end of the first")

            for counter in ("streams_mute", "watchdogs_total", "rollovers_total", "streams_silent"):
                assert scene.counted(counter) == 0, counter


def capped(column: str, rule: str) -> dict[str, object]:
    """Refuses everything that has a price."""
    return {
        "type": "expect_column_values_to_be_between",
        "kwargs": {"column": column, "max_value": 0.000001},
        "severity": "critical",
        "description": "It must be cheap.",
        "meta": {"rule_id": rule},
    }


async def test_mute_trades_of_kraken_are_named_and_come_by_rest(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No ticker tells that something is traded, and REST answers once a second.

    All that can be done about the stream has been done, and for an hour nothing more will be.
    """
    monkeypatch.setattr(rhythm, "SILENCE_MIN_S", 2.0)
    monkeypatch.setattr(silence, "RENEWAL_S", 3600.0)
    kraken = find_venue("kraken")
    store.prefix = kraken.key_prefix
    simulator = Simulator(structs.replace(LIVE, symbols=("BTCUSD", "ETHUSD")), [find_speaker("kraken")])
    async with playing(
        store, folder, simulator=simulator, exchange=kraken, symbols=kraken.default_symbols, channels="trade"
    ) as scene:
        await rhythm_is_known(scene, "BTC/USD")
        await until_async(lambda: scene.status.ready, "readiness", deadline_s=LEARNED_S)
        name = kraken.codec.stream_name(Key("trade", "BTC/USD"))
        scene.simulator.faults.add(FrameFault(kind="drop", stream=name))

        mute = f"the exchange trades, and these streams are mute: {name}"
        await until_async(lambda: mute in scene.status.reasons, "the mute stream", deadline_s=LEARNED_S)
        for _ in range(2):
            await speaks_again(scene, "BTC/USD")
        assert scene.filled() > 100
