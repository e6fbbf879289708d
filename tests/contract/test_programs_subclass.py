"""The contract's class to subclass (section 5): own hooks, another exchange, and what a user's faults do."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector import BinanceDataCollector
from data_collector.model.errors import Misconfigured
from tests.integration.exactness import KLINE_KEYS, TRADE_KEYS
from tests.integration.processes import Exchange, exchange, variables
from tests.integration.waiting import DEADLINE_S

SUBCLASS = """
import asyncio, json
from collector import BinanceDataCollector

seen = {}

def keep(name, data):
    seen.setdefault(name, {key: [type(value).__name__, str(value)] for key, value in data.items()})

class MyCollector(BinanceDataCollector):
    async def on_kline(self, data: dict) -> None:
        keep("kline", data)

    async def on_trade(self, data: dict) -> None:
        keep("trade", data)

    async def on_ticker(self, data: dict) -> None:
        keep("ticker", data)

    async def store_in_postgres(self, data: dict) -> None:
        keep("closed", data)

async def main() -> None:
    collector = MyCollector()
    await collector.start()
    while len(seen) < 4:
        await asyncio.sleep(0.05)
    await collector.stop()
    assert collector.pg_pool is None
    print(json.dumps(seen))

asyncio.run(main())
"""


FAULTY = """
import asyncio
from collector import BinanceDataCollector

called = asyncio.Event()

class MyCollector(BinanceDataCollector):
    async def on_trade(self, data: dict) -> None:
        secret = "canary of a local variable"
        called.set()
        raise ValueError("a fault of the user's own")

async def main() -> None:
    collector = MyCollector()
    await collector.start()
    await called.wait()
    before = collector.status().messages_received
    while collector.status().messages_received < before + 10:
        await asyncio.sleep(0.05)
    await collector.stop()
    print("went on")

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """Half a minute of market time in a second, so that klines close."""
    with exchange(tmp_path_factory.mktemp("exchange"), "--speed", "30") as running:
        yield running


def test_subclass_gets_dicts_with_the_records_keys_and_decimals(tmp_path: Path, market: Exchange) -> None:
    program = tmp_path / "program.py"
    program.write_text(SUBCLASS)
    environment = variables(tmp_path / "var", market)

    ran = subprocess.run(
        [sys.executable, str(program)], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip

    assert ran.returncode == 0, ran.stderr
    seen = json.loads(ran.stdout.splitlines()[-1])
    assert list(seen["trade"]) == TRADE_KEYS
    assert list(seen["kline"]) == list(seen["closed"]) == KLINE_KEYS
    assert seen["closed"]["is_closed"] == ["bool", "True"]
    assert {seen["trade"][name][0] for name in ("price", "quantity")} == {"Decimal"}
    assert {seen["kline"][name][0] for name in KLINE_KEYS[3:8] + KLINE_KEYS[10:]} == {"Decimal"}
    assert seen["kline"]["trades"][0] == "int"
    assert (seen["ticker"]["price"][0], seen["ticker"]["volume"][0]) == ("Decimal", "Decimal")


def test_fault_in_a_hook_is_told_without_local_variables_and_stops_nothing(tmp_path: Path, market: Exchange) -> None:
    environment = variables(tmp_path / "var", market)

    ran = subprocess.run(
        [sys.executable, "-c", FAULTY], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip

    assert ran.returncode == 0, ran.stderr
    assert "went on" in ran.stdout
    assert "a fault of the user's own" in ran.stdout + ran.stderr
    # The line of the program that made it may be quoted; what it held may not.
    assert "locals" not in ran.stdout + ran.stderr


def test_exchange_that_is_not_shipped_yet_is_a_clear_refusal() -> None:
    class GoxDataCollector(BinanceDataCollector):
        exchange = "mtgox"

    with pytest.raises(Misconfigured, match=r"no exchange named 'mtgox'.*binance"):
        GoxDataCollector()


async def test_facade_raises_what_keeps_it_from_collecting(tmp_path: Path, market: Exchange) -> None:
    collector = BinanceDataCollector(
        symbols=["NOPEUSDT"], var_dir=tmp_path, binance_ws_url=market.ws_url, binance_rest_url=market.rest_url
    )

    with pytest.raises(Misconfigured, match="NOPEUSDT"):
        await asyncio.wait_for(collector.start(), DEADLINE_S)
