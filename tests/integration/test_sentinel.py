"""The client on a store behind Sentinel, which it is given as redis-py's own client: it goes on over a fail-over."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from data_collector.embedded.binary import server_binary
from data_collector.embedded.peer import free_port
from data_collector.model.wire import json_text, kline_json
from tests.docs.tree import ROOT
from tests.integration.store_reader import Store
from tests.integration.waiting import until
from tests.market import SYMBOL, kline

PROGRAM = """
import sys
from redis.sentinel import Sentinel
from data_collector.client import Client

store = Sentinel([("127.0.0.1", int(sys.argv[1]))]).master_for("market")
with Client(store, api="", database="") as client, client.live("BTCUSDT:1m", start="earliest") as live:
    for candle in live:
        print(candle.timestamp.isoformat(), flush=True)
"""
STREAM = f"stream:{SYMBOL}"


class Guarded:
    """A primary, its replica, and a Sentinel that makes the one of the other."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.sentinel_port = free_port()
        self._folder = folder
        self._stack = stack
        ports = free_port(), free_port()
        self._process = self._started("--port", str(ports[0]), "--save", "")
        self._started("--port", str(ports[1]), "--save", "", "--replicaof", f"127.0.0.1 {ports[0]}")
        self.primary, self.replica = (self._at(port) for port in ports)
        # Sentinel looks when it starts, and then not for long.
        until(lambda: "'connected_slaves': 1" in str(self.primary.ask("INFO", "replication")), "a replica")
        settings = folder / "sentinel.conf"
        settings.write_text(
            f"port {self.sentinel_port}\nsentinel monitor market 127.0.0.1 {ports[0]} 1\n"
            "sentinel down-after-milliseconds market 500\nsentinel failover-timeout market 2000\n"
        )
        self._started(str(settings), "--sentinel")
        sentinel = self._at(self.sentinel_port)
        until(lambda: "'slaves': 1" in str(sentinel.ask("INFO", "sentinel")), "a replica that Sentinel knows")

    def _started(self, *words: str) -> subprocess.Popen[bytes]:
        command: list[str | Path] = [server_binary(), *words, "--dir", str(self._folder), "--bind", "127.0.0.1"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        return process

    def _at(self, port: int) -> Store:
        server = Store(f"redis://127.0.0.1:{port}")
        self._stack.callback(server.close)
        until(server.answers, "an answer of a server")
        return server

    def fail_over(self) -> None:
        """The replica is the primary then, and has all that the other had."""
        until(lambda: self.replica.length(STREAM) == self.primary.length(STREAM), "a copy")
        self._process.kill()
        until(lambda: "'role': 'master'" in str(self.replica.ask("INFO", "replication")), "another primary")


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    with ExitStack() as stack:
        yield Guarded(tmp_path, stack)


def write(store: Store, minute: int) -> None:
    store.ask("XADD", STREAM, "*", "data", kline_json(kline(minute), json_text(SYMBOL)))


def test_live_reader_of_a_store_behind_sentinel_goes_on_over_a_fail_over(guarded: Guarded) -> None:
    write(guarded.primary, 0)
    words = [sys.executable, "-c", PROGRAM, str(guarded.sentinel_port)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None, "it is a pipe"
        try:
            assert reader.stdout.readline() == "2024-01-01T12:00:00+00:00\n"
            guarded.fail_over()
            write(guarded.replica, 1)
            assert reader.stdout.readline() == "2024-01-01T12:01:00+00:00\n"
        finally:
            reader.kill()
