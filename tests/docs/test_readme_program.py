"""The Python program on the README's first screen does what it says, against a real store."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from data_collector.embedded.valkey import EmbeddedValkey
from data_collector.observe.logs import get_log
from tests.docs.tree import read

KLINE = {"interval": "1m", "timestamp": "2024-01-01T12:00:00+00:00", "close": 45180.5, "is_closed": True}
DEADLINE_S = 30


@pytest.fixture
async def store_url(tmp_path: Path) -> AsyncIterator[str]:
    store = EmbeddedValkey(tmp_path / "store", log=get_log(), port=0)
    await store.start()
    yield store.address.whole
    await store.stop()


async def test_it_prints_the_price_and_each_kline_that_arrives(store_url: str) -> None:
    found = re.search(r"```python\n(.*?)```", read("README.md"), flags=re.DOTALL)
    assert found is not None
    async with Redis.from_url(store_url) as store:
        await store.hset("latest:BTCUSDT", "price", "45180.50")
        program = await asyncio.create_subprocess_exec(
            sys.executable, "-u", "-c", found.group(1),
            env=os.environ | {"REDIS_URL": store_url}, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert program.stdout is not None

        try:
            async with asyncio.timeout(DEADLINE_S):
                price = await program.stdout.readline()
                arriving = asyncio.ensure_future(program.stdout.readline())
                # The program reads what arrives after it asked, and nobody tells when it has.
                while not arriving.done():
                    await store.xadd("stream:BTCUSDT", {"data": json.dumps(KLINE)})
                    await asyncio.wait([arriving], timeout=0.05)
        finally:
            program.kill()
            await program.wait()
    assert price.decode().split() == ["price", "45180.5"]
    assert arriving.result().decode().split() == ["1m", "2024-01-01T12:00:00+00:00", "45180.5", "True"]
