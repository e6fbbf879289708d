"""Row 62: what somebody else wrote into the store."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.exact import assert_alive_and_exact, told
from tests.integration.scene import NO_HOLES, Scene, playing
from tests.integration.waiting import until_async


@pytest.mark.parametrize("entry", ["*", "{}-{}"], ids=["naive", "where the next trade belongs"])
async def test_row_62_foreign_entry_is_told_until_it_is_gone_and_nothing_follows_it(scene: Scene, entry: str) -> None:
    """`XADD trades:BTCUSDT * data …`, whose number is 0, and an entry at exactly tail + 1."""
    place = entry.format(scene.simulator.market.now_ms, scene.store.tail_id("BTCUSDT") + 1)
    scene.store.ask("XADD", "trades:BTCUSDT", place, "data", "{}")
    length = scene.store.ask("XLEN", "trades:BTCUSDT")
    await told(scene, "somebody else's entry")

    for _ in range(8):
        await scene.simulator.burst("BTCUSDT", 50)
        scene.simulator.advance(500)
        await until_async(lambda: _has_all(scene, "ETHUSDT"), "the other symbol's trades")
        assert any("somebody else's entry" in reason for reason in scene.status.reasons), scene.status.reasons
    assert scene.store.ask("XLEN", "trades:BTCUSDT") == length

    # What the sentence advises: then all of it is there again.
    scene.store.ask("DEL", "trades:BTCUSDT")
    await assert_alive_and_exact(scene)
    assert scene.assert_trades_exact() == NO_HOLES


async def test_row_62_start_beside_garbage_tells_each_key_and_goes_on_when_it_is_gone(
    scene: Scene, folder: Path
) -> None:
    await scene.collector.stop()
    scene.store.ask("HSET", "latest:BTCUSDT", "trade_id", "abc")
    scene.store.ask("HSET", "collector:klines:ETHUSDT", "1m", "abc", "5m", "4102444800000 -1 -1")
    scene.store.ask("XADD", "trades:ETHUSDT", "*", "data", "{}")
    foreign = [
        "latest:BTCUSDT",
        "collector:klines:ETHUSDT field 1m",
        "collector:klines:ETHUSDT field 5m",
        "trades:ETHU",
    ]
    async with playing(scene.store, folder, beside=scene) as again:
        await again.subscribed(after_attempts=1)

        for key in foreign:
            await told(again, key)
        await until_async(lambda: _has_all(again, "BTCUSDT"), "trades of the other symbol")
        again.store.ask("DEL", "latest:BTCUSDT", "collector:klines:ETHUSDT", "stream:ETHUSDT", "trades:ETHUSDT")

        await assert_alive_and_exact(again)
        await again.klines_closed()
        await until_async(lambda: not again.status.reasons, "no reason any more")


def _has_all(scene: Scene, symbol: str) -> bool:
    return scene.store.tail_id(symbol) == scene.simulator.tape(symbol)[-1].trade_id
