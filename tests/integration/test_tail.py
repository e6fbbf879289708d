"""`data-collector tail` against a real store: lines in a pipe, a screen on a terminal."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import sys
from pathlib import Path

from data_collector.model.store_url import StoreAddress
from data_collector.sinks.redis.connection import Command
from tests.integration.command import ROOT, command_environment, embedded_store, finished, put, running

DEADLINE_S = 30.0


def kline(minute: int, close: str, *, closed: bool, interval: str = "1m") -> Command:
    record = (
        f'{{"symbol":"BTCUSDT","timestamp":"2024-01-01T12:{minute:02}:00+00:00","interval":"{interval}","open":45123.45,'
        f'"high":45200.00,"low":45100.00,"close":{close},"volume":123.456,"trades":12,"is_closed":{json.dumps(closed)},'
        '"quote_volume":1.0,"taker_buy_base_volume":1.0,"taker_buy_quote_volume":1.0}'
    )
    return ("XADD", "stream:BTCUSDT", "*", "src", "ws", "data", record)


def trade(trade_id: int, price: str) -> Command:
    record = (
        f'{{"symbol":"BTCUSDT","timestamp":"2024-01-01T12:00:00.123+00:00","trade_id":{trade_id},"price":{price},'
        '"quantity":0.12300000,"buyer_order_id":null,"seller_order_id":null,"is_buyer_maker":false}'
    )
    return ("XADD", "trades:BTCUSDT", f"1704110400123-{trade_id}", "data", record)


LATEST: Command = ("HSET", "latest:BTCUSDT", "symbol", "BTCUSDT", "price", "45180.50", "volume", "9")


async def next_line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(DEADLINE_S):
        return (await process.stdout.readline()).decode().rstrip("\n")


async def test_pipe_gets_what_is_there_and_then_what_comes(tmp_path: Path) -> None:
    async with embedded_store(tmp_path / "var") as store:
        await put(store.address, LATEST, kline(0, "45180.50", closed=True), kline(0, "1.0", closed=True, interval="5m"))
        async with running(tmp_path, "tail", "btcusdt") as process:
            first = await next_line(process)
            await put(store.address, trade(1, "45181.00"), kline(1, "45190.10", closed=False))
            second = await next_line(process)

    assert first.startswith("BTCUSDT 1m 2024-01-01T12:00:00+00:00 open=45123.45")
    assert first.endswith("close=45180.50 volume=123.456 trades=12 closed")
    assert "12:01:00" in second
    assert second.endswith("close=45190.10 volume=123.456 trades=12 open")


async def test_trades_are_shown_when_asked_for(tmp_path: Path) -> None:
    async with embedded_store(tmp_path / "var") as store:
        await put(store.address, LATEST, trade(1, "45181.00"))
        async with running(tmp_path, "tail", "BTCUSDT", "--trades", REDIS_URL=store.address.whole) as process:
            first = await next_line(process)
            await put(store.address, trade(2, "45182.00"))
            second = await next_line(process)

    assert first == "BTCUSDT trade 2024-01-01T12:00:00.123+00:00 id=1 price=45181.00 quantity=0.12300000 buy"
    assert "id=2 price=45182.00" in second


async def test_symbol_of_another_exchange_is_read_from_its_own_keys(tmp_path: Path) -> None:
    async with embedded_store(tmp_path / "var") as store:
        await put(store.address, LATEST, trade(1, "1.00"))
        await put(store.address, *of_kraken(LATEST, trade(2, "2.00")))
        async with running(tmp_path, "tail", "btc/usd", "--trades", "--exchange", "kraken") as process:
            first = await next_line(process)
        ended = await finished(tmp_path, "tail", "BTCUSDT", "--exchange", "kraken")

    assert first.startswith("BTC/USD trade 2024-01-01T12:00:00.123+00:00 id=2 price=2.00")
    assert ended.code in {69, 78}, ended.errors


def of_kraken(*commands: Command) -> list[Command]:
    renamed = ([str(word).replace("BTCUSDT", "BTC/USD") for word in command] for command in commands)
    return [(name, f"kraken:{key}", *rest) for name, key, *rest in renamed]


async def test_symbols_of_two_exchanges_are_followed_in_one_call(tmp_path: Path) -> None:
    async with embedded_store(tmp_path / "var") as store:
        await put(store.address, LATEST, trade(1, "1.00"), *of_kraken(LATEST, trade(1, "1.50")))
        async with running(tmp_path, "tail", "btcusdt", "Kraken:btc/usd", "--trades") as process:
            begun = {(await next_line(process))[:24] for _ in range(2)}
            await put(store.address, *of_kraken(trade(2, "2.00")))
            third = await next_line(process)
            await put(store.address, trade(2, "3.00"))
            fourth = await next_line(process)

    assert begun == {"BTCUSDT trade 2024-01-01", "kraken:BTC/USD trade 202"}
    assert (third[:14], fourth[:7]) == ("kraken:BTC/USD", "BTCUSDT")
    assert ("price=2.00" in third, "price=3.00" in fourth) == (True, True)


async def test_the_exchange_that_is_meant_is_told_where_several_are_collected(tmp_path: Path) -> None:
    """One that contradicts the symbol is refused, and a name before the symbol chooses as the option does."""
    async with embedded_store(tmp_path / "var") as store:
        await put(store.address, *of_kraken(LATEST, trade(1, "1.50")))
        variables = {"EXCHANGES": "binance,kraken"}
        untold = await finished(tmp_path, "epoch", "BTCUSDT", **variables)
        named = await finished(tmp_path, "epoch", "kraken:btc/usd", **variables)
        option = await finished(
            tmp_path, "redis", "--exchange", "kraken", "EXISTS", "kraken:trades:BTC/USD", **variables
        )
        two = await finished(tmp_path, "epoch", "kraken:BTC/USD", "--exchange", "binance", **variables)

    assert untold.errors.startswith("Of binance, which EXCHANGES names first; --exchange chooses kraken.")
    assert (untold.code, "The store has no trades of BTCUSDT." in untold.errors) == (78, True)
    assert (named.code, named.output, named.errors) == (0, "BTC/USD: epoch 0\n", "")
    assert (option.code, option.output) == (0, "1\n")
    assert (two.code, two.errors.strip()) == (
        78, "binance and kraken are named, and this command is about one exchange.",
    )  # fmt: skip


async def test_interrupt_ends_it_quietly(tmp_path: Path) -> None:
    async with embedded_store(tmp_path / "var") as store:
        await put(store.address, LATEST, kline(0, "45180.50", closed=True))
        async with running(tmp_path, "tail", "BTCUSDT") as process:
            await next_line(process)
            process.send_signal(signal.SIGINT)
            async with asyncio.timeout(DEADLINE_S):
                _, errors = await process.communicate()

    assert process.returncode == 130
    assert errors == b""


async def test_reader_that_leaves_ends_it_quietly(tmp_path: Path) -> None:
    async with embedded_store(tmp_path / "var") as store:
        await put(store.address, LATEST, kline(0, "45180.50", closed=True))
        process = await asyncio.create_subprocess_shell(
            f"{sys.executable} -m data_collector tail BTCUSDT | head -1",
            cwd=tmp_path,
            env=command_environment(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        feeding = asyncio.create_task(keep_feeding(store.address.port))
        async with asyncio.timeout(DEADLINE_S):
            output, errors = await process.communicate()
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)

    assert output.count(b"\n") == 1
    assert b"Traceback" not in errors


async def keep_feeding(port: int) -> None:
    while True:
        await put(StoreAddress(host="127.0.0.1", port=port), kline(1, "45190.10", closed=False))
        await asyncio.sleep(0.1)


async def test_symbol_without_records_is_told_with_those_that_have_some(tmp_path: Path) -> None:
    async with embedded_store(tmp_path / "var") as store:
        await put(store.address, LATEST, ("XADD", "quarantine:ETHUSDT", "*", "data", "{}"))

        ended = await finished(tmp_path, "tail", "DOGEUSDT")
        refused = await finished(tmp_path, "tail", "ETHUSDT")

    assert (ended.code, refused.code) == (69, 69)
    assert "has nothing of ETHUSDT but what a rule refused: `data-collector quarantine list` says" in refused.errors
    assert "has nothing of DOGEUSDT. It has BTCUSDT." in ended.errors


async def test_interval_that_is_not_collected_is_told_with_those_that_are(tmp_path: Path) -> None:
    async with embedded_store(tmp_path / "var") as store:
        await put(store.address, kline(0, "1.0", closed=True, interval="5m"))
        async with running(tmp_path, "tail", "BTCUSDT", "--interval", "1m") as process:
            assert process.stderr is not None
            async with asyncio.timeout(DEADLINE_S):
                told = await process.stderr.readline()

    assert told == b"No 1m candle yet; the stream has 5m.\n"


async def test_store_that_goes_away_ends_it_with_a_sentence(tmp_path: Path) -> None:
    async with embedded_store(tmp_path / "var") as store:
        await put(store.address, LATEST, kline(0, "45180.50", closed=True))
        async with running(tmp_path, "tail", "BTCUSDT") as process:
            await next_line(process)
            await store.stop()
            async with asyncio.timeout(DEADLINE_S):
                _, errors = await process.communicate()

    assert process.returncode == 69
    assert b"has closed the connection" in errors
    assert b"Traceback" not in errors


async def test_terminal_gets_a_screen(tmp_path: Path) -> None:
    async with embedded_store(tmp_path / "var") as store:
        await put(store.address, LATEST, kline(0, "45180.50", closed=True), trade(1, "45181.00"))
        ours, theirs = pty.openpty()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "data_collector", "tail", "BTCUSDT", "--trades"),
            cwd=tmp_path,
            env=command_environment(TERM="xterm", LINES="50", PYTHONPATH=str(ROOT)),
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        async with asyncio.timeout(DEADLINE_S):
            shown = await asyncio.to_thread(read_until, ours, b"Ctrl-C ends")
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(DEADLINE_S):
            code = await process.wait()
        os.close(ours)

    assert code == 130
    for expected in ("BTCUSDT", "45180.50", "45200.00", "45181.00", "trade time"):
        assert expected in shown


def read_until(descriptor: int, end: bytes) -> str:
    shown = b""
    while end not in shown:
        shown += os.read(descriptor, 4096)
    return shown.decode(errors="replace")
