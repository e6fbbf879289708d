"""What a collector process that cannot work says at its end reaches whoever started it, and not its log alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import uvloop

from data_collector.api.collector import Collector
from tests.integration.processes import end_embedded_server, exchange, variables


@pytest.mark.parametrize("asks_every_s", [0.2, 3600.0])
def test_symbol_that_the_exchange_does_not_list_is_told_by_the_starter(tmp_path: Path, asks_every_s: float) -> None:
    async def ended(environment: dict[str, str]) -> Collector:
        collector = Collector(None, environment)
        await collector.start()
        running = asyncio.create_task(collector.run())
        while not running.done():
            await collector.status()
            await asyncio.wait({running}, timeout=asks_every_s)
        return collector

    with exchange(tmp_path / "market", symbols="BTCUSDT") as market:
        try:
            # As the HTTP process has it.
            collector = uvloop.run(ended(variables(tmp_path / "var", market, symbols="BTCUSDT,NOSUCH")))
        finally:
            end_embedded_server(tmp_path / "var")

    assert collector.exit_code == 78
    assert collector.fault == (
        "The collector process has ended with exit code 78: SYMBOLS: binance does not list NOSUCH. Names are the "
        "exchange's own, such as BTCUSDT."
    )
