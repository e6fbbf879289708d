"""A store that is wiped and a collector that is killed: what is stored afterwards is the market again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from data_collector.model.venue import Venue
from data_collector.simulator import Simulator
from tests.conformance.worlds import (
    MINUTE_MS,
    assert_klines_exact,
    assert_trades_exact,
    collecting,
    klines_settled,
    klines_stored,
    market_of,
    symbols_of,
)
from tests.integration.processes import ROOT
from tests.integration.store_reader import Store
from tests.integration.waiting import until_async


@pytest.mark.usefixtures("hurried")
async def test_wiped_store_begins_anew_and_stays_exact(store: Store, folder: Path, venue: Venue) -> None:
    async with collecting(venue, store, folder, market_of(venue, trades_per_s=1.0)) as scene:
        await scene.subscribed()
        await scene.trade(3 * MINUTE_MS)
        store.ask("FLUSHALL")
        await scene.trade(2 * MINUTE_MS)
        await klines_settled(scene, venue)

        assert_trades_exact(scene)
        assert_klines_exact(scene, venue)
        scene.assert_counts_add_up()


@dataclass
class Market:
    """That of this process, which a collector in another one stores."""

    simulator: Simulator
    store: Store
    symbols: Sequence[str]

    async def settled(self) -> None:
        """After one more trade of each symbol, by which any hole is seen."""
        for symbol in self.symbols:
            await self.simulator.burst(symbol, 1)
        for symbol in self.symbols:
            newest_id = self.simulator.tape(symbol)[-1].trade_id
            await until_async(partial(self._is_stored, symbol, newest_id), f"trade {newest_id} of {symbol}")

    def _is_stored(self, symbol: str, trade_id: int) -> bool:
        return self.store.tail_id(symbol) == trade_id


@contextmanager
def collector(venue: Venue, market: Market, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process, which is killed at the end of the block."""
    address = market.simulator.addresses[venue.name]
    name = "" if venue.key_prefix == "" else f"{venue.name.upper()}_"
    environment = {
        "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "EXCHANGES": venue.name, "INTERVALS": "1m,5m",
        f"{name}SYMBOLS": ",".join(market.symbols), f"{venue.name.upper()}_WS_URL": address.ws_url,
        f"{venue.name.upper()}_REST_URL": address.rest_url, "REDIS_URL": market.store.url, "VAR_DIR": str(folder),
        "GX_AUDIT": "0",
    }  # fmt: skip
    with (folder / "collector.log").open("ab") as log:
        command = [sys.executable, "-m", "data_collector", "collect"]
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("kills", [1, pytest.param(5, marks=[pytest.mark.long, pytest.mark.timeout(600)])])
async def test_killed_collector_goes_on_where_it_was(store: Store, folder: Path, venue: Venue, kills: int) -> None:
    """Killed in the middle of a minute; the next one brings what was missed, and the minute is whole."""
    market = Market(market_of(venue, trades_per_s=0.5), store, symbols_of(venue))
    await market.simulator.start()
    try:
        for _ in range(kills):
            with collector(venue, market, folder):
                await until_async(lambda: len(market.simulator.connections()) == 1, "a connection")
                await until_async(lambda: any(one.streams for one in market.simulator.connections()), "streams")
                await market.settled()
                market.simulator.advance(190_000)
                await market.settled()
                market.simulator.advance(MINUTE_MS)
                await market.settled()
            market.simulator.advance(30_000)
            await market.simulator.burst(market.symbols[0], 40)
            await until_async(lambda: not market.simulator.connections(), "the end of the connection")
        with collector(venue, market, folder):
            await until_async(lambda: any(one.streams for one in market.simulator.connections()), "streams")
            await market.settled()
            market.simulator.advance(2 * MINUTE_MS)
            await market.settled()
            await klines_stored(market, venue)

            assert_trades_exact(market)
            assert_klines_exact(market, venue)
    finally:
        await market.simulator.stop()
