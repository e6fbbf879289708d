"""The contract's programs, run as they are written there (sections 3 and 5)."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from data_collector.embedded.peer import free_port
from tests.integration.exactness import KLINE_KEYS
from tests.integration.processes import (
    ROOT,
    Exchange,
    end_embedded_server,
    exchange,
    family,
    get_json,
    is_running,
    variables,
)
from tests.integration.store_reader import Store
from tests.integration.waiting import DEADLINE_S, until

READER = """
import json, redis
r = redis.from_url({url!r}, decode_responses=True, socket_timeout=None)
latest = r.hgetall("latest:BTCUSDT");  print(float(latest["price"]))
last = "$"
while True:
    for name, messages in r.xread({{"stream:BTCUSDT": last}}, block=0):
        for last, data in messages:
            kline = json.loads(data["data"])
            print(json.dumps(kline)); raise SystemExit
"""
"""The program of section 3; its last line is ours, because the contract's never ends."""

RELOAD_S = 5.0
"""The contract's: a reload stops and restarts everything in less."""


@dataclass
class Service:
    """A started service."""

    process: subprocess.Popen[bytes]
    url: str
    folder: Path
    log: Path
    started_in_s: float = 0.0

    def get(self, path: str) -> dict[str, object]:
        return get_json(self.url + path)

    def told(self) -> str:
        return self.log.read_text()

    def answers(self) -> bool:
        """Whether it can be asked."""
        try:
            return bool(self.get("/health"))
        except OSError:
            return False

    def is_collecting(self) -> bool:
        """Whether it answers and has received something."""
        return self.answers() and bool(self.get("/health")["messages_received"])

    def terminate(self) -> int:
        self.process.terminate()
        return self.process.wait(DEADLINE_S)


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """Half a minute of market time in a second, so that klines close."""
    with exchange(tmp_path_factory.mktemp("exchange"), "--speed", "30") as running:
        yield running


@contextmanager
def serving(
    folder: Path, market: Exchange, command: list[str], port: int, *, cwd: Path = ROOT, **settings: str
) -> Iterator[Service]:
    """The service, started as users do, once it answers; ended with the block, with nothing left running."""
    folder.mkdir(exist_ok=True)
    log = folder / "service.log"
    environment = variables(folder, market, port=str(port), **settings)
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=cwd, env=environment, stdout=output, stderr=output)
    service = Service(process, f"http://127.0.0.1:{port}", folder, log)
    began_s = time.monotonic()
    try:
        until(service.answers, "an answer", output=service.told)
        if "redis_url" not in settings:
            until(service.is_collecting, "a service that collects", output=service.told)
        service.started_in_s = time.monotonic() - began_s
        yield service
    finally:
        if process.poll() is None:
            service.terminate()
        end_embedded_server(folder)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, market: Exchange) -> Iterator[Service]:
    """`python api.py`, with the embedded store."""
    folder = tmp_path_factory.mktemp("var")
    with serving(folder, market, [sys.executable, "api.py"], free_port()) as running:
        yield running
        assert_ends_in_order(running)


def assert_ends_in_order(service: Service) -> None:
    """SIGTERM ends it with exit code 0 and with everything that it started."""
    children = family(service.process.pid)
    assert children

    assert service.terminate() == 0

    until(lambda: not any(map(is_running, children)), "the end of all children")
    assert "Traceback" not in service.told()


@pytest.fixture(scope="module")
def redis_url(service: Service) -> str:
    """What `/status` tells of the store."""
    url = service.get("/status")["redis_url"]
    assert isinstance(url, str)
    return url


def test_program_of_the_contract_reads_price_and_klines(redis_url: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", READER.format(url=redis_url)], capture_output=True, text=True, timeout=60, check=False
    )

    assert ran.returncode == 0, ran.stderr
    price, kline = ran.stdout.splitlines()
    assert float(price) > 0
    assert list(json.loads(kline)) == KLINE_KEYS


CLIENTS = {"data-collector redis": f"{sys.executable} -m data_collector redis"}
if shutil.which("redis-cli"):
    CLIENTS["redis-cli"] = "redis-cli"


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> str:
    """What stands for redis-cli."""
    return CLIENTS[request.param]


def shell(line: str, redis_url: str) -> str:
    """One line in a shell."""
    environment = {**os.environ, "REDIS_URL": redis_url, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(["sh", "-c", line], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_shell_line_waits_for_the_next_kline(redis_url: str, client: str) -> None:
    told = shell(f'{client} -u "$REDIS_URL" XREAD BLOCK 0 STREAMS stream:BTCUSDT $', redis_url)

    # Several come at once where the reader was slow.
    name, _, field, record = told.splitlines()[:4]
    assert (name, field) == ("stream:BTCUSDT", "data")
    assert json.loads(record)["symbol"] == "BTCUSDT"


def test_shell_line_counts_the_klines(redis_url: str, client: str) -> None:
    assert int(shell(f'{client} -u "$REDIS_URL" XLEN stream:BTCUSDT', redis_url)) > 0


def test_shell_line_prints_latest_as_json(redis_url: str, client: str) -> None:
    latest = json.loads(shell(f'{client} -u "$REDIS_URL" --json HGETALL latest:BTCUSDT', redis_url))

    assert latest["symbol"] == "BTCUSDT"
    assert float(latest["price"]) > 0


def test_shell_line_prints_memory(redis_url: str, client: str) -> None:
    assert "used_memory:" in shell(f'{client} -u "$REDIS_URL" INFO memory', redis_url)


def test_redis_command_finds_the_embedded_store_by_itself(service: Service) -> None:
    environment = {**os.environ, "VAR_DIR": str(service.folder), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "data_collector", "redis", "XLEN", "trades:BTCUSDT"]

    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)

    assert int(ran.stdout) > 0


def test_health_metrics_and_status_tell_of_the_running_collector(service: Service) -> None:
    health = until(lambda: h if (h := service.get("/health"))["status"] == "healthy" else None, "health")
    metrics, status = service.get("/metrics"), service.get("/status")

    assert health["collector_running"] is True
    assert metrics["symbols"] == status["symbols"] == ["BTCUSDT", "ETHUSDT"]
    received, validated, errors = (
        metrics[f"{name}"] for name in ("messages_received", "messages_validated", "validation_errors")
    )
    assert isinstance(received, int)
    assert isinstance(validated, int)
    assert isinstance(errors, int)
    assert received == validated + errors + int(str(metrics["messages_in_flight"]))
    assert "***" not in str(status["redis_url"])


def test_uvicorn_serves_the_same_service(tmp_path: Path, market: Exchange) -> None:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "api:app", "--port", str(port)]
    with serving(tmp_path / "var", market, command, port) as service:
        assert service.get("/status")["running"] is True
        children = family(service.process.pid)

        service.process.send_signal(signal.SIGINT)
        service.process.wait(DEADLINE_S)

        until(lambda: not any(map(is_running, children)), "the end of all children")
        assert "Traceback" not in service.told()


def test_uvicorn_reloads_everything_on_the_same_ports_in_five_seconds(tmp_path: Path, market: Exchange) -> None:
    port = free_port()
    shutil.copy(ROOT / "api.py", tmp_path)
    command = [sys.executable, "-m", "uvicorn", "api:app", "--reload", "--port", str(port)]
    with serving(tmp_path / "var", market, command, port, cwd=tmp_path) as service:
        # What REST tells is received before the stream is connected.
        since = until(lambda: since_of(service.get("/status")), "a connection", output=service.told)
        # Where a start alone takes long, because the machine is busy, a reload may take as much longer.
        deadline_s = max(RELOAD_S, 2 * service.started_in_s)
        store = Store(str(service.get("/status")["redis_url"]))
        until(lambda: store.length("trades:BTCUSDT"), "a trade", output=service.told)
        tail_id = store.tail_id("BTCUSDT")
        store.close()

        (tmp_path / "api.py").touch()

        until(lambda: _reloaded(service, since), "the service anew", deadline_s=deadline_s, output=service.told)
        store = Store(str(service.get("/status")["redis_url"]))
        until(lambda: store.tail_id("BTCUSDT") > tail_id, "further trades", output=service.told)
        ids = [int(str(record["trade_id"])) for record in store.records("trades:BTCUSDT")]
        # What was missed meanwhile has been asked of the exchange.
        assert tail_id in ids
        assert ids == list(range(ids[0], ids[-1] + 1))
        assert store.gaps("BTCUSDT", "trade") == []
        store.close()


@pytest.mark.slow
def test_several_workers_are_refused_with_a_sentence(tmp_path: Path, market: Exchange) -> None:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "api:app", "--workers", "2", "--port", str(port)]

    ran = subprocess.run(
        command, cwd=ROOT, env=variables(tmp_path, market), capture_output=True, text=True, timeout=60, check=False
    )

    assert "one process" in ran.stderr
    assert not (tmp_path / "live").exists()


@pytest.mark.parametrize("start", ["api.py", "uvicorn"])
def test_wrong_settings_end_every_start_with_one_message(tmp_path: Path, market: Exchange, start: str) -> None:
    command = [sys.executable, *(["api.py"] if start == "api.py" else ["-m", "uvicorn", "api:app"])]
    environment = variables(tmp_path, market, channels="everything", redis_url="ftp://x")

    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)

    assert ran.returncode == 78
    assert "Traceback" not in ran.stderr
    assert "CHANNELS" in ran.stderr
    assert "REDIS_URL" in ran.stderr


def test_taken_port_is_told_in_a_sentence(service: Service, tmp_path: Path, market: Exchange) -> None:
    port = service.url.rpartition(":")[2]
    environment = variables(tmp_path, market, port=port)

    ran = subprocess.run(
        [sys.executable, "api.py"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )

    assert ran.returncode == 69
    assert f"Port {port}" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "live").exists()


def test_service_answers_503_with_the_reason_while_it_waits_for_its_store(tmp_path: Path, market: Exchange) -> None:
    port, nowhere = free_port(), f"redis://:s3cret@127.0.0.1:{free_port()}"
    with serving(tmp_path / "var", market, [sys.executable, "api.py"], port, redis_url=nowhere) as service:
        place = nowhere.rpartition("@")[2]
        until(lambda: place in str(service.get("/health").get("reasons")), "the reason", output=service.told)

        with pytest.raises(urllib.error.HTTPError) as refusal:
            urllib.request.urlopen(f"{service.url}/health", timeout=DEADLINE_S)  # noqa: S310 - our own address
        assert refusal.value.code == 503
        refusal.value.close()
        health = service.get("/health")
        assert (health["status"], health["collector_running"]) == ("unhealthy", False)
        assert "s3cret" not in json.dumps(health) + json.dumps(service.get("/status")) + service.told()
        assert f'"page": "{service.url}/"' in service.told()
        assert "We wait for 60 s. Start that store, correct REDIS_URL, or unset REDIS_URL" in service.told()


def since_of(status: dict[str, object]) -> object:
    """When the first connection was made."""
    connections = status["connections"]
    assert isinstance(connections, list)
    return connections[0]["connected_since"]


def _reloaded(service: Service, since: object) -> bool:
    try:
        status = service.get("/status")
    except OSError:
        return False
    return bool(status["connections"]) and since_of(status) not in (None, since)
