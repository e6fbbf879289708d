"""`data-collector simulate` as a process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import aiohttp
import pytest

from tests.integration.simulator.client import DEADLINE_S
from tests.integration.waiting import until_async

SIMULATE = (sys.executable, "-m", "data_collector", "simulate", "--ws-port", "0", "--rest-port", "0")


def told_in(port_file: Path) -> dict[str, str]:
    told = json.loads(port_file.read_text())
    return {name: str(value) for name, value in told.items()}


async def launch(*arguments: str) -> Process:
    return await asyncio.create_subprocess_exec(*SIMULATE, *arguments, stdout=PIPE, stderr=PIPE)


async def launch_and_wait(port_file: Path, *arguments: str) -> tuple[Process, dict[str, str]]:
    command = await launch("--port-file", str(port_file), *arguments)
    await until_async(port_file.exists)
    return command, told_in(port_file)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_tells_where_it_listens_and_ends_cleanly_on_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    command, ports = await launch_and_wait(tmp_path / "ports.json", "--symbols", "btcusdt, ethusdt")
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(ports["ws_url"] + "/ws/btcusdt@trade") as stream,
        session.get(ports["rest_url"] + "/api/v3/exchangeInfo") as answer,
    ):
        listed = [symbol["symbol"] for symbol in (await answer.json())["symbols"]]
        trade = (await asyncio.wait_for(stream.receive(), DEADLINE_S)).json()
        command.send_signal(number)
        out, err = await asyncio.wait_for(command.communicate(), DEADLINE_S)

    assert listed == ["BTCUSDT", "ETHUSDT"]
    assert trade["e"] == "trade"
    assert f"export BINANCE_WS_URL={ports['ws_url']}" in out.decode()
    assert f"export BINANCE_REST_URL={ports['rest_url']}" in out.decode()
    assert (command.returncode, err.decode()) == (0, "")


async def test_several_exchanges_tell_one_market_each_at_its_own_ports(tmp_path: Path) -> None:
    command, ports = await launch_and_wait(
        tmp_path / "ports.json", "--exchange", "binance", "--exchange", "kraken", "--symbols", "BTC/USD", "--seed", "3"
    )
    async with (
        aiohttp.ClientSession() as session,
        session.get(ports["binance_rest_url"] + "/api/v3/exchangeInfo") as first,
        session.get(ports["kraken_rest_url"] + "/0/public/AssetPairs") as second,
    ):
        names = [symbol["symbol"] for symbol in (await first.json())["symbols"]], list((await second.json())["result"])
        command.send_signal(signal.SIGTERM)
        out, _ = await asyncio.wait_for(command.communicate(), DEADLINE_S)

    assert names == (["BTCUSD"], ["XXBTZUSD"])
    assert ports["ws_url"] == ports["binance_ws_url"]
    assert f"export EXCHANGES=kraken\n  export KRAKEN_WS_URL={ports['kraken_ws_url']}" in out.decode()


async def test_an_exchange_that_is_not_shipped_is_one_sentence() -> None:
    command = await launch("--exchange", "nowhere")
    _, err = await asyncio.wait_for(command.communicate(), DEADLINE_S)

    assert command.returncode == 78
    assert "no exchange named 'nowhere'" in err.decode()


@pytest.mark.parametrize("option", ["--ws-port", "--rest-port"])
async def test_a_taken_port_is_one_sentence_and_an_exit_code(option: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = await launch(option, str(taken.getsockname()[1]))
        _, err = await asyncio.wait_for(command.communicate(), DEADLINE_S)

    assert command.returncode == 78
    assert "cannot listen" in err.decode()
    assert "--ws-port" in err.decode()
    assert "Traceback" not in err.decode()


@pytest.mark.parametrize("arguments", [("--tls-cert", "nothing.pem"), ("--tls-cert", "no.pem", "--tls-key", "no.pem")])
async def test_useless_certificates_are_one_sentence_and_an_exit_code(arguments: tuple[str, ...]) -> None:
    command = await launch(*arguments)
    _, err = await asyncio.wait_for(command.communicate(), DEADLINE_S)

    assert command.returncode == 78
    assert "tls" in err.decode().lower() or "certificate" in err.decode()
    assert "Traceback" not in err.decode()


async def test_it_ends_with_its_parent_when_told_to(tmp_path: Path) -> None:
    port_file = tmp_path / "ports.json"
    arguments = [*SIMULATE, "--port-file", str(port_file), "--exit-with-parent"]
    program = f"import subprocess, sys, time; subprocess.Popen({arguments!r}); time.sleep(600)"
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=PIPE)
    await until_async(port_file.exists)
    pid = int(told_in(port_file)["pid"])

    parent.kill()
    await parent.wait()

    # The pipe ends when the last process that holds it has ended.
    assert parent.stdout is not None
    await asyncio.wait_for(parent.stdout.read(), DEADLINE_S)
    await until_async(lambda: not _is_alive(pid))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    # An orphan that nobody reaps is dead all the same.
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
