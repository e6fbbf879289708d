"""Exchange and collector as processes of their own: for what ends a process, and for what is told at a start."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil

from data_collector.embedded.peer import free_port
from data_collector.embedded.postgres import EmbeddedPostgres
from data_collector.embedded.record import read_record
from data_collector.model.records import Kline, Trade
from data_collector.model.status import Snapshot
from data_collector.observe.logs import get_log
from tests.integration.store_reader import Store
from tests.integration.waiting import DEADLINE_S, until

ROOT = Path(__file__).parents[2]
COLLECT = (sys.executable, "-m", "data_collector", "collect", "--folder", "live")


@dataclass
class Ended:
    """What a process left behind."""

    code: int
    output: str


@dataclass
class Exchange:
    """A simulator as a process, asked over its own routes."""

    ws_url: str
    rest_url: str
    opener: urllib.request.OpenerDirector

    def trades(self, symbol: str) -> list[Trade]:
        return msgspec.json.decode(self._get(f"tape?symbol={symbol}"), type=list[Trade])

    def closed_klines(self, symbol: str, interval: str) -> list[Kline]:
        return msgspec.json.decode(self._get(f"klines?symbol={symbol}&interval={interval}"), type=list[Kline])

    def last_id(self, symbol: str) -> int:
        return self.trades(symbol)[-1].trade_id

    def now_ms(self) -> int:
        now_ms = json.loads(self._get("state"))["now_ms"]
        assert isinstance(now_ms, int)
        return now_ms

    def act(self, action: str, **arguments: object) -> None:
        self._post("actions", {"action": action, **arguments})

    def fault(self, **order: object) -> None:
        self._post("faults", order)

    def _get(self, path: str) -> bytes:
        with self.opener.open(f"{self.rest_url}/simulator/{path}", timeout=DEADLINE_S) as answer:
            body: bytes = answer.read()
        return body

    def _post(self, path: str, body: object) -> None:
        request = urllib.request.Request(  # noqa: S310 - the simulator's own address
            f"{self.rest_url}/simulator/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with self.opener.open(request, timeout=DEADLINE_S) as answer:
            assert answer.status == 200


SHORT_PAST = ("--history-days", "1", "--history-trades", "2000")
"""All of which is on the tape, so that whatever a collector brings can be compared with it."""


@contextmanager
def exchange(
    folder: Path,
    *options: str,
    symbols: str = "BTCUSDT,ETHUSDT",
    past: Sequence[str] = SHORT_PAST,
    opener: urllib.request.OpenerDirector | None = None,
) -> Iterator[Exchange]:
    """A simulator process; ended with the block."""
    folder.mkdir(exist_ok=True)
    ports = folder / "ports.json"
    ports.unlink(missing_ok=True)
    command = [
        sys.executable, "-m", "data_collector", "simulate", "--symbols", symbols, "--ws-port", "0", "--rest-port", "0",
        "--port-file", str(ports), "--exit-with-parent", *past, *options,
    ]  # fmt: skip
    with (folder / "exchange.log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    try:
        until(lambda: ports.exists() or process.poll() is not None, "the simulator's ports")
        told = json.loads(ports.read_text())
        yield Exchange(told["ws_url"], told["rest_url"], opener or urllib.request.build_opener())
    finally:
        end(process)


class CollectorProcess:
    """The collector's own process, on the control line of which we are the starter."""

    def __init__(self, folder: Path, exchange: Exchange, *, command: Sequence[str] = COLLECT, **settings: str) -> None:
        """VAR_DIR is `folder`; `settings` are variables in lower case."""
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.log = folder / f"collector-{len(list(folder.glob('collector-*')))}.log"
        self._line, theirs = socket.socketpair()
        self._line.settimeout(DEADLINE_S)
        if "redis_url" not in settings:
            _choose_store_port(folder / "live")
        environment = variables(folder, exchange, **settings)
        with theirs, self.log.open("w") as log:
            number = theirs.fileno()
            self.process = subprocess.Popen(
                [*command, "--control-fd", str(number)], cwd=folder, env=environment, pass_fds=(number,),
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    @property
    def output(self) -> str:
        """All that it wrote so far."""
        return self.log.read_text()

    def told(self) -> str:
        """The same, to be called when something has gone wrong."""
        return self.output

    def status(self) -> Snapshot:
        """Asked over the control line, as the HTTP side does."""
        self._line.sendall(_frame({"action": "status"}))
        length = int.from_bytes(self._read(4), "big")
        return msgspec.msgpack.decode(self._read(length), type=Snapshot)

    def embedded_store(self) -> Store:
        """A client of the embedded server."""
        record = until(lambda: read_record(self.folder / "live"), "a record of the store", output=self.told)
        store = Store(f"redis://{record.address.place}/0")
        until(store.answers, "an answer of the store", output=self.told)
        return store

    def hang_up(self) -> None:
        """Close the control line; a collector that still runs ends then."""
        self._line.close()

    def kill(self) -> None:
        """As the out-of-memory killer does."""
        self.process.kill()
        self.process.wait(DEADLINE_S)
        self._line.close()

    def terminate(self) -> int:
        """SIGTERM; the exit code."""
        self.process.terminate()
        return self.wait()

    def wait(self) -> int:
        """The exit code."""
        try:
            return self.process.wait(DEADLINE_S)
        finally:
            self._line.close()

    def _read(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            part = self._line.recv(count - len(found))
            assert part, f"the collector has hung up: {self.output}"
            found += part
        return found


@contextmanager
def collecting(
    folder: Path, exchange: Exchange, *, command: Sequence[str] = COLLECT, **settings: str
) -> Iterator[CollectorProcess]:
    """A collector that is ended with the block, if it still runs; its embedded store too."""
    collector = CollectorProcess(folder, exchange, command=command, **settings)
    try:
        yield collector
    finally:
        if collector.process.poll() is None:
            collector.terminate()
        collector.hang_up()


def end_embedded_server(folder: Path) -> None:
    """End a server that a killed collector has left behind."""
    record = read_record(folder / "live")
    if record is not None:
        try:
            os.kill(record.pid, signal.SIGTERM)
        except ProcessLookupError:
            return
        until(lambda: not is_running(record.pid), "the end of the server")


def end_embedded_postgres(folder: Path) -> None:
    """Stop and throw away what `folder` belongs to; where we are root that lies elsewhere."""
    server = EmbeddedPostgres(folder / "postgres", log=get_log())
    asyncio.run(server.empty())


def variables(folder: Path, exchange: Exchange, **settings: str) -> dict[str, str]:
    """The environment of a collector with these settings and no others."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "COVERAGE_PROCESS_START") if name in os.environ}
    defaults = {
        "symbols": "BTCUSDT,ETHUSDT",
        "intervals": "1m,5m",
        "var_dir": str(folder),
        "binance_ws_url": exchange.ws_url,
        "binance_rest_url": exchange.rest_url,
        "port": "0",
        # Each audit worker takes two seconds of a core to start; tests of the audit switch it on.
        "gx_audit": "0",
        # What these are told to wait for comes in a moment, and not after five minutes.
        "gx_audit_seconds": "1",
    }
    chosen = {name.upper(): value for name, value in {**defaults, **settings}.items()}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **chosen}


def get_json(url: str) -> dict[str, object]:
    """What an address of our own answers, whatever the status."""
    try:
        answer = urllib.request.urlopen(url, timeout=DEADLINE_S)  # noqa: S310 - our own address
    except urllib.error.HTTPError as refusal:
        answer = refusal
    with answer:
        body: dict[str, object] = json.load(answer)
    return body


def run_to_end(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Ended:
    """Run a program that ends by itself."""
    folder.mkdir(exist_ok=True)
    ended = subprocess.run(
        command, cwd=folder, env=dict(environment), capture_output=True, text=True, timeout=DEADLINE_S * 2, check=False
    )
    return Ended(ended.returncode, ended.stdout + ended.stderr)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end, then make it end."""
    process.terminate()
    try:
        process.wait(DEADLINE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def is_running(pid: int) -> bool:
    """True while the process exists and is no zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def family(pid: int) -> list[int]:
    """All that descends from a process."""
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def held_by(pid: int) -> set[str]:
    """All that a process has open by name: who waits for the end of one of these waits for it."""
    return {str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()}


def _choose_store_port(store_folder: Path) -> None:
    """Let the embedded store come up at a port that no other test's collector asks for in the same moment."""
    store_folder.mkdir(exist_ok=True)
    port_file = store_folder / "valkey.port"
    if not port_file.exists():
        port_file.write_text(str(free_port()))


def _frame(body: object) -> bytes:
    packed = msgspec.msgpack.encode(body)
    return len(packed).to_bytes(4, "big") + packed
