"""The collector with a validation service: suites come from it, audits go to it, and nothing waits for it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from data_collector.embedded.peer import free_port
from data_collector.model.status import Snapshot
from data_collector.observe.counters import Counters
from data_collector.service.validation import Validation
from data_collector.settings import load_settings
from tests.integration.exactness import assert_trades_exact
from tests.integration.processes import ROOT, Exchange, collecting, end
from tests.integration.test_collector_audit import (
    DEADLINE_S,
    SYMBOLS,
    assert_every_message_audited_once,
    await_audit,
    await_trades,
    has_rule,
    settled,
)
from tests.integration.waiting import until, until_async

TOKEN = "a-token-of-these-tests-alone"
RULE = {
    "type": "expect_column_values_to_be_between",
    "kwargs": {"column": "price", "max_value": 1e9},
    "severity": "warning",
    "description": "The price must be as I like it.",
    "meta": {"rule_id": "my_price"},
}


class Service:
    """A validation service at a port that it comes back to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        self.folder.mkdir(exist_ok=True)
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "COVERAGE_PROCESS_START") if name in os.environ}
        environment = {**kept, "PYTHONPATH": str(ROOT), "VAR_DIR": str(self.folder), "CONTROL_TOKEN": TOKEN}
        command = [sys.executable, "-m", "data_collector", "validation-service", "--port", str(self.port)]
        with (self.folder / "service.log").open("a") as log:
            return subprocess.Popen(command, cwd=self.folder, env=environment, stdout=log, stderr=log)

    def told(self) -> str:
        return (self.folder / "service.log").read_text()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def start_again(self) -> None:
        self.process = self._start()

    def put(self, rule: dict[str, object]) -> None:
        body = json.dumps({"name": "trade", "expectations": [rule]}).encode()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
        request = urllib.request.Request(f"{self.url}/suites/trade", body, headers, method="PUT")  # noqa: S310 - our own address
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:  # noqa: S310 - our own address
            assert answer.status == 200


@contextmanager
def serving(folder: Path) -> Iterator[Service]:
    service = Service(folder)
    try:
        yield service
    finally:
        end(service.process)


def is_up(service: Service) -> bool:
    try:
        with urllib.request.urlopen(f"{service.url}/health", timeout=2) as answer:  # noqa: S310 - our own address
            return bool(json.load(answer)["worker"]["state"] == "up")
    except OSError:
        return False


@pytest.mark.slow
def test_service_that_is_killed_delays_loses_and_doubles_nothing(
    market: Exchange, folder: Path, tmp_path: Path
) -> None:
    with (
        serving(tmp_path / "service") as service,
        collecting(folder, market, gx_audit="1", validation_service_url=service.url) as collector,
    ):
        store = collector.embedded_store()
        until(partial(is_up, service), "the service", output=service.told, deadline_s=DEADLINE_S)
        await_audit(collector)
        for _ in range(2):
            service.kill()
            await_trades(collector, store)
            until(lambda: collector.status().validation.audit.state == "down", "the loss", output=collector.told)
            assert service.url in (collector.status().validation.audit.reason or "")
            service.start_again()
            await_audit(collector)
        snapshot = settled(market, collector, store)

        assert_every_message_audited_once(snapshot)
        assert snapshot.validation_service_url == service.url
        for symbol in SYMBOLS:
            assert assert_trades_exact(store, symbol, market.trades(symbol)) == []
        mapped = Path(f"/proc/{collector.process.pid}/maps").read_text()
        assert "pandas" not in mapped


@pytest.mark.slow
def test_rule_that_is_put_into_the_service_marks_trades_of_the_collector(
    market: Exchange, folder: Path, tmp_path: Path
) -> None:
    with (
        serving(tmp_path / "service") as service,
        collecting(folder, market, gx_audit="1", validation_service_url=service.url) as collector,
    ):
        store = collector.embedded_store()
        until(partial(is_up, service), "the service", output=service.told, deadline_s=DEADLINE_S)
        service.put({**RULE, "kwargs": {"column": "price", "max_value": 0.5}})
        until(
            lambda: has_rule(collector.status(), "my_price"), "the rule", output=collector.told, deadline_s=DEADLINE_S
        )
        await_trades(collector, store)
        marked = [entry["fields"] for entry in store.entries("trades:BTCUSDT") if "warnings" in entry["fields"]]
        snapshot = settled(market, collector, store)
        assert {fields["warnings"] for fields in marked} == {"my_price"}
        assert_every_message_audited_once(snapshot)
        assert snapshot.validation_errors == 0

        # A start without the service goes on with what it had last.
        service.kill()
        collector.terminate()
        with collecting(folder, market, gx_audit="1", validation_service_url=service.url) as again:
            until(lambda: has_rule(again.status(), "my_price"), "the rule of before", output=again.told)
            until(lambda: service.url in " ".join(again.status().reasons), "the reason", output=again.told)


async def test_file_that_the_service_refuses_is_told_by_the_collector_until_it_is_mended(tmp_path: Path) -> None:
    file = tmp_path / "service" / "suites" / "trade.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"name": "trade", "expectations": [RULE | {"severity": "fatal"}]}))
    with serving(tmp_path / "service") as service:
        settings = load_settings({"VALIDATION_SERVICE_URL": service.url}, None)
        validation = Validation(settings, tmp_path, Counters(), lambda _: None)
        keeping = asyncio.create_task(validation.keeper.run())

        def reasons() -> list[str]:
            return list(validation.report(Snapshot()).reasons)

        refused = re.compile(rf"{service.url}: {file} is refused:.*severity 'fatal'.* stay in force\.", re.DOTALL)
        await until_async(lambda: refused.fullmatch("".join(reasons())), "the refusal")
        file.write_text(json.dumps({"name": "trade", "expectations": [RULE]}))
        await until_async(lambda: not reasons(), "the end of it")

        keeping.cancel()
        await asyncio.wait([keeping])
        await validation.close()


def test_start_without_the_service_gates_by_the_shipped_rules(market: Exchange, folder: Path) -> None:
    url = "http://127.0.0.1:9"
    with collecting(folder, market, gx_audit="1", validation_service_url=url) as collector:
        store = collector.embedded_store()
        await_trades(collector, store)
        until(lambda: url in " ".join(collector.status().reasons), "the reason", output=collector.told)
        snapshot = collector.status()

        assert snapshot.condition == "degraded"
        assert any("VALIDATION_SERVICE_URL" in reason and url in reason for reason in snapshot.reasons)
        assert has_rule(snapshot, "price_positive")
