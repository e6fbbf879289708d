"""A venue is one folder: a copy of it under another name is a venue of that name, and no other file is changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import data_collector

ROOT = Path(data_collector.__path__[0]).parent
ORIGINAL, COPY = "kraken", "nowhere"
TEXTS = {".py", ".json", ".md"}
ALIKE = "another_exchange"
"""Tests that tell venues apart by their frames, which the copy's are not."""

CHEAP = "tests/conformance/test_conversation.py"


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of the program and of its tests, with one folder more."""
    place = tmp_path_factory.mktemp("copied")
    for part in ("data_collector", "tests"):
        shutil.copytree(ROOT / part, place / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", place)
    venues = place / "data_collector" / "venues"
    shutil.copytree(venues / ORIGINAL, venues / COPY)
    for path in (venues / COPY).rglob("*"):
        if path.suffix in TEXTS:
            path.write_text(path.read_text(encoding="utf-8").replace(ORIGINAL, COPY), encoding="utf-8")
    return place


def conforms(place: Path, *chosen: str) -> None:
    """Those of the suite's tests that are about the copy pass, all of them."""
    command = [
        sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "-k", f"{COPY} and not {ALIKE}",
        "--deselect", "tests/conformance/test_one_folder.py", *chosen,
    ]  # fmt: skip
    environment = {name: text for name, text in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        command, cwd=place, env=environment | {"PYTHONPATH": str(place)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-8_000:] + done.stderr[-2_000:]
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout


def test_copy_talks_as_a_venue(copied: Path) -> None:
    conforms(copied, CHEAP)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("marks", ["not slow and not long", pytest.param("", marks=pytest.mark.long)])
def test_copy_does_all_that_a_venue_does(copied: Path, marks: str) -> None:
    conforms(copied, "tests/conformance", "-m", marks)


def test_commands_know_the_copy_and_its_settings(copied: Path, tmp_path: Path) -> None:
    """Whatever is made of the names of venues: choices of commands, variables, what is refused."""
    environment = os.environ | {"PYTHONPATH": str(copied), "EXCHANGES": COPY, "NOWHERE_SYMBOLS": "BTC USD"}

    done = subprocess.run(
        [sys.executable, "-m", "data_collector", "plan"], cwd=tmp_path, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip

    assert done.returncode == 78
    assert "NOWHERE_SYMBOLS" in done.stdout + done.stderr
