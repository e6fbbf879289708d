"""The dashboards: every query of every panel gives figures when Prometheus scrapes a running demo."""

from __future__ import annotations

import json
import math
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from msgspec import Struct, field

from data_collector.embedded.peer import free_port
from deploy.grafana.__main__ import files
from tests.deploy.programs import GRAFANA, PROMETHEUS, program, promtool
from tests.deploy.promql import faults
from tests.docs.tree import read
from tests.integration.demo import Demo, demo, first
from tests.integration.processes import end
from tests.integration.waiting import until

FIGURES_WITHIN_S = 110.0
RATE_INTERVAL = "5m"
"""Longer than the test, so that what happened once stays in sight."""

TROUBLE = {
    "frames": [
        {"kind": "drop", "stream": "*@trade", "rate": 0.05},
        {"kind": "change", "stream": "*@trade", "rate": 0.02, "set": {"p": "-1.00000000"}},
        {"kind": "duplicate", "rate": 0.05},
        {"kind": "corrupt", "rate": 0.02},
    ],
    "refuse": [{"status": 503, "count": 1}],
}
"""So that what is only counted when something goes wrong is counted."""

ACTIONS: tuple[dict[str, object], ...] = ({"action": "reset"}, {"action": "advance", "milliseconds": 60_000})
"""A connection is lost; and a minute closes, or its candle would have to be waited for."""


class Target(Struct):
    """One query."""

    expr: str
    legendFormat: str  # noqa: N815 - Grafana's name


class Panel(Struct):
    """One rectangle."""

    title: str
    targets: list[Target]


class Dashboard(Struct):
    """One file."""

    uid: str
    panels: list[Panel]


class Series(Struct):
    """One result of an instant query."""

    metric: dict[str, str]
    value: tuple[float, str]


class Result(Struct):
    """What a query gives."""

    result: list[Series] = field(default_factory=list)


class Answer(Struct):
    """Of Prometheus's HTTP API."""

    data: Result = field(default_factory=Result)


@dataclass
class Watched:
    """A demo in trouble, and the Prometheus that scrapes it."""

    demo: Demo
    url: str

    def ask(self, expr: str) -> list[Series]:
        """An instant query, as a panel asks it."""
        asked = expr.replace("$__rate_interval", RATE_INTERVAL)
        for chosen in ("$instance", "$exchange"):
            asked = asked.replace(chosen, ".*")
        assert "$" not in asked
        address = f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': asked})}"
        return msgspec.json.decode(get(address), type=Answer).data.result


DASHBOARDS = {
    path.stem: msgspec.json.decode(path.read_bytes(), type=Dashboard)
    for path in sorted((GRAFANA / "dashboards").glob("*.json"))
}


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own address
        body: bytes = answer.read()
    return body


def post(url: str, body: object, content_type: str = "application/json") -> int:
    """The status code."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": content_type})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - our own address
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        return refusal.code


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Scraped by the shipped configuration, but for the addresses, and once a second."""
    prometheus = program("prometheus")
    folder = tmp_path_factory.mktemp("watched")
    with demo(folder / "var") as running:
        exchange_url = first(r"Exchange +\S+ (http://\S+)", running.screen())
        assert post(f"{exchange_url}/simulator/faults", TROUBLE) == 200
        assert post(f"{running.url}/control", {"action": "start"}, "text/plain") == 422
        addresses = {
            "data-collector": running.url,
            "data-validation": first(r"Validation +(http://[^/]+)", running.screen()),
        }
        config = configured(folder, addresses)
        with (folder / "prometheus.log").open("w") as log:
            process = subprocess.Popen(
                [
                    prometheus, f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{(port := free_port())}",
                ],
                stdout=log, stderr=log,
            )  # fmt: skip
        try:
            scene = Watched(running, f"http://127.0.0.1:{port}")
            until(lambda: scraped(scene, process), "two targets", output=(folder / "prometheus.log").read_text)
            for action in ACTIONS:
                assert post(f"{exchange_url}/simulator/actions", action) == 200
            yield scene
        finally:
            end(process)


def configured(folder: Path, addresses: dict[str, str]) -> Path:
    (folder / "targets").mkdir()
    for name, url in addresses.items():
        (folder / "targets" / f"{name}.yml").write_text(json.dumps([{"targets": [url.removeprefix("http://")]}]))
    shipped = (PROMETHEUS / "prometheus.yml").read_text()
    config = folder / "prometheus.yml"
    config.write_text(shipped.replace("15s", "1s").replace("rules/*.yml", f"{PROMETHEUS}/rules/*.yml"))
    return config


def scraped(scene: Watched, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "Prometheus has ended"
    try:
        return len(scene.ask("up == 1")) == 2
    except OSError:
        return False


def test_files_are_what_make_dashboards_writes() -> None:
    assert {path.name: path.read_text() for path in (GRAFANA / "dashboards").glob("*")} == files()


def test_dashboards_name_series_that_exist_and_are_found_by_different_names() -> None:
    told = {
        f"{name}, {panel.title}": faults(target.expr)
        for name, dashboard in DASHBOARDS.items()
        for panel in dashboard.panels
        for target in panel.targets
    }

    assert {where: found for where, found in told.items() if found} == {}
    assert len({dashboard.uid for dashboard in DASHBOARDS.values()}) == len(DASHBOARDS) == 6


def test_grafana_is_told_of_the_data_source_and_the_folder() -> None:
    assert "url: $PROMETHEUS_URL" in read("deploy/grafana/provisioning/datasources/prometheus.yml")
    assert "path: /etc/grafana/dashboards" in read("deploy/grafana/provisioning/dashboards/data-collector.yml")


@pytest.mark.slow
@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_panel_shows_figures_of_the_running_demo(watched: Watched, name: str) -> None:
    def empty() -> list[str]:
        return [
            f"{panel.title}: {target.expr}"
            for panel in DASHBOARDS[name].panels
            for target in panel.targets
            if not is_shown(watched.ask(target.expr), target.legendFormat)
        ]

    until(
        lambda: not empty(), f"figures in every panel of {name}", deadline_s=FIGURES_WITHIN_S,
        output=lambda: "\n".join(empty()),
    )  # fmt: skip


def is_shown(found: list[Series], legend: str) -> bool:
    """Whether there is a number, and every label that its legend names; that of several exchanges is not there."""
    labels = set(re.findall(r"\{\{(\w+)\}\}", legend)) - {"exchange"}
    numbers = [series for series in found if not math.isnan(float(series.value[1]))]
    return bool(numbers) and all(labels <= series.metric.keys() for series in numbers)


@pytest.mark.slow
def test_rules_are_evaluated_without_an_error(watched: Watched) -> None:
    def evaluated() -> bool:
        told = get(f"{watched.url}/api/v1/rules").decode()
        healths = set(re.findall(r'"health":"(\w+)"', told))
        assert healths <= {"ok", "unknown"}, told
        return healths == {"ok"}

    until(evaluated, "an evaluation of all rules")


@pytest.mark.slow
def test_promtool_finds_nothing_wrong_with_what_is_scraped(watched: Watched) -> None:
    validation_url = first(r"Validation +(http://[^/]+)", watched.demo.screen())

    for url in (f"{watched.demo.url}/metrics/prometheus", f"{validation_url}/metrics"):
        assert promtool("check", "metrics", given=get(url)) == ""
