"""Streams that the exchange refuses: they are told and left out, the others flow, and they are asked for again."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_collector.model.backoff import Backoff
from data_collector.pipeline.connections import refused_streams
from data_collector.simulator import RefuseStreams, Simulator
from data_collector.venues.binance.speaker import SPEAKER
from tests.integration.scene import DRIVEN, SYMBOLS, Scene, playing
from tests.integration.store_reader import Store
from tests.integration.waiting import until_async

NEVER_S = (3_600.0, 3_600.0)


def exchange(*faults: RefuseStreams) -> Simulator:
    simulator = Simulator(DRIVEN, [SPEAKER])
    for fault in faults:
        simulator.faults.add(fault)
    return simulator


async def good_ones_flow(scene: Scene) -> None:
    """Trades of the other symbol are stored."""
    await until_async(lambda: scene.status.connections[0].state == "connected", "a connection")
    scene.simulator.advance(5_000)
    newest = scene.simulator.tape("BTCUSDT")[-1].trade_id
    await until_async(lambda: scene.store.tail_id("BTCUSDT") == newest, "trades of the good symbol")


def told(scene: Scene) -> list[str]:
    return [reason for reason in scene.status.reasons if "refuses" in reason]


async def test_refused_symbol_is_told_and_the_others_flow(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of two symbols is refused, in an answer that does not say which stream it is about."""
    monkeypatch.setattr(refused_streams, "AGAIN_S", (0.5, 0.5))
    async with playing(store, folder, simulator=exchange(RefuseStreams(stream="ethusdt@*"))) as scene:
        await good_ones_flow(scene)

        [reason] = told(scene)
        assert "ETHUSDT (1m kline, 5m kline, ticker, trade)" in reason
        assert "'Invalid request: invalid stream'" in reason
        assert "SYMBOLS" in reason
        assert "BTCUSDT" not in reason
        assert scene.status.condition == "degraded"
        assert scene.counted("streams_refused") == 4
        assert scene.status.connections[0].reconnects == 0
        await until_async(lambda: scene.status.ready, "readiness")

        scene.simulator.faults.clear()
        await until_async(lambda: not told(scene), "streams that are given after all")
        await scene.trade()
        scene.assert_trades_exact()
        assert scene.counted("streams_refused") == 0
        assert scene.attempts() == 1


async def test_refusal_that_costs_the_connection_is_narrowed_down_over_the_next_ones(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real Binance closes the connection after a badly formed name, and does not say which it is."""
    monkeypatch.setattr("data_collector.pipeline.connections.line.Backoff", lambda: Backoff(cap_s=0.05))
    monkeypatch.setattr(refused_streams, "AGAIN_S", NEVER_S)
    simulator = exchange(RefuseStreams(stream="ethusdt@kline_5m", closes=True))
    async with playing(store, folder, simulator=simulator, symbols=SYMBOLS) as scene:
        await good_ones_flow(scene)
        await scene.trade()

        assert scene.assert_trades_exact().keys() == set(SYMBOLS)
        [reason] = told(scene)
        assert "ETHUSDT (5m kline)" in reason


async def test_refused_stream_that_speaks_all_the_same_is_refused_no_longer(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exchange refuses what is subscribed already, for instance, because its answer came too late."""
    monkeypatch.setattr(refused_streams, "AGAIN_S", NEVER_S)
    async with playing(store, folder, simulator=exchange(RefuseStreams(stream="ethusdt@trade"))) as scene:
        await good_ones_flow(scene)
        assert told(scene)

        [connection] = scene.simulator.connections()
        connection.subscribe(["ethusdt@trade"])

        def is_given() -> bool:
            scene.simulator.advance(200)
            return not told(scene)

        await until_async(is_given, "the end of the refusal")


async def test_symbol_that_the_exchange_refuses_is_told_where_subscriptions_are_changed(
    store: Store, folder: Path
) -> None:
    async with playing(
        store, folder, simulator=exchange(RefuseStreams(stream="ethusdt@*")), symbols=["BTCUSDT"]
    ) as scene:
        await good_ones_flow(scene)

        changed = await scene.collector.change_subscriptions(symbols=SYMBOLS)

        [note] = [note for note in changed.notes if "refuses" in note]
        assert "ETHUSDT" in note
        assert told(scene)
        scene.simulator.advance(5_000)
        await scene.collector.change_subscriptions(symbols=["BTCUSDT"])
        assert not told(scene)
