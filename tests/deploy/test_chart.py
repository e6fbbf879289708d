"""The chart, rendered by Helm's own engine and held against Kubernetes' own schemas; and the Dockerfile's linter."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from data_collector import __version__
from data_collector.settings.fields import OF_EXCHANGE, SECRETS, variable_of, variables
from data_collector.venues.discovery import venue_names
from tests.deploy.documents import Part, yaml_document
from tests.docs.tree import ROOT, read

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CHART = ROOT / "deploy" / "kubernetes" / "data-collector"
REDIS = {"name": "market-data", "key": "redis-url"}
FULL: dict[str, object] = {
    "replicas": 2,
    "secrets": {"REDIS_URL": REDIS, "CONTROL_TOKEN": {"name": "market-data", "key": "token"}},
    "settings": {"STREAM_MAXLEN": "1000000"},
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "persistence": {"size": "20Gi", "storageClassName": "fast"},
    "image": {"repository": "registry.example/data-collector", "digest": f"sha256:{'0' * 64}"},
    "networkPolicy": {"ingressFrom": [{"namespaceSelector": {}}], "egressPorts": [443]},
    "imagePullSecrets": [{"name": "registry"}],
    "podLabels": {"team": "markets"},
    "podAnnotations": {"note": "yes"},
    "nodeSelector": {"disk": "fast"},
    "tolerations": [{"operator": "Exists"}],
}
WRONG: list[dict[str, object]] = [
    {"replicas": 2},
    {"replicas": 3, "secrets": {"REDIS_URL": REDIS}},
    {"settings": {"REDIS_URL": "redis://:password@redis"}},
    {"settings": {"STREAM_MAXLEN": 1000000}},
    {"secrets": {"REDIS_URL": "redis://:password@redis"}},
    {"replica": 1},
]


@pytest.fixture(scope="module")
def answer(tools: Path) -> Part:
    """What came of the defaults, of everything switched on, and of each wrong set of values."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.deploy.render_chart", CHART], cwd=ROOT, capture_output=True, text=True,
        input=json.dumps([{}, FULL, *WRONG]), env={**os.environ, "PYTHONPATH": f"{tools}:{ROOT}"}, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return Part(json.loads(ended.stdout))


@pytest.fixture
def plain(answer: Part) -> dict[str, Part]:
    """The manifests of the defaults by kind and name."""
    return manifests(answer, 0)


@pytest.fixture
def full(answer: Part) -> dict[str, Part]:
    """Those of everything switched on."""
    return manifests(answer, 1)


def test_linter_finds_nothing_above_a_hint(answer: Part) -> None:
    assert [
        message.value for message in answer["lint"]["messages"].items() if int(message["severity"].text()) > 1
    ] == []


@pytest.mark.parametrize("index", [0, 1])
def test_manifests_are_what_kubernetes_takes(answer: Part, index: int) -> None:
    outcome = answer["outcomes"][index]

    assert outcome["refused"].text() == ""
    assert outcome["faults"].texts() == []


@pytest.mark.parametrize("index", range(len(WRONG)))
def test_values_that_cannot_work_are_refused(answer: Part, index: int) -> None:
    assert answer["outcomes"][index + 2]["refused"].text()


def test_defaults_make_what_an_operator_needs(plain: dict[str, Part], full: dict[str, Part]) -> None:
    kinds = ["NetworkPolicy", "PodDisruptionBudget", "Service", "Service", "StatefulSet"]

    assert sorted(name.partition("/")[0] for name in plain) == kinds
    assert sorted(name.partition("/")[0] for name in full) == sorted([*kinds, "ServiceMonitor"])


def test_pod_can_do_nothing_that_the_image_does_not_need(plain: dict[str, Part]) -> None:
    pod = plain["StatefulSet/demo-data-collector"]["spec"]["template"]["spec"]
    container = pod["containers"][0]

    assert pod["automountServiceAccountToken"].value is False
    assert pod["securityContext"]["runAsUser"].text() == "10001"
    assert pod["securityContext"]["runAsNonRoot"].value is True
    assert container["securityContext"].value == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}
    }  # fmt: skip
    assert "memory" in container["resources"]["limits"]


def test_pod_is_watched_and_keeps_its_folder(plain: dict[str, Part]) -> None:
    spec = plain["StatefulSet/demo-data-collector"]["spec"]
    container = spec["template"]["spec"]["containers"][0]
    mounts = {mount["name"].text(): mount["mountPath"].text() for mount in container["volumeMounts"].items()}

    assert container["livenessProbe"]["httpGet"]["path"].text() == "/health/live"
    assert container["readinessProbe"]["httpGet"]["path"].text() == "/health/ready"
    assert mounts[spec["volumeClaimTemplates"][0]["metadata"]["name"].text()] == "/var/lib/data-collector"


def test_secrets_are_files_and_the_second_collector_stands_by(full: dict[str, Part]) -> None:
    pod = full["StatefulSet/demo-data-collector"]["spec"]["template"]["spec"]
    environment = {each["name"].text(): each["value"].text() for each in pod["containers"][0]["env"].items()}

    assert environment["REDIS_URL_FILE"] == "/run/secrets/data-collector/REDIS_URL"
    assert environment["STANDBY"] == "1"
    assert environment["STREAM_MAXLEN"] == "1000000"
    assert {name.removesuffix("_FILE") for name in environment} <= set(variables())


def test_values_file_names_every_value_of_the_schema_and_every_secret_is_one() -> None:
    schema = Part(json.loads((CHART / "values.schema.json").read_text()))["properties"].parts()
    values = yaml_document((CHART / "values.yaml").read_text()).parts()

    assert schema.keys() - {"global"} == values.keys()
    (pattern,) = schema["secrets"]["patternProperties"].parts()
    of_exchanges = {
        variable_of(name, exchange) for name in SECRETS if name in OF_EXCHANGE for exchange in venue_names()
    }

    assert set(schema["secrets"]["properties"].parts()) == {name.upper() for name in SECRETS if name not in OF_EXCHANGE}
    assert {name for name in variables() if re.search(pattern, name)} == of_exchanges


def test_chart_is_of_this_version() -> None:
    assert yaml_document((CHART / "Chart.yaml").read_text())["appVersion"].text() == __version__


def test_linter_of_dockerfiles_finds_nothing(tools: Path) -> None:
    ended = subprocess.run(
        [tools / "bin" / "hadolint", "-"], input=read("Dockerfile"), capture_output=True, text=True, check=False
    )

    assert (ended.returncode, ended.stdout) == (0, "")


def manifests(answer: Part, index: int) -> dict[str, Part]:
    """By kind and name."""
    found = answer["outcomes"][index]["manifests"].items()
    return {f"{each['kind'].text()}/{each['metadata']['name'].text()}": each for each in found}
