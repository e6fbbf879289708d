"""Subscriptions planned by the command and changed over HTTP, with real processes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.processes import Ended, Exchange, end, exchange, get_json, run_to_end, variables
from tests.integration.store_reader import Store
from tests.integration.waiting import DEADLINE_S, until

MISCONFIGURED = 78
LISTED = "BTCUSDT,ETHUSDT,SOLUSDT"
TOKEN = "0123456789abcdef" * 4


@dataclass
class Service:
    """API and collector."""

    url: str
    exchange: Exchange
    folder: Path
    variables: dict[str, str]

    def put(self, body: object, token: str | None = TOKEN) -> tuple[int, dict[str, object]]:
        headers = {"Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(  # noqa: S310 - our own address
            f"{self.url}/subscriptions", json.dumps(body).encode(), headers, method="PUT"
        )
        try:
            with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:  # noqa: S310 - the same
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, json.load(refusal)

    def plan(self, *words: str) -> Ended:
        command = [sys.executable, "-m", "data_collector", "plan", "--url", self.url, *words]
        return run_to_end(command, self.folder, self.variables)

    def is_ready(self) -> bool:
        return get_json(f"{self.url}/health/ready")["status"] == "ready"


@pytest.fixture
def service(store: Store, folder: Path) -> Iterator[Service]:
    with exchange(folder, symbols=LISTED) as market:
        environment = variables(folder, market, redis_url=store.url, control_token=TOKEN)
        log = folder / "service.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "data_collector", "run"], cwd=folder, env=environment, stdout=output,
                stderr=output,
            )  # fmt: skip
        try:
            found = until(lambda: re.search(r"http://127\.0\.0\.1:\d+", log.read_text()), "the service's address")
            service = Service(found.group(), market, folder, environment)
            until(service.is_ready, "a ready service", output=log.read_text)
            yield service
        finally:
            end(process)


def test_plan_tells_beforehand_what_the_change_then_does(service: Service, store: Store) -> None:
    planned = service.plan("--symbols", "BTCUSDT,SOLUSDT", "--json")
    assert planned.code == 0
    assert get_json(f"{service.url}/subscriptions")["symbols"] == ["BTCUSDT", "ETHUSDT"]

    status, answer = service.put({"symbols": ["BTCUSDT", "SOLUSDT"]})

    assert status == 200
    assert answer == json.loads(planned.output)
    assert answer["until"] == "restart"
    assert answer["unchanged"] == 4
    assert answer["connections"] == [
        {
            "line": "1", "is_new": False, "subscribe": 4, "unsubscribe": 4, "streams": 8, "control_messages": 3,
            "seconds": 0.0,
        }
    ]  # fmt: skip
    until(lambda: store.length("trades:SOLUSDT") > 0, "trades of the new symbol")
    present = get_json(f"{service.url}/subscriptions")
    assert (present["symbols"], present["changed"], present["changing"]) == (["BTCUSDT", "SOLUSDT"], True, False)
    assert get_json(f"{service.url}/metrics")["symbols"] == ["BTCUSDT", "SOLUSDT"]


def test_change_is_guarded_and_names_every_fault(service: Service) -> None:
    assert service.put({"symbols": ["BTCUSDT"]}, token=None)[0] == 403
    assert service.put({"symbol": ["BTCUSDT"]})[0] == 422
    assert service.put({"symbols": []})[0] == 422

    status, answer = service.put({"symbols": ["BTCUSDX"], "intervals": ["10m"], "channels": ["news"]})

    assert status == 422
    for part in ("BTCUSDX (did you mean BTCUSDT?)", "10m", "news"):
        assert part in str(answer["detail"])
    assert get_json(f"{service.url}/subscriptions")["changed"] is False


def test_plan_refuses_the_impossible_and_falls_back_to_the_settings(service: Service) -> None:
    refused = service.plan("--symbols", "BTCUSDX", "--intervals", "10m")
    assert refused.code == MISCONFIGURED
    assert "did you mean BTCUSDT?" in refused.output
    assert "10m" in refused.output

    fallen_back = service.plan("--symbols", "BTCUSDT", "--url", "http://127.0.0.1:1")
    assert fallen_back.code == 0
    assert "held against the settings" in fallen_back.output
    assert "streams removed: 4 (ethusdt@kline_1m" in fallen_back.output
