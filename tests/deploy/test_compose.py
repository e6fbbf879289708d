"""The compose file: what it starts, what it leaves open, and that it mounts what the repository has."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from data_collector.settings import load_settings
from data_collector.settings.fields import variables
from tests.deploy.documents import yaml_document
from tests.docs.tree import ROOT, read

COMPOSE = yaml_document(read("compose.yaml"))
SERVICES = COMPOSE["services"].parts()
SCHEMA = "compose/config/compose_spec.json"
OURS = ("collector", "data-validation")
VARIABLE = re.compile(r"\$\{([A-Z_]+)(:-([^}]*))?\}")


@pytest.mark.slow
def test_it_is_what_the_schema_of_compose_allows(tools: Path, tmp_path: Path) -> None:
    # The newest schema that a package of the index holds is of 2021, when a project had no name of its own.
    document = {key: value for key, value in COMPOSE.mapping().items() if key != "name"}
    (tmp_path / "compose.json").write_text(json.dumps(document))

    ended = subprocess.run(
        [sys.executable, "-m", "jsonschema", "-i", tmp_path / "compose.json", tools / SCHEMA],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_it_starts_the_whole_of_the_service() -> None:
    assert list(SERVICES) == ["collector", "data-validation", "redis", "postgres", "prometheus", "grafana"]


@pytest.mark.parametrize("name", [name for name in SERVICES if name not in OURS])
def test_images_of_others_are_pinned_to_a_version(name: str) -> None:
    assert re.search(r":v?\d+\.\d+\.\d+(-\w+)?$|:\d+\.\d+-\w+$", SERVICES[name]["image"].text())


@pytest.mark.parametrize("name", OURS)
def test_our_services_can_do_nothing_that_they_need_not(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"].value is True
    assert service["cap_drop"].texts() == ["ALL"]
    assert service["security_opt"].texts() == ["no-new-privileges:true"]
    assert service["volumes"][0].text().endswith(":/var/lib/data-collector")
    assert service["build"].text() == "."


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "collector"])
def test_services_without_an_own_check_have_one_here(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"].texts()


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "collector"])
def test_only_the_collector_is_reached_from_other_machines(name: str) -> None:
    published = SERVICES[name]["ports"].texts() if "ports" in SERVICES[name] else []

    assert [port for port in published if not port.startswith("127.0.0.1:")] == []


def test_nothing_runs_with_the_rights_of_the_machine() -> None:
    refused = {"privileged", "network_mode", "pid", "ipc", "devices", "cap_add"}

    assert {name: refused & service.parts().keys() for name, service in SERVICES.items()} == {
        name: set() for name in SERVICES
    }


def test_volumes_are_declared_and_mounted_files_are_there() -> None:
    mounts = [volume for service in SERVICES.values() for volume in service["volumes"].texts()]
    sources = {mount.partition(":")[0] for mount in mounts}

    assert {source for source in sources if not source.startswith("./")} == set(COMPOSE["volumes"].parts())
    assert [source for source in sources if source.startswith("./") and not (ROOT / source).is_dir()] == []


def test_dependencies_are_services_with_a_condition_they_can_meet() -> None:
    needs = [need for service in SERVICES.values() for need in service.get("depends_on").parts().items()]

    assert needs
    for needed, how in needs:
        assert needed in SERVICES
        assert how["condition"].text() in {"service_started", "service_healthy"}


def test_collector_starts_with_what_it_is_given_when_nothing_is_set() -> None:
    given = {
        name: without_variables(value.text()) for name, value in SERVICES["collector"]["environment"].parts().items()
    }

    settings = load_settings({**given, "DATA_COLLECTOR_IMAGE": "1"}, env_file=None)

    assert set(given) <= set(variables())
    assert settings.environment == "production"
    assert settings.control_token is None
    assert settings.notices == ()
    for host, name in (
        ("redis", "REDIS_URL"),
        ("postgres", "DATABASE_URL"),
        ("data-validation", "VALIDATION_SERVICE_URL"),
    ):
        assert re.search(rf"[/@]{host}:\d+", given[name])


def test_every_variable_has_a_default_and_its_line_in_the_document() -> None:
    found = {match[1]: match[2] for match in VARIABLE.finditer(read("compose.yaml"))}
    documented = set(re.findall(r"`([A-Z_]+)`", read("docs/containers.md")))

    assert [name for name, default in found.items() if default is None] == []
    assert set(found) - documented == set()


def without_variables(text: str) -> str:
    """As compose reads it where no variable is set."""
    return VARIABLE.sub(lambda match: match[3] or "", text)


def test_files_of_the_image_are_kept_out_of_git_and_of_the_build() -> None:
    ignored = read(".gitignore").splitlines()
    sent = [line for line in read(".dockerignore").splitlines() if line and not line.startswith("#")]

    assert {".env", "var/"} <= set(ignored)
    assert sent[0] == "*"
    assert all(Path(ROOT / line[1:]).exists() for line in sent if line.startswith("!"))
