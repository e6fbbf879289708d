"""Subscriptions that change while records are collected: nothing else is touched, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import chain
from pathlib import Path

import pytest
from msgspec import structs

from data_collector.model.errors import Misconfigured, Transient
from data_collector.model.venue import Venue
from data_collector.pipeline.repair.trade_repair import HEAD_LOOK_S
from data_collector.pipeline.sequence.trade_sequence import HEAD_S
from data_collector.simulator.control.actions import Burst, Reset
from data_collector.venues.binance.venue import VENUE
from tests.integration.scene import CLOSING_MS, DRIVEN, SYMBOLS, Scene, playing
from tests.integration.store_reader import Store
from tests.integration.waiting import until_async

NEW = "SOLUSDT"

MARKET = structs.replace(DRIVEN, symbols=(*SYMBOLS, "BNBUSDT", NEW))

NARROW = structs.replace(VENUE, limits=structs.replace(VENUE.limits, streams_per_connection=8))
"""Two symbols fill a connection."""


@asynccontextmanager
async def collecting(
    store: Store, folder: Path, exchange: Venue = VENUE, lines: str = "1"
) -> AsyncIterator[Scene]:  # fmt: skip
    """Two symbols of a market that has four."""
    async with playing(store, folder, MARKET, exchange=exchange, lines_per_stream=lines) as scene:
        await scene.subscribed()
        await scene.trade()
        yield scene


async def change(scene: Scene, symbols: Sequence[str]) -> None:
    """Collect these, and let time pass until the newest trades of all of them are stored."""
    await scene.collector.change_subscriptions(symbols=symbols)
    scene.symbols = symbols
    await scene.trade()


def assert_untouched(scene: Scene, attempts: int) -> None:
    """No connection was made or lost, nothing was asked of REST, and every trade is stored."""
    assert scene.attempts() == attempts
    assert {line.reconnects for line in scene.status.connections} == {0}
    assert scene.counted("gap_filled_total", channel="trade") == 0
    assert list(chain(*scene.assert_trades_exact().values())) == []
    assert scene.counted("subscription_drift_total") == 0
    scene.assert_counts_add_up()


async def test_symbol_comes_and_goes_on_the_living_connection(store: Store, folder: Path) -> None:
    async with collecting(store, folder) as scene:
        attempts = scene.attempts()

        added = await scene.collector.change_subscriptions(symbols=[*SYMBOLS, NEW])
        await change(scene, [*SYMBOLS, NEW])

        assert added.added == ["solusdt@kline_1m", "solusdt@kline_5m", "solusdt@trade", "solusdt@ticker"]
        assert (added.removed, added.unchanged, added.until) == ([], 8, "restart")
        assert [(each.line, each.subscribe, each.streams) for each in added.connections] == [("1", 4, 12)]
        assert scene.status.symbols == [*SYMBOLS, NEW]
        assert_untouched(scene, attempts)
        kept = store.length(f"trades:{NEW}")

        removed = await scene.collector.change_subscriptions(symbols=SYMBOLS)
        await change(scene, SYMBOLS)

        assert len(removed.removed) == 4
        assert scene.status.symbols == list(SYMBOLS)
        assert store.length(f"trades:{NEW}") == kept
        assert scene.status.connections[0].streams == 8
        assert_untouched(scene, attempts)


@pytest.mark.parametrize("lines", ["1", "2"])
async def test_bursts_of_other_symbols_pass_through_changes_whole(store: Store, folder: Path, lines: str) -> None:
    async with collecting(store, folder, lines=lines) as scene:
        attempts = scene.attempts()
        over = asyncio.Event()

        async def burst() -> None:
            while not over.is_set():
                for symbol in SYMBOLS:
                    await scene.simulator.perform(Burst(symbol, 200))
                await asyncio.sleep(0)

        bursts = asyncio.create_task(burst())
        for _ in range(5):
            await scene.collector.change_subscriptions(symbols=[*SYMBOLS, "BNBUSDT", NEW])
            await scene.collector.change_subscriptions(symbols=SYMBOLS)
        over.set()
        await bursts
        await scene.settled()

        assert store.length("trades:BTCUSDT") > 1_000
        assert_untouched(scene, attempts)


async def test_removed_symbol_that_comes_back_goes_on_where_the_store_ends(store: Store, folder: Path) -> None:
    async with collecting(store, folder) as scene:
        tail = store.tail_id("ETHUSDT")
        await change(scene, ["BTCUSDT"])
        assert store.tail_id("ETHUSDT") == tail

        await change(scene, SYMBOLS)

        assert store.tail_id("ETHUSDT") > tail
        assert scene.assert_trades_exact() == {symbol: [] for symbol in SYMBOLS}
        assert scene.counted("gap_filled_total", channel="trade", source="rest") > 0


async def test_symbol_that_is_removed_amid_a_gap_has_it_filled_when_it_comes_back(store: Store, folder: Path) -> None:
    async with collecting(store, folder) as scene:
        await scene.simulator.perform(Reset())
        await until_async(lambda: scene.status.connections[0].reconnects == 1, "the loss of the connection")
        scene.simulator.advance(2_000)
        await scene.collector.change_subscriptions(symbols=["BTCUSDT"])

        await change(scene, SYMBOLS)

        assert scene.assert_trades_exact() == {symbol: [] for symbol in SYMBOLS}
        assert scene.status.gaps.open_count == 0


async def test_changed_streams_are_subscribed_again_after_a_reconnect(store: Store, folder: Path) -> None:
    async with collecting(store, folder) as scene:
        await change(scene, ["BTCUSDT", NEW])
        attempts = scene.attempts()

        await scene.simulator.perform(Reset())
        await scene.subscribed(after_attempts=attempts)
        await scene.trade()

        (connection,) = scene.simulator.connections()
        assert {stream.partition("@")[0] for stream in connection.streams} == {"btcusdt", "solusdt"}


async def test_what_finds_no_room_gets_connections_of_its_own_and_they_end_with_it(store: Store, folder: Path) -> None:
    async with collecting(store, folder, NARROW) as scene:
        await change(scene, [*SYMBOLS, NEW])

        assert [(line.line, line.streams) for line in scene.status.connections] == [("1", 8), ("2", 4)]
        assert scene.assert_trades_exact()["BTCUSDT"] == []

        await change(scene, SYMBOLS)

        assert [line.line for line in scene.status.connections] == ["1"]
        await until_async(lambda: len(scene.simulator.connections()) == 1, "the end of the second connection")


async def test_intervals_and_channels_change_too(store: Store, folder: Path) -> None:
    async with collecting(store, folder) as scene:
        await scene.collector.change_subscriptions(intervals=["1m", "15m"])
        scene.simulator.advance(60_000 + CLOSING_MS)
        await scene.settled()
        intervals = {str(record["interval"]) for record in store.records("stream:BTCUSDT")}
        assert "15m" in intervals

        changed = await scene.collector.change_subscriptions(channels=["trade"])
        assert len(changed.removed) == 6
        before = store.length("stream:BTCUSDT")
        await scene.trade(10_000)

        assert store.length("stream:BTCUSDT") == before
        assert scene.assert_trades_exact() == {symbol: [] for symbol in SYMBOLS}
        scene.assert_counts_add_up()


async def test_readers_of_a_channel_are_warned_while_it_is_collected(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data_collector.service.watches.consumer_groups.LOOK_S", 0.05)
    async with playing(store, folder, MARKET, channels="kline,ticker", trades_maxlen="1000") as scene:
        await scene.subscribed()
        await scene.collector.change_subscriptions(channels=["kline", "trade", "ticker"])
        await scene.trade()
        store.ask("XGROUP", "CREATE", "trades:BTCUSDT", "slow", "$")
        await scene.simulator.burst("BTCUSDT", 1_000)
        await scene.settled()
        await until_async(lambda: "group slow of trades:BTCUSDT" in str(scene.status.reasons), "the warning")

        await scene.collector.change_subscriptions(channels=["kline", "ticker"])

        await until_async(lambda: "group slow" not in str(scene.status.reasons), "the end of the warning")


async def test_trades_given_up_for_a_while_are_not_asked_for_and_go_on_later(store: Store, folder: Path) -> None:
    async with collecting(store, folder) as scene:
        tail = store.tail_id("BTCUSDT")
        await scene.collector.change_subscriptions(channels=["kline", "ticker"])
        scene.simulator.advance(10_000)
        await until_async(lambda: store.hash("latest:BTCUSDT")["timestamp"] > "", "a ticker")
        await asyncio.sleep(HEAD_S + 2 * HEAD_LOOK_S)
        assert store.tail_id("BTCUSDT") == tail
        assert scene.counted("gap_filled_total", channel="trade") == 0

        await scene.collector.change_subscriptions(channels=["kline", "trade", "ticker"])
        await scene.trade()

        assert scene.assert_trades_exact() == {symbol: [] for symbol in SYMBOLS}
        assert scene.status.gaps.open_count == 0


async def test_impossible_changes_are_refused_with_every_fault_and_change_nothing(store: Store, folder: Path) -> None:
    async with collecting(store, folder) as scene:
        with pytest.raises(Misconfigured) as refused:
            await scene.collector.change_subscriptions(
                symbols=["BTCUSDT", "BTCUSDX"], intervals=["10m"], channels=["news"]
            )

        for part in ("BTCUSDX (did you mean BTCUSDT?)", "10m", "news"):
            assert part in str(refused.value)
        await scene.trade()
        assert scene.status.symbols == list(SYMBOLS)
        assert scene.assert_trades_exact() == {symbol: [] for symbol in SYMBOLS}


async def test_second_change_is_refused_while_one_is_under_way(store: Store, folder: Path) -> None:
    async with collecting(store, folder) as scene:
        first = asyncio.create_task(scene.collector.change_subscriptions(symbols=[*SYMBOLS, NEW]))
        await asyncio.sleep(0)

        with pytest.raises(Transient, match="under way"):
            await scene.collector.change_subscriptions(symbols=["BTCUSDT"])

        await first
        assert scene.status.symbols == [*SYMBOLS, NEW]
