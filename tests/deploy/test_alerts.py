"""The alerts: each is tested to fire and to stay quiet, is described, and is about metrics that exist."""

from __future__ import annotations

import re

import msgspec
import pytest
from msgspec import Struct, field

from data_collector.alerting import rules
from data_collector.alerting.judge import Judge
from deploy.prometheus.__main__ import files
from tests.deploy.programs import PROMETHEUS, promtool
from tests.deploy.promql import faults
from tests.deploy.rule_series import seconds, series_of
from tests.docs.test_links import resolves
from tests.docs.tree import ROOT, read

RUNBOOK = "docs/operations.md"


class Alert(Struct):
    """One rule of a file in rules/."""

    alert: str
    expr: str
    labels: dict[str, str]
    annotations: dict[str, str]
    for_: str = field(name="for", default="0s")


class Group(Struct):
    """What is evaluated together."""

    name: str
    rules: list[Alert]


class Rules(Struct):
    """A file in rules/."""

    groups: list[Group]


class Fired(Struct):
    """An alert as Prometheus tells it."""

    exp_labels: dict[str, str]
    exp_annotations: dict[str, str]


class Expectation(Struct):
    """Which alerts fire at a moment of a test."""

    eval_time: str
    alertname: str
    exp_alerts: list[Fired]


class RuleTest(Struct):
    """One case of a file in tests/."""

    name: str
    interval: str
    input_series: list[dict[str, str]]
    alert_rule_test: list[Expectation]


class RuleTests(Struct):
    """A file in tests/."""

    rule_files: list[str]
    tests: list[RuleTest]


RULE_FILES = sorted((PROMETHEUS / "rules").glob("*.yml"))
TEST_FILES = sorted((PROMETHEUS / "tests").glob("*.yml"))
ALERTS = [
    alert
    for path in RULE_FILES
    for group in msgspec.yaml.decode(path.read_bytes(), type=Rules).groups
    for alert in group.rules
]
CASES = [
    (test, expected)
    for path in TEST_FILES
    for test in msgspec.yaml.decode(path.read_bytes(), type=RuleTests).tests
    for expected in test.alert_rule_test
]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.alert)
def test_alert_names_metrics_that_exist_and_a_section_that_says_what_to_do(alert: Alert) -> None:
    assert faults(alert.expr) == []
    assert alert.labels["severity"] in {"critical", "warning"}
    assert alert.annotations["summary"]
    assert alert.annotations["runbook_url"] == f"{RUNBOOK}#{alert.alert.lower()}"
    assert resolves(ROOT / "README.md", alert.annotations["runbook_url"])


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.alert)
def test_alert_fires_in_one_test_and_stays_quiet_in_another(alert: Alert) -> None:
    fires = {bool(expected.exp_alerts) for _, expected in CASES if expected.alertname == alert.alert}

    assert fires == {True, False}


def test_files_for_prometheus_are_what_is_declared() -> None:
    assert {path.name: path.read_text() for path in RULE_FILES} == files()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0].name)
def test_service_judges_as_the_tests_for_prometheus_say(case: tuple[RuleTest, Expectation]) -> None:
    test, expected = case
    series = [series_of(each["series"], each["values"]) for each in test.input_series]
    judge = Judge([alert for alert in rules.ALERTS if alert.name == expected.alertname])

    every_s, end_s = seconds(test.interval), seconds(expected.eval_time)
    for step in range(end_s // every_s + 1):
        page = [(name, labels, value) for name, labels, values in series if (value := values(step)) is not None]
        judge.judge(page, float(step * every_s))

    found = [(dict(each.labels) | {"severity": each.severity}, each.summary) for each in judge.firing]
    assert found == [(each.exp_labels, each.exp_annotations["summary"]) for each in expected.exp_alerts]


def test_alerts_are_named_once_and_each_section_of_the_runbook_is_about_one() -> None:
    names = [alert.alert for alert in ALERTS]
    sections = re.findall(r"^#### (\w+)$", read(RUNBOOK), re.MULTILINE)

    assert sorted(names) == sorted(sections)


def test_tests_of_alerts_feed_series_that_exist() -> None:
    assert [fault for test, _ in CASES for series in test.input_series for fault in faults(series["series"])] == []


@pytest.mark.slow
def test_prometheus_takes_the_configuration_and_the_rules() -> None:
    told = promtool("check", "config", "prometheus.yml")

    assert told.count("rules found") == len(RULE_FILES)


@pytest.mark.slow
def test_every_alert_does_what_its_tests_say() -> None:
    told = promtool("test", "rules", *TEST_FILES)

    assert told.count("SUCCESS") == len(TEST_FILES)
