"""A start after an outage that is longer than the candles which the exchange's REST side gives."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from data_collector.model.calendar import HOUR_MS, MINUTE_MS
from data_collector.simulator import Simulator, SimulatorSettings
from data_collector.venues.discovery import find_speaker
from data_collector.venues.kraken import rest
from data_collector.venues.kraken.venue import VENUE
from tests.integration.exactness import iso
from tests.integration.scene import START_MS, Scene, playing
from tests.integration.store_reader import Store, parsed
from tests.integration.waiting import until_async

SYMBOL = "BTC/USD"
RARE = SimulatorSettings(
    driven=True, start_ms=START_MS, symbols=("BTCUSD",), trades_per_s=0.05, enforce_limits=False
)  # fmt: skip
"""A trade in twenty seconds: many minutes are quiet."""


async def test_candles_of_an_outage_are_made_of_its_trades(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """13 hours, of which REST gives 12: the trades come by their ids, and no minute is called absent."""
    monkeypatch.setattr(rest, "PAUSE_S", 0.01)
    store.prefix = VENUE.key_prefix
    simulator = Simulator(RARE, [find_speaker("kraken")])
    async with playing(
        store, folder, simulator=simulator, exchange=VENUE, symbols=(SYMBOL,), catch_up_seconds="86400"
    ) as scene:
        await followed(scene)
        await scene.collector.stop()
        simulator.advance(13 * HOUR_MS)
        async with playing(
            store, folder, exchange=VENUE, symbols=(SYMBOL,), beside=scene, catch_up_seconds="86400"
        ) as again:
            await followed(again)

            times, records = zip(*minutes(store), strict=True)
            first_ms = round(datetime.fromisoformat(times[0]).timestamp() * 1000)
            assert list(times) == [iso(first_ms + at * MINUTE_MS, digits="seconds") for at in range(len(times))]
            assert len(times) > 13 * 60
            truth = {iso(each.open_ms, digits="seconds"): each for each in simulator.closed_klines(SYMBOL, "1m")}
            for time, record in zip(times, records, strict=True):
                if record["trades"]:
                    assert Decimal(str(record["volume"])) == Decimal(truth[str(time)].volume)
                    assert record["trades"] == truth[str(time)].trades
            assert store.entries(f"gaps:{SYMBOL}") == []


async def followed(scene: Scene) -> None:
    """Some minutes pass, and what has ended is stored."""
    for _ in range(6):
        scene.simulator.advance(MINUTE_MS // 2)
        await until_async(partial(_has_all, scene), "trades")
    ended = iso(scene.simulator.market.now_ms // MINUTE_MS * MINUTE_MS - 2 * MINUTE_MS, digits="seconds")
    await until_async(lambda: ended in [time for time, _ in minutes(scene.store)], "the candle of a minute")


def _has_all(scene: Scene) -> bool:
    return scene.store.tail_id(SYMBOL) >= scene.simulator.tape(SYMBOL)[-1].trade_id


def minutes(store: Store) -> list[tuple[str, dict[str, object]]]:
    """Closed candles of a minute."""
    found = [parsed(entry["fields"]["data"]) for entry in store.entries(f"stream:{SYMBOL}")]
    return [(str(each["timestamp"]), each) for each in found if each["is_closed"] and each["interval"] == "1m"]
