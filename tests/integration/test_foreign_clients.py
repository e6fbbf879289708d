"""Clients that know nothing of us take trades and klines from the simulated exchange: the proof that it is honest.

Each lives in a virtual environment of its own under `.venv-foreign/`, made on the first run. The simulator runs as
a process; what a client received is held against what the simulator's REST side and tape say was sent.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import TypedDict

import pytest

from tests.foreign.collected import CANDLES_ENOUGH, INTERVAL, SYMBOL, TRADES_ENOUGH
from tests.foreign.environments import environment_of, newer_python

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
CLIENTS = ("python_binance", "binance_sdk", "unicorn", "ccxt_pro", "cryptofeed_feed", "ccxt_kraken", "ccxt_coinbase")
EXCHANGES = {"ccxt_kraken": "kraken", "ccxt_coinbase": "coinbase", "cryptofeed_kraken": "kraken"}
"""Whose client each is; of the first exchange but for these. The truth is asked of the first one by all."""
ENVIRONMENTS = {client: "ccxt_pro" if client in EXCHANGES else client for client in CLIENTS}
TLS_CLIENTS = ("cryptofeed_feed", "cryptofeed_kraken")
"""cryptofeed refuses addresses that do not begin with wss."""
AGGREGATE_CLIENTS = ("cryptofeed_feed",)
"""cryptofeed subscribes to aggregates when it is asked for trades."""

ENVIRONMENTS_AT_ONCE = 2
CLIENT_TIMEOUT_S = 120
LISTEN_TIMEOUT_S = 60
PAGE = 1000

# Thirty times real time: a one-minute candle closes every two seconds. Pings come often, to see them answered.
SIMULATE = ("simulate", "--ws-port", "0", "--rest-port", "0", "--speed", "30", "--trades-per-s", "2",
            "--ping-interval-s", "1", "--pong-timeout-s", "30", "--symbols", f"{SYMBOL},ETHUSDT",
            "--exchange", "binance", "--exchange", "kraken", "--exchange", "coinbase")  # fmt: skip


class Received(TypedDict):
    """What `tests.foreign.collected` wrote."""

    trades: list[dict[str, object]]
    klines: list[dict[str, object]]


@pytest.fixture(scope="module")
def environments() -> dict[str, Path]:
    """The Python of each client's environment."""
    with ThreadPoolExecutor(ENVIRONMENTS_AT_ONCE) as workers:
        names = sorted(set(ENVIRONMENTS.values()))
        made = dict(zip(names, workers.map(environment_of, names), strict=True))
    return {client: made[name] for client, name in ENVIRONMENTS.items()}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost and its key, made now."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


class Exchange:
    """A simulator process and the truth that it tells."""

    def __init__(self, ports: dict[str, str], client: str, certificate: Path) -> None:
        self.rest_url = ports["rest_url"]
        exchange = EXCHANGES.get(client, "binance")
        self.of_client = ports[f"{exchange}_rest_url"], ports[f"{exchange}_ws_url"]
        self._context = ssl.create_default_context(cafile=str(certificate))

    def get(self, path: str) -> list[dict[str, object]]:
        context = self._context if self.rest_url.startswith("https") else None
        url = self.rest_url + path
        with urllib.request.urlopen(url, context=context, timeout=30) as answer:  # noqa: S310 - our own process
            body = json.load(answer)
        assert isinstance(body, list)
        return body


@pytest.fixture
def exchange(client: str, certificate: tuple[Path, Path], tmp_path: Path) -> Iterator[Exchange]:
    port_file = tmp_path / "ports.json"
    tls = ["--tls-cert", str(certificate[0]), "--tls-key", str(certificate[1])] if client in TLS_CLIENTS else []
    command = [sys.executable, "-m", "data_collector", *SIMULATE, "--port-file", str(port_file), *tls]
    with (tmp_path / "simulator.log").open("w") as log:
        running = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
    try:
        deadline_s = time.monotonic() + LISTEN_TIMEOUT_S
        while not port_file.exists():
            assert running.poll() is None, (tmp_path / "simulator.log").read_text()
            assert time.monotonic() < deadline_s, "the simulator does not listen"
            time.sleep(0.05)
        ports = json.loads(port_file.read_text())
        yield Exchange(ports, client, certificate[0])
    finally:
        running.terminate()
        assert running.wait(30) == 0


@pytest.mark.parametrize("client", CLIENTS)
def test_foreign_client_receives_what_the_simulator_sent(
    client: str, environments: dict[str, Path], exchange: Exchange, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    assert_receives(client, environments[client], exchange, certificate[0], tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("client", ["cryptofeed_kraken"])
def test_client_that_needs_a_newer_python_receives_what_the_simulator_sent(
    client: str, exchange: Exchange, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    newer = newer_python(13)
    if newer is None:
        pytest.skip("cryptofeed 3 needs Python 3.13, and there is none")
    assert_receives(client, environment_of(client, made_by=newer), exchange, certificate[0], tmp_path)


def assert_receives(client: str, python: Path, exchange: Exchange, certificate: Path, folder: Path) -> None:
    out = folder / "received.json"
    program: list[str | Path] = [
        python,
        "-m",
        f"tests.foreign.{client}",
        *exchange.of_client,
        out,
    ]
    trusted = dict.fromkeys(("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"), str(certificate))
    surroundings = {**os.environ, **trusted, "HOME": str(folder)}

    done = subprocess.run(
        program, cwd=ROOT, env=surroundings, capture_output=True, text=True, timeout=CLIENT_TIMEOUT_S, check=False
    )

    assert done.returncode == 0, done.stderr
    received: Received = json.loads(out.read_text())
    assert_trades(received["trades"], exchange, aggregates=client in AGGREGATE_CLIENTS)
    assert_klines(received["klines"], exchange)


def assert_trades(received: list[dict[str, object]], exchange: Exchange, *, aggregates: bool) -> None:
    """No trade is missing, doubled or changed between the first and the last."""
    assert len(received) >= TRADES_ENOUGH
    path = "aggTrades" if aggregates else "historicalTrades"
    names = ("a", "p", "q", "T", "m") if aggregates else ("id", "price", "qty", "time", "isBuyerMaker")
    sent: list[tuple[object, ...]] = []
    next_id = int(str(received[0]["id"]))
    while len(sent) < len(received):
        page = exchange.get(f"/api/v3/{path}?symbol={SYMBOL}&fromId={next_id}&limit={PAGE}")
        assert page, "the client must not know more than there is"
        sent += [tuple(row[name] for name in names) for row in page]
        next_id = int(str(sent[-1][0])) + 1

    for trade, (number, price, quantity, time_ms, taker_sold) in zip(received, sent, strict=False):
        assert (trade["id"], trade["time_ms"], trade["taker_sold"]) == (number, time_ms, taker_sold)
        assert Decimal(str(trade["price"])) == Decimal(str(price))
        assert Decimal(str(trade["quantity"])) == Decimal(str(quantity))


def assert_klines(received: list[dict[str, object]], exchange: Exchange) -> None:
    """The last state of every candle but the newest is its final one, in the simulator and in its REST answers."""
    final = {int(str(kline["open_ms"])): kline["amounts"] for kline in received}
    assert len(final) >= CANDLES_ENOUGH
    del final[max(final)]
    first, last = min(final), max(final)
    rows = exchange.get(f"/api/v3/klines?symbol={SYMBOL}&interval={INTERVAL}&startTime={first}&endTime={last}")
    by_open = {int(str(row[0])): row[1:6] for row in map(list, rows)}
    told = {kline["open_ms"]: kline for kline in exchange.get(f"/simulator/klines?symbol={SYMBOL}&interval={INTERVAL}")}

    for open_ms, amounts in final.items():
        assert isinstance(amounts, list)
        truth = [told[open_ms][name] for name in ("open", "high", "low", "close", "volume")]
        assert by_open[open_ms] == truth
        assert [Decimal(amount) for amount in amounts] == [Decimal(str(amount)) for amount in truth]
