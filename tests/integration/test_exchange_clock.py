"""Times that are not true, of a stream or of the REST side: what is stored is the exchange's all the same, and told."""

from __future__ import annotations

import pytest
from msgspec import structs

from data_collector.simulator import FrameFault
from data_collector.simulator.control.faults import RestFault
from tests.integration.exactness import assert_all_of, assert_latest_is_newest
from tests.integration.scene import CLOSING_MS, START_MS, SYMBOLS, Scene
from tests.integration.waiting import until_async

SYMBOL = "BTCUSDT"
MINUTES, TRADES, TICKERS = "btcusdt@kline_1m", "btcusdt@trade", "btcusdt@ticker"
DAY_MS = 23 * 3_600_000
MINUTE_MS = 60_000
OPEN = '"x":false'


pytestmark = pytest.mark.usefixtures("short_grace")


async def exact(scene: Scene) -> None:
    """Minutes go on, and all that is stored is the exchange's."""
    for _ in range(2):
        await scene.klines_closed()
    for symbol in SYMBOLS:
        assert_all_of(scene.store, symbol, "1m", scene.simulator.closed_klines(symbol, "1m"))
    assert scene.assert_trades_exact() == {symbol: [] for symbol in SYMBOLS}


def later(stream: str, *names: str, ms: int = DAY_MS, **others: object) -> FrameFault:
    """The next message of a stream, told as of a later time."""
    contains = OPEN if stream == MINUTES else ""
    return FrameFault(
        kind="change", stream=stream, contains=contains, add=dict.fromkeys(names, ms), count=1, set=others
    )


@pytest.mark.parametrize(
    "fault",
    [
        later(MINUTES, "E", "k.t", "k.T"),
        later(MINUTES, "E", "k.t", "k.T", ms=MINUTE_MS),
        later(MINUTES, "E", "k.t", "k.T", ms=MINUTE_MS, **{"k.x": True}),
        later(MINUTES, **{"k.x": True}),
        later(TRADES, "E", "T"),
        later(TICKERS, "E"),
        later(TICKERS, "L", ms=1_900_000),
    ],
    ids=["tomorrow", "next", "next_closed", "closed", "trade_tomorrow", "ticker_tomorrow", "ticker_far_id"],
)
async def test_message_ahead_of_its_time_changes_nothing_that_is_stored(scene: Scene, fault: FrameFault) -> None:
    # Another case may have used it up.
    scene.simulator.faults.add(structs.replace(fault, count=1))
    await scene.trade(10_000)
    await until_async(lambda: scene.simulator.faults.count == 0, "the untrue message")

    await exact(scene)

    assert_latest_is_newest(scene.store, SYMBOL, scene.simulator.tape(SYMBOL))
    now_ms = scene.simulator.market.now_ms
    newest = max(int(entry["id"].partition("-")[0]) for entry in scene.store.entries(f"trades:{SYMBOL}"))
    assert newest <= now_ms


async def test_rest_clock_that_is_an_hour_ahead_is_told_and_makes_no_candle_final(scene: Scene) -> None:
    scene.simulator.faults.add(RestFault(kind="alter", path="/api/v3/time", add={"serverTime": 3_600_000}))
    await scene.trade(90_000)
    before = len(scene.simulator.closed_klines(SYMBOL, "1m"))
    await scene.trade(MINUTE_MS - (scene.simulator.market.now_ms - START_MS) % MINUTE_MS + CLOSING_MS)
    assert len(scene.simulator.closed_klines(SYMBOL, "1m")) > before

    await until_async(lambda: "REST side tells a time" in str(scene.status.reasons), "the reason")
    assert scene.status.condition == "degraded"
    assert scene.counted("clock_disagreement_seconds") > 3_000
    await exact(scene)

    scene.simulator.faults.clear()
    await scene.trade(90_000)
    await until_async(lambda: "REST side tells a time" not in str(scene.status.reasons), "an end of it")
