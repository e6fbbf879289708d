"""What can happen to the connection: it is made again, nothing is missing, nothing is doubled."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import structs

from data_collector.model.backoff import Backoff
from data_collector.simulator import FrameFault, Refuse, Simulator, SimulatorSettings
from data_collector.simulator.control.actions import Action, Close, PingFlood, Reset, Send, Shutdown, Stall
from data_collector.venues.binance.speaker import SPEAKER
from tests.integration.exactness import assert_closed_klines_exact
from tests.integration.scene import DRIVEN, NO_HOLES, START_MS, SYMBOLS, Scene, playing, venue
from tests.integration.store_reader import Store
from tests.integration.waiting import until_async

FAST = structs.replace(DRIVEN, ping_interval_s=0.2)

BACK_OFF_S = 0.2

NOTICES = ['{"e":"serverShutdown","E":1}', '{"stream":"","data":{"e":"serverShutdown","E":1}}']


@pytest.fixture(autouse=True)
def _even_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the dice, so that nobody is back before a test has looked; the back-off's own tests are elsewhere."""
    monkeypatch.setattr("data_collector.pipeline.connections.line.Backoff", lambda: Backoff(BACK_OFF_S, jitter=False))


@pytest.fixture
async def scene(store: Store, folder: Path) -> AsyncIterator[Scene]:
    """A market that has been collected from for a while."""
    async with playing(store, folder) as scene:
        await scene.subscribed()
        await scene.trade()
        yield scene


async def lose_connection(scene: Scene, action: Action) -> str | None:
    """Do it, let trades happen while nobody listens, and wait until we are back. Returns why it was lost."""
    attempts, line = scene.attempts(), scene.status.connections[0]
    reconnects = line.reconnects
    await scene.simulator.perform(action)
    await until_async(lambda: scene.status.connections[0].reconnects > reconnects, "the loss of the connection")
    reason = scene.status.connections[0].last_error
    scene.simulator.advance(2_000)
    await scene.subscribed(after_attempts=attempts)
    return reason


async def rolled_over(scene: Scene) -> None:
    """Let trades happen until they have proven that the new connection follows the old one."""
    while scene.counted("rollovers_total") == 0:
        await scene.trade(500)


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        (Reset(), "reset"),
        pytest.param(Close(1000), "close 1000", marks=pytest.mark.long),
        pytest.param(Close(1001), "close 1001", marks=pytest.mark.long),
        (Close(1008), "close 1008"),
        pytest.param(Close(1012), "close 1012", marks=pytest.mark.long),
        pytest.param(Close(1013), "close 1013", marks=pytest.mark.long),
        (Close(4000), "close 4000"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
async def test_lost_connection_is_made_again_and_the_hole_filled(scene: Scene, action: Action, reason: str) -> None:
    assert await lose_connection(scene, action) == reason
    await scene.trade()

    assert scene.assert_trades_exact() == NO_HOLES
    assert scene.filled() > 0
    assert scene.status.connections[0].reconnects == 1
    assert scene.counted("disconnects_total") == 1


@pytest.mark.parametrize(
    "raw",
    [
        b"\xf1\x02{}",
        b"\x80\x02{}",
        b"\x83\x00",
        b"\x82\x02{}",
        b"\x81\x7f" + (2**62).to_bytes(8, "big"),
        b"\x89\x7e\x00\x7e" + b"p" * 126,
    ],
    ids=["reserved bits", "continuation without start", "unknown opcode", "binary", "endless frame", "long ping"],
)
async def test_broken_websocket_frame_costs_the_connection_and_nothing_more(scene: Scene, raw: bytes) -> None:
    await lose_connection(scene, Send(raw=raw))
    await scene.trade()

    assert scene.assert_trades_exact() == NO_HOLES
    assert scene.filled() > 0


async def test_connection_that_has_fallen_silent_is_replaced(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data_collector.pipeline.connections.line.SILENCE_MARGIN_S", 0.5)
    async with playing(store, folder, FAST, exchange=venue(ping_interval_s=0.2)) as scene:
        await scene.subscribed()
        await scene.trade()
        assert await lose_connection(scene, Stall()) == "silent"
        await scene.trade()

        assert scene.assert_trades_exact() == NO_HOLES
        assert scene.filled() > 0


async def test_quiet_connection_of_an_exchange_that_pings_seldom_is_kept(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Binance.US pings every three minutes; a quiet symbol says nothing for longer than Binance's twenty seconds."""
    monkeypatch.setattr("data_collector.pipeline.connections.line.SILENCE_MARGIN_S", 0.5)
    seldom = structs.replace(DRIVEN, ping_interval_s=180.0)
    async with playing(store, folder, seldom, exchange=venue(ping_interval_s=0.2)) as scene:
        await scene.subscribed()
        [connection] = scene.simulator.connections()
        await until_async(lambda: connection.pinged >= 5, "our own pings")
        await scene.trade()

        assert scene.status.connections[0].reconnects == 0
        assert scene.simulator.connections() == [connection]


async def test_stall_shorter_than_the_limit_loses_nothing(scene: Scene) -> None:
    await scene.simulator.perform(Stall(seconds=0.3))

    await scene.trade()

    assert scene.assert_trades_exact() == NO_HOLES
    assert scene.status.connections[0].reconnects == 0


async def test_announced_shutdown_is_forestalled_without_losing_a_trade(scene: Scene) -> None:
    attempts = scene.attempts()

    await scene.simulator.perform(Shutdown(close_after_s=2.0))
    for _ in range(20):
        await scene.trade(500)
    await scene.subscribed(after_attempts=attempts)
    await until_async(lambda: len(scene.simulator.connections()) == 1, "the end of the old connection")
    await scene.trade()

    assert scene.assert_trades_exact() == NO_HOLES
    assert scene.counted("rollovers_total", result="overlap") == 1
    assert scene.counted("rollovers_total") == 1
    assert scene.status.connections[0].reconnects == 0


@pytest.mark.parametrize("text", NOTICES, ids=["raw", "unnamed stream"])
async def test_shutdown_notice_is_understood_in_every_shape(scene: Scene, text: str) -> None:
    attempts = scene.attempts()

    await scene.simulator.perform(Send(text=text))
    await scene.subscribed(after_attempts=attempts)
    await rolled_over(scene)

    assert scene.counted("rollovers_total", result="overlap") == 1
    assert scene.counted("server_shutdowns_total") == 1


async def test_quiet_streams_are_handed_over_after_a_bounded_time(store: Store, folder: Path) -> None:
    # A hundredth of the allowed age.
    async with playing(store, folder, exchange=venue(max_age_s=30.0)) as scene:
        await scene.subscribed()
        await scene.trade()

        await scene.simulator.perform(Shutdown())
        await until_async(lambda: scene.counted("rollovers_total", result="overlap") == 1, "the roll-over")
        await until_async(lambda: len(scene.simulator.connections()) == 1, "the end of the old connection")
        await scene.trade()

        assert scene.assert_trades_exact() == NO_HOLES


async def test_hand_over_across_a_hole_is_told_and_the_hole_filled(scene: Scene) -> None:
    attempts = scene.attempts()
    scene.simulator.faults.add(FrameFault(kind="drop", stream="btcusdt@trade", connection=1))
    scene.simulator.advance(2_000)

    await scene.simulator.perform(Shutdown())
    await scene.subscribed(after_attempts=attempts)
    await scene.trade()
    # Where the repair is quicker than the roll-over, nothing is unproven any more.
    await until_async(
        lambda: sum(scene.counted("rollovers_total", result=result) for result in ("unproven", "overlap")) == 1,
        "the roll-over",
    )

    assert scene.assert_trades_exact() == NO_HOLES
    assert scene.filled("rest") > 0


async def test_shutdown_announced_during_a_burst_loses_no_trade(scene: Scene) -> None:
    attempts = scene.attempts()
    prepared = scene.simulator.prepare_burst("BTCUSDT", 20_000)

    await scene.simulator.perform(Shutdown(close_after_s=20.0))
    await scene.simulator.send_prepared(prepared)
    await scene.subscribed(after_attempts=attempts)
    await scene.trade()

    assert scene.assert_trades_exact()["BTCUSDT"] == []


async def test_shutdown_announced_on_a_lagging_connection_loses_no_trade(store: Store, folder: Path) -> None:
    settings = SimulatorSettings(start_ms=START_MS, symbols=SYMBOLS, trades_per_s=50.0)
    async with playing(store, folder, settings) as scene:
        await scene.subscribed()
        await until_async(lambda: store.length("trades:BTCUSDT") > 5, "the first trades")
        scene.simulator.faults.add(FrameFault(kind="delay", connection=1, delay_s=0.5))

        await scene.simulator.perform(Shutdown())
        await scene.subscribed(after_attempts=1)
        await until_async(lambda: len(scene.simulator.connections()) == 1, "the end of the old connection")
        scene.simulator.faults.clear()
        scene.simulator.clock.pause()
        await scene.trade()

        assert scene.assert_trades_exact() == NO_HOLES


async def test_next_connection_is_opened_before_the_old_one_reaches_its_age(store: Store, folder: Path) -> None:
    settings = structs.replace(DRIVEN, max_age_s=3.0)
    async with playing(store, folder, settings, exchange=venue(max_age_s=3.0)) as scene:
        await scene.subscribed()
        await scene.trade()
        while scene.counted("rollovers_total") < 1:
            await scene.trade(100)
        await scene.klines_closed()

        assert scene.assert_trades_exact() == NO_HOLES
        assert scene.status.connections[0].reconnects == 0
        closed = scene.simulator.closed_klines("BTCUSDT", "1m")
        assert_closed_klines_exact(store, "BTCUSDT", "1m", closed)


async def test_cut_at_the_age_limit_is_repaired_when_nobody_forestalls_it(store: Store, folder: Path) -> None:
    settings = structs.replace(DRIVEN, max_age_s=0.7)
    async with playing(store, folder, settings) as scene:
        await scene.subscribed()
        await scene.trade()
        await until_async(lambda: scene.status.connections[0].reconnects == 1, "the cut")
        assert scene.status.connections[0].last_error == "close 1000"
        scene.simulator.advance(2_000)
        await scene.subscribed(after_attempts=1)
        await scene.trade(500)

        assert scene.assert_trades_exact() == NO_HOLES
        assert scene.filled() > 0


async def test_refused_handshake_is_retried_and_told(store: Store, folder: Path) -> None:
    async with playing(store, folder) as scene:
        await scene.subscribed()
        await scene.trade()
        scene.simulator.faults.add(Refuse(status=503, count=2))

        await scene.simulator.perform(Reset())
        await until_async(lambda: scene.status.condition == "degraded", "degraded health")
        await until_async(lambda: any("503" in reason for reason in scene.status.reasons), "the reason")
        assert not scene.status.ready
        await scene.subscribed(after_attempts=3)
        await scene.trade()

        assert scene.counted("connect_failures_total") == 2
        assert scene.assert_trades_exact() == NO_HOLES


async def test_refused_successor_leaves_the_old_connection_in_service(scene: Scene) -> None:
    scene.simulator.faults.add(Refuse(status=503, count=2))

    await scene.simulator.perform(Shutdown())
    while scene.counted("rollovers_total", result="overlap") == 0:
        await scene.trade(500)
    await until_async(lambda: len(scene.simulator.connections()) == 1, "the end of the old connection")
    await scene.trade()

    assert scene.counted("rollovers_total", result="failed") == 2
    assert scene.status.connections[0].reconnects == 0
    assert scene.assert_trades_exact() == NO_HOLES


async def test_lines_together_never_dial_more_often_than_the_exchange_allows(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data_collector.pipeline.connections.line.Backoff", lambda: Backoff(cap_s=0.001))
    limits = structs.replace(venue().limits, connection_attempts=10, connection_attempts_window_s=1.0)
    simulator = Simulator(DRIVEN, [SPEAKER])
    simulator.faults.add(Refuse(status=503))
    exchange = structs.replace(venue(), limits=limits)
    began_s = time.monotonic()
    async with playing(
        store, folder, simulator=simulator, exchange=exchange, lines_per_stream="2", symbols=("BTCUSDT",)
    ) as scene:
        await until_async(lambda: scene.attempts() >= 37, "many attempts")

        # Nine of the ten allowed ones in each window, so that 37 lie in five at least.
        assert time.monotonic() - began_s > 4.0


async def test_redirect_is_not_followed(store: Store, folder: Path) -> None:
    async with playing(store, folder) as scene:
        await scene.subscribed()
        scene.simulator.faults.add(Refuse(status=302, count=1, location="ws://127.0.0.1:1/stream"))

        await scene.simulator.perform(Reset())
        await until_async(lambda: any("redirects" in reason for reason in scene.status.reasons), "the reason")
        await scene.subscribed(after_attempts=2)
        await scene.trade()


async def test_refused_subscription_is_told_and_retried(store: Store, folder: Path) -> None:
    settings = structs.replace(DRIVEN, streams_per_connection=3)
    async with playing(store, folder, settings) as scene:
        await until_async(
            lambda: any("refused a subscription" in reason for reason in scene.status.reasons), "the refusal as reason"
        )

        assert scene.status.condition == "degraded"
        assert any("Too many subscriptions" in reason for reason in scene.status.reasons)
        await until_async(lambda: scene.attempts() >= 2, "another try")


async def test_flood_of_pings_neither_breaks_the_message_limit_nor_the_stream(scene: Scene) -> None:
    await scene.simulator.perform(PingFlood(count=50))
    await scene.trade()

    # The exchange cuts who sends more than five messages a second: it has not.
    assert scene.status.connections[0].reconnects == 0
    assert scene.assert_trades_exact()["BTCUSDT"] == []


async def test_endless_flood_of_pings_costs_the_connection(scene: Scene) -> None:
    assert await lose_connection(scene, PingFlood(count=1_000)) == "ping_flood"
    await scene.trade()

    assert scene.assert_trades_exact() == NO_HOLES
    assert scene.filled() > 0


async def test_pings_are_answered_with_their_payload_so_that_the_connection_lives(store: Store, folder: Path) -> None:
    settings = structs.replace(DRIVEN, ping_interval_s=0.3, pong_timeout_s=0.6)
    async with playing(store, folder, settings) as scene:
        await scene.subscribed()
        await scene.trade()
        began_s = time.monotonic()
        while time.monotonic() - began_s < 1.5:
            await scene.trade(1_000)

        assert scene.status.connections[0].reconnects == 0
        assert len(scene.simulator.connections()) == 1
