"""The whole service as users start it, collecting from a simulated exchange, for a browser to look at."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_collector.embedded.peer import free_port
from tests.integration.processes import Exchange, end, end_embedded_server, exchange, get_json, variables
from tests.integration.waiting import until

READY_DEADLINE_S = 60.0


@contextmanager
def serving(folder: Path, market: Exchange, port: int, **settings: str) -> Iterator[str]:
    """The address of a service that is ready, with its own store in `folder`; started again, it goes on there."""
    folder.mkdir(exist_ok=True)
    log = folder / "service.log"
    with log.open("a") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "data_collector", "run"], cwd=folder,
            env=variables(folder, market, port=str(port), **settings), stdout=output, stderr=output,
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}/"
    try:
        until(lambda: is_ready(url), "a ready service", deadline_s=READY_DEADLINE_S, output=log.read_text)
        yield url
    finally:
        end(process)
        end_embedded_server(folder)


@contextmanager
def three_exchanges(folder: Path) -> Iterator[str]:
    """The address of a service that collects one market from three of them."""
    protocols = [word for name in ("binance", "kraken", "coinbase") for word in ("--exchange", name)]
    with exchange(folder, *protocols, "--trades-per-s", "20", symbols="BTCUSDT,BTCUSD", past=()) as market:
        ports = json.loads((folder / "ports.json").read_text())
        addresses = {name: url for name, url in ports.items() if name.startswith(("kraken_", "coinbase_"))}
        settings = addresses | {
            "exchanges": "binance,kraken,coinbase", "symbols": "BTCUSDT", "kraken_symbols": "BTC/USD",
            "coinbase_symbols": "BTC-USD",
        }  # fmt: skip
        with serving(folder / "service", market, free_port(), **settings) as url:
            yield url


def is_ready(url: str) -> bool:
    try:
        return get_json(f"{url}health/ready")["status"] == "ready"
    except OSError:
        return False
