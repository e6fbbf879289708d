"""The wheel in environments of its own, outside the source tree: alone it is the client, with [service] all of it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

from data_collector.model.errors import Misconfigured
from tests.docs.pins import pins
from tests.docs.tree import ROOT, project_files
from tests.integration.demo import Demo, demo
from tests.integration.waiting import until

pytestmark = pytest.mark.slow

BUILT_FROM = ("pyproject.toml", "README.md", "LICENSE", "NOTICE", "api.py", "collector.py")
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
LIGHT = {"btc-data-collector", "async-timeout", "hiredis", "msgspec", "redis"}
"""All that the wheel brings; async-timeout only before Python 3.11.3."""
READING = """
import sys
from data_collector.client import Client, Kline, NotInstalled, Trade

store, api = sys.argv[1:]
with Client(store, api=api, database="") as client:
    assert "BTCUSDT" in client.symbols()
    assert client.latest("BTCUSDT").price > 0
    assert isinstance(next(iter(client.klines("BTCUSDT", "1s", start="-1h", gaps="skip"))), Kline)
    live = client.live("BTCUSDT:trades", start="earliest")
    first, second = (next(item for item in live if isinstance(item, Trade)) for _ in range(2))
    assert second.trade_id == first.trade_id + 1
try:
    Client(store, api=api, database="postgresql://nowhere/none")
except NotInstalled as error:
    print(error)
"""
"""History and live, and what takes an extra."""
INSTALLED = "from importlib.metadata import distributions; print(*{d.name.lower() for d in distributions()})"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the tree, because building writes beside the sources."""
    source = tmp_path_factory.mktemp("source")
    for name in BUILT_FROM:
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "data_collector", source / "data_collector", ignore=shutil.ignore_patterns("__pycache__"))
    run(*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", source / "built", source)
    (built,) = (source / "built").iterdir()
    return built


@pytest.fixture(scope="module")
def light(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an empty environment in which the wheel was installed, with the versions that are pinned."""
    folder = tmp_path_factory.mktemp("light")
    pinned = folder / "pins.txt"
    pinned.write_text("".join(f"{name}=={version}\n" for name, version in pins("requirements.txt").items()))
    return environment(folder / "venv", wheel, "--constraint", pinned)


@pytest.fixture(scope="module")
def served(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The demo of a wheel with [service], whose packages are those of the tests: installing them anew takes minutes."""
    folder = tmp_path_factory.mktemp("service")
    python = environment(folder / "venv", f"{wheel}[service]", "--no-index", packages=sysconfig.get_path("purelib"))
    with demo(folder / "var", program=python.parent / "data-collector") as running:
        yield running


def test_wheel_holds_every_file_of_the_package_and_the_licences(wheel: Path) -> None:
    ours = {str(path.relative_to(ROOT)) for path in project_files() if path.is_relative_to(ROOT / "data_collector")}

    held = {name.partition("/licenses/")[2] or name for name in ZipFile(wheel).namelist()}

    assert held >= ours | {"LICENSE", "NOTICE", "api.py", "collector.py"}


def test_wheel_alone_brings_next_to_nothing(light: Path) -> None:
    assert set(run(light, "-c", INSTALLED).split()) - {"pip", "setuptools"} <= LIGHT


def test_command_of_the_wheel_alone_is_a_sentence(light: Path, tmp_path: Path) -> None:
    ended = subprocess.run([light.parent / "data-collector", "run"], cwd=tmp_path, capture_output=True, check=False)

    assert ended.returncode == Misconfigured.exit_code
    assert ended.stderr.count(b"\n") == 1
    assert b"pip install 'btc-data-collector[service]'" in ended.stderr


def test_wheel_with_the_service_runs_a_demo_that_the_wheel_alone_reads(served: Demo, light: Path) -> None:
    until(lambda: served.health()["status"] == "healthy", "health", output=served.screen)

    assert "pip install 'btc-data-collector[postgres]'" in run(light, "-c", READING, served.store.url, served.url)
    assert served.interrupt() in (0, 130)
    assert "Traceback" not in served.screen()


def environment(folder: Path, *install: str | Path, packages: str | None = None) -> Path:
    """The Python of a new environment; `packages`: a folder of which it sees the packages too."""
    venv.create(folder)
    python = folder / "bin" / "python"
    if packages is not None:
        (site,) = folder.glob("lib/python*/site-packages")
        (site / "seen.pth").write_text(packages)
    run(*PIP, "--python", python, "install", *install)
    return python


def run(*words: str | Path) -> str:
    """What the command printed; a failure fails the test with what it said."""
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
