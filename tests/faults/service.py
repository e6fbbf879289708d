"""The whole service, API and collector, as `data-collector run` starts it."""

from __future__ import annotations

import http.client
import resource
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from data_collector.embedded.peer import free_port
from tests.faults.test_processes import SYMBOLS
from tests.integration.exactness import assert_trades_exact
from tests.integration.processes import Exchange, end, variables
from tests.integration.store_reader import Store
from tests.integration.waiting import DEADLINE_S, until
from tests.invariants.held import faults_at
from tests.invariants.lies import lies
from tests.invariants.said import said_by_service

NO_ANSWER = 0
"""In place of a status."""


@dataclass
class Api:
    """A service that runs, asked as any client asks."""

    port: int
    market: Exchange
    store: Store
    log: Path

    def told(self) -> str:
        """What it wrote."""
        return self.log.read_text()

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, str]:
        """Status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException):
            return NO_ANSWER, ""
        finally:
            connection.close()

    def metric(self, name: str) -> float:
        """A counter or gauge, over all labels; 0 while it does not answer."""
        _, text = self.ask("GET", "/metrics/prometheus")
        lines = [line for line in text.splitlines() if line.startswith(f"data_collector_{name}")]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    def assert_alive_and_exact(self) -> None:
        """The newest trade is stored, and nothing is missing; it is ready."""
        self.market.act("pause")
        newest = {symbol: self.market.last_id(symbol) for symbol in SYMBOLS}
        until(
            lambda: all(self.store.tail_id(symbol) == newest[symbol] for symbol in SYMBOLS), "the newest trades",
            output=self.told,
        )  # fmt: skip
        for symbol in SYMBOLS:
            assert assert_trades_exact(self.store, symbol, self.market.trades(symbol)) == []
        until(lambda: self.ask("GET", "/health/ready")[0] == 200, "readiness", output=self.told)
        faults = [fault for symbol in SYMBOLS for fault in faults_at(self.market, self.store, symbol)]
        assert [*faults, *lies(said_by_service(self.port, SYMBOLS), faults)] == []


@contextmanager
def api_over(
    folder: Path, market: Exchange, store: Store, *, descriptors: int | None = None, **settings: str
) -> Iterator[Api]:
    """It is ready, and runs when the block ends too; `descriptors` is how many files each of its processes may open."""
    api = Api(free_port(), market, store, folder / "api.log")
    environment = variables(folder, market, redis_url=store.url, port=str(api.port), **settings)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with api.log.open("w") as log:
        if descriptors is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, limits[1]))
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "data_collector", "run"], cwd=folder, env=environment, stdout=log, stderr=log
            )
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    try:
        until(lambda: api.ask("GET", "/health/ready")[0] == 200, "readiness", output=api.told)
        yield api
        assert process.poll() is None, api.told()
    finally:
        end(process)
