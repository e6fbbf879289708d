"""`data-collector demo`: the whole service on embedded parts, no network needed."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import aiohttp
import msgspec
import typer
from msgspec import Struct

from data_collector.api import serve
from data_collector.cli.welcome import welcome
from data_collector.embedded.peer import free_port, is_port_free
from data_collector.model.errors import Misconfigured, Unavailable
from data_collector.observe.logs import configure_logs
from data_collector.settings import load_settings

FOLDER = "demo"
SEED = 7
WS_PORT = 19443
REST_PORT = 19080
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 5.0


class DemoMarket(Struct):
    """What makes the simulated market the same again; kept in the data folder."""

    start_ms: int
    ws_port: int
    rest_port: int
    seed: int = SEED


KeepOption = Annotated[bool, typer.Option(help="Go on with the market and the data of the last demo.")]
RateOption = Annotated[float, typer.Option(min=0.1, help="Mean trades per symbol and second.")]


def demo(*, keep: KeepOption = False, trades_per_s: RateOption = 10.0) -> None:
    """Run everything on embedded parts: simulated exchange, store, collector and API. Needs no network.

    Data is under VAR_DIR/demo and starts empty each time, unless --keep is given. SYMBOLS, INTERVALS, CHANNELS and
    PORT are obeyed; REDIS_URL and the exchange's addresses are not.
    """
    configure_logs()
    environment = {name: value for name, value in os.environ.items() if name not in {"REDIS_URL", "REDIS_URL_FILE"}}
    # An empty value also hides the one of a .env file.
    environment["REDIS_URL"] = ""
    folder = load_settings(environment).var_dir / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    market = _market(folder) if keep else None
    with _simulator(folder, market, trades_per_s) as (ws_url, rest_url):
        environment |= {"BINANCE_WS_URL": ws_url, "BINANCE_REST_URL": rest_url}
        settings = load_settings(environment)
        # Not the address: a kept market may come back at other ports.
        source = f"the simulated market {_market(folder).start_ms}"
        command = [sys.executable, "-m", "data_collector", "collect", "--folder", FOLDER, "--source", source]
        ending = (
            f"The market is simulated and seeded. Data is in {folder}; the next demo starts empty, `--keep` goes on.\n"
            "Ctrl-C ends everything."
        )
        code = serve(
            settings,
            announce=lambda url, snapshot: print(welcome(url, snapshot, settings, ending=ending), flush=True),
            collector_command=command if keep else [*command, "--empty"],
            collector_environment=environment,
        )
    raise typer.Exit(code)


def _market(folder: Path) -> DemoMarket:
    try:
        return msgspec.json.decode((folder / "market.json").read_bytes(), type=DemoMarket)
    except FileNotFoundError as error:
        raise Misconfigured(f"There is no earlier demo in {folder} to keep; leave out --keep once.") from error
    except msgspec.MsgspecError as error:
        raise Misconfigured(f"{folder / 'market.json'} cannot be read ({error}); leave out --keep once.") from error


@contextmanager
def _simulator(folder: Path, kept: DemoMarket | None, trades_per_s: float) -> Iterator[tuple[str, str]]:
    """Runs the exchange as a process of its own; yields its two addresses."""
    market = kept or DemoMarket(int(time.time() * 1000), *_free_ports())
    port_file = folder / "simulator.json"
    port_file.unlink(missing_ok=True)
    # A session of its own: Ctrl-C must reach the collector first, and it hears of the end from us.
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
        [
            sys.executable, "-m", "data_collector", "simulate", "--exit-with-parent", "--parent", str(os.getpid()),
            "--port-file", str(port_file), "--seed", str(market.seed), "--start-ms", str(market.start_ms),
            "--trades-per-s", str(trades_per_s), "--ws-port", str(market.ws_port), "--rest-port", str(market.rest_port),
        ],
        start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        addresses = _await_ports(process, port_file)
        if kept is None:
            (folder / "market.json").write_bytes(msgspec.json.encode(market))
        else:
            print("Bringing the kept market up to the present …", flush=True)
            asyncio.run(_advance(addresses[1], int(time.time() * 1000) - market.start_ms))
        yield addresses
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_ports(process: subprocess.Popen[bytes], port_file: Path) -> tuple[str, str]:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not port_file.exists():
        if process.poll() is not None:
            raise Unavailable("The simulated exchange ended at once; its reason stands above.")
        if time.monotonic() > deadline:
            raise Unavailable(f"The simulated exchange did not start within {START_TIMEOUT_S:.0f} s.")
        time.sleep(0.05)
    ports = json.loads(port_file.read_text())
    return ports["ws_url"], ports["rest_url"]


async def _advance(rest_url: str, milliseconds: int) -> None:
    body = {"action": "advance", "milliseconds": milliseconds}
    async with aiohttp.ClientSession() as session, session.post(f"{rest_url}/simulator/actions", json=body) as answer:
        if answer.status != 200:
            raise Unavailable(f"The simulated exchange cannot go on: {await answer.text()}")


def _free_ports() -> tuple[int, int]:
    """The usual ports when both are free, else any: a kept demo must find its exchange where it was."""
    if is_port_free(WS_PORT) and is_port_free(REST_PORT):
        return WS_PORT, REST_PORT
    return free_port(), free_port()
