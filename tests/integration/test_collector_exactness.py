"""Done-when 3: every trade and closed kline that is sent after the first is stored once, in order, digits intact."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from data_collector.simulator import SimulatorSettings
from tests.integration.exactness import assert_closed_klines_exact, assert_latest_is_newest
from tests.integration.scene import DRIVEN, NO_HOLES, START_MS, Scene, playing, venue
from tests.integration.store_reader import Store
from tests.integration.waiting import until_async

FORMS = {
    "plain": (DRIVEN, venue()),
    "order ids": (structs.replace(DRIVEN, order_ids=True), venue()),
    "microseconds": (DRIVEN, venue(stream_path="/stream?timeUnit=MICROSECOND")),
    "raw frames": (DRIVEN, venue(stream_path="/ws")),
    "flat errors": (structs.replace(DRIVEN, error_shape="flat"), venue()),
}

RARE = ("raw frames", "flat errors")


@pytest.mark.parametrize(
    "form", ["plain", "order ids", "microseconds", *(pytest.param(form, marks=pytest.mark.slow) for form in RARE)]
)
async def test_every_form_is_stored_exactly_once_in_order_with_all_digits(
    store: Store, folder: Path, form: str
) -> None:
    settings, exchange = FORMS[form]
    async with playing(store, folder, settings, exchange=exchange) as scene:
        await scene.subscribed()
        for _ in range(15):
            await scene.trade(20_000)
        await scene.simulator.burst("BTCUSDT", 5_000)
        await scene.klines_closed()

        assert scene.assert_trades_exact() == NO_HOLES
        assert_klines_and_latest(scene)
        scene.assert_counts_add_up()
        assert scene.status.validation_errors == 0


async def test_fast_market_with_bursts_of_many_symbols_is_stored_exactly(store: Store, folder: Path) -> None:
    symbols = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "XRPUSDT")
    settings = SimulatorSettings(symbols=symbols, start_ms=START_MS, speed=120.0, trades_per_s=2.0)
    async with playing(store, folder, settings, symbols=symbols, trades_maxlen="100000") as scene:
        await scene.subscribed()
        for symbol in symbols:
            await scene.simulator.burst(symbol, 8_000)
        await until_async(lambda: scene.simulator.market.now_ms > START_MS + 300_000, "five minutes of market time")
        scene.simulator.clock.pause()
        await scene.klines_closed()

        assert scene.assert_trades_exact() == {symbol: [] for symbol in symbols}
        assert_klines_and_latest(scene)
        scene.assert_counts_add_up()


def assert_klines_and_latest(scene: Scene) -> None:
    """Both intervals of every symbol."""
    for symbol in scene.symbols:
        for interval in ("1m", "5m"):
            closed = scene.simulator.closed_klines(symbol, interval)
            assert_closed_klines_exact(scene.store, symbol, interval, closed)
        assert_latest_is_newest(scene.store, symbol, scene.simulator.tape(symbol))
        assert scene.store.gaps(symbol, "kline") == []
