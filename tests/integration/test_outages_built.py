"""A start after an outage that is longer than the candles which the exchange's REST side gives."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from data_collector.model.calendar import HOUR_MS, MINUTE_MS
from data_collector.simulator import Simulator, SimulatorSettings
from data_collector.venues.discovery import find_speaker, find_venue
from tests.integration.exactness import iso
from tests.integration.scene import START_MS, Scene, playing
from tests.integration.store_reader import Store, parsed
from tests.integration.waiting import until_async

RARE = SimulatorSettings(
    driven=True, start_ms=START_MS, symbols=("BTCUSD",), trades_per_s=0.05, enforce_limits=False
)  # fmt: skip
"""A trade in twenty seconds: many minutes are quiet."""


@pytest.mark.parametrize(("exchange", "hours"), [("kraken", 13), ("coinbase", 7)])
async def test_candles_of_an_outage_are_made_of_its_trades(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch, exchange: str, hours: int
) -> None:
    """Hours that begin before what REST has: the trades come by their ids, and no minute is called absent.

    Of Kraken REST has 12 hours. Coinbase's tells five in an answer, and leaves quiet minutes out.
    """
    monkeypatch.setattr(f"data_collector.venues.{exchange}.rest.PAUSE_S", 0.01)
    venue = find_venue(exchange)
    store.prefix, symbol = venue.key_prefix, venue.default_symbols[0]
    simulator = Simulator(RARE, [find_speaker(exchange)])
    async with playing(
        store, folder, simulator=simulator, exchange=venue, symbols=(symbol,), catch_up_seconds="86400"
    ) as scene:
        await followed(scene)
        await scene.collector.stop()
        simulator.advance(hours * HOUR_MS)
        async with playing(
            store, folder, exchange=venue, symbols=(symbol,), beside=scene, catch_up_seconds="86400"
        ) as again:
            await followed(again)

            times, records = zip(*minutes(store, symbol), strict=True)
            first_ms = round(datetime.fromisoformat(times[0]).timestamp() * 1000)
            assert list(times) == [iso(first_ms + at * MINUTE_MS, digits="seconds") for at in range(len(times))]
            assert len(times) > hours * 60
            truth = {iso(each.open_ms, digits="seconds"): each for each in simulator.closed_klines(symbol, "1m")}
            for time, record in zip(times, records, strict=True):
                if record["trades"]:
                    assert Decimal(str(record["volume"])) == Decimal(truth[str(time)].volume)
                    assert record["trades"] == truth[str(time)].trades
            assert store.entries(f"gaps:{symbol}") == []


async def followed(scene: Scene) -> None:
    """Some minutes pass, and what has ended is stored."""
    (symbol,) = scene.symbols
    for _ in range(6):
        scene.simulator.advance(MINUTE_MS // 2)
        await until_async(partial(_has_all, scene, symbol), "trades")
    ended = iso(scene.simulator.market.now_ms // MINUTE_MS * MINUTE_MS - 2 * MINUTE_MS, digits="seconds")
    await until_async(lambda: ended in [time for time, _ in minutes(scene.store, symbol)], "the candle of a minute")


def _has_all(scene: Scene, symbol: str) -> bool:
    return scene.store.tail_id(symbol) >= scene.simulator.tape(symbol)[-1].trade_id


def minutes(store: Store, symbol: str) -> list[tuple[str, dict[str, object]]]:
    """Closed candles of a minute."""
    found = [parsed(entry["fields"]["data"]) for entry in store.entries(f"stream:{symbol}")]
    return [(str(each["timestamp"]), each) for each in found if each["is_closed"] and each["interval"] == "1m"]
