"""`data-collector redis`: what contract and README show with redis-cli, without it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from data_collector.model.store_url import StoreAddress
from tests.integration.command import embedded_store, finished, put, running


async def test_command_runs_against_the_embedded_store_that_runs(tmp_path: Path) -> None:
    async with embedded_store(tmp_path / "var") as store:
        await put(store.address, ("XADD", "stream:BTCUSDT", "1-1", "data", "{}"))

        ended = await finished(tmp_path, "redis", "XLEN", "stream:BTCUSDT")

    assert (ended.code, ended.output) == (0, "1\n")


async def test_json_form_tells_objects_from_lists(tmp_path: Path) -> None:
    async with embedded_store(tmp_path / "var") as store:
        await put(store.address, ("HSET", "latest:BTCUSDT", "symbol", "BTCUSDT", "price", "45180.50"))

        ended = await finished(tmp_path, "redis", "-u", store.address.whole, "--json", "HGETALL", "latest:BTCUSDT")

    assert json.loads(ended.output) == {"symbol": "BTCUSDT", "price": "45180.50"}


async def test_blocking_read_waits_for_the_next_entry(tmp_path: Path) -> None:
    async with embedded_store(tmp_path / "var") as store:
        words = ("redis", "XREAD", "BLOCK", "0", "STREAMS", "stream:BTCUSDT", "$")
        async with running(tmp_path, *words, REDIS_URL=store.address.whole) as process:
            await until_somebody_waits(store.address)
            await put(store.address, ("XADD", "stream:BTCUSDT", "7-1", "data", '{"a":1}'))
            async with asyncio.timeout(30):
                output, _ = await process.communicate()

    assert output.decode() == 'stream:BTCUSDT\n7-1\ndata\n{"a":1}\n'


async def until_somebody_waits(address: StoreAddress) -> None:
    for _ in range(600):
        if "blocked_clients:1" in str(await put(address, ("INFO", "clients"))):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("nobody waits for the stream")


async def test_words_with_dashes_belong_to_the_redis_command(tmp_path: Path) -> None:
    """And words that are no UTF-8 to none: that is told in a sentence."""
    async with embedded_store(tmp_path / "var"):
        ended = await finished(tmp_path, "redis", "XRANGE", "stream:X", "-", "+", "COUNT", "5")
        echoed = await finished(tmp_path, "redis", "ECHO", "--json")
        broken = [
            await finished(tmp_path, *command, "BTC\udcffUSDT")
            for command in (("redis", "XLEN"), ("quarantine", "list"))
        ]

    assert (ended.code, ended.output.strip()) == (0, "")
    assert echoed.output == "--json\n"
    assert [each.code for each in broken] == [78, 78]
    assert "write it in UTF-8" in broken[0].errors
    assert "cannot be a symbol" in broken[1].errors


async def test_refusal_of_the_server_is_an_exit_code(tmp_path: Path) -> None:
    async with embedded_store(tmp_path / "var"):
        ended = await finished(tmp_path, "redis", "NOSUCH")

    assert ended.code == 1
    assert "(error) ERR unknown command" in ended.errors


async def test_nothing_running_is_told_in_one_sentence(tmp_path: Path) -> None:
    ended = await finished(tmp_path, "redis", "PING")

    assert ended.code == 69
    assert "No store is running below var." in ended.errors
    assert "Traceback" not in ended.errors


async def test_store_that_is_away_is_told_without_its_password(tmp_path: Path) -> None:
    ended = await finished(tmp_path, "redis", "PING", REDIS_URL="redis://:c4n4ry#/@127.0.0.1:1")

    assert ended.code == 69
    assert "127.0.0.1:1 does not answer" in ended.errors
    assert "c4n4ry" not in ended.errors + ended.output


async def test_endless_commands_are_refused(tmp_path: Path) -> None:
    ended = await finished(tmp_path, "redis", "monitor")

    assert ended.code == 78
    assert "redis-cli" in ended.errors
