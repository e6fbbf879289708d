"""A first start on a strange machine: which Python is taken, and what is said when there is none or packages lack."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from data_collector.model.errors import Misconfigured
from tests.docs.tree import ROOT

BROKEN_SHIM = "echo 'command not found' >&2; exit 127"
TOO_OLD = "exit 1"
WITHOUT_VENV = 'case "$2" in *ensurepip*) exit 1 ;; esac'
WORKING = f'exec "{sys.executable}" "$@"'


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """The only folder on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


def test_a_shim_that_does_not_run_is_passed_over(programs: Path, tmp_path: Path) -> None:
    put(programs / "python3.14", BROKEN_SHIM)
    put(programs / "python3.12", TOO_OLD)
    put(programs / "python3", WORKING)

    made = make_venv(programs, tmp_path / "environment")

    assert made.returncode == 0, made.stderr
    python = tmp_path / "environment" / "bin" / "python"
    assert subprocess.run([python, "-m", "pip", "--version"], check=False, capture_output=True).returncode == 0


def test_without_a_suitable_python_it_says_which_are(programs: Path, tmp_path: Path) -> None:
    put(programs / "python3", TOO_OLD)

    made = make_venv(programs, tmp_path / "environment")

    assert made.returncode == 1
    assert last_line(made.stderr).startswith("No Python 3.11, 3.12, 3.13 or 3.14 was found.")


def test_a_named_python_is_the_only_one_tried(programs: Path, tmp_path: Path) -> None:
    put(programs / "python3", WORKING)

    made = make_venv(programs, tmp_path / "environment", PYTHON="python9")

    assert made.returncode == 1
    assert last_line(made.stderr).startswith("PYTHON=python9 does not run")


def test_a_python_without_venv_names_the_package_that_brings_it(programs: Path, tmp_path: Path) -> None:
    put(programs / "python3.12", WITHOUT_VENV)

    made = make_venv(programs, tmp_path / "environment")

    assert made.returncode == 1
    assert last_line(made.stderr).startswith("python3.12 lacks the venv module.")


def test_a_failing_pip_ends_with_the_cure(programs: Path, tmp_path: Path) -> None:
    put(tmp_path / "environment" / "bin" / "python", 'case "$*" in *install*) echo "no route" >&2; exit 1 ;; esac')

    made = make_venv(programs, tmp_path / "environment", "-r", "requirements.txt")

    assert made.returncode == 1
    assert "about a minute" in made.stdout, "pip is quiet, and so is the first start that waits for it"
    assert "no route" in made.stderr
    assert last_line(made.stderr).startswith("It needs a package index")


@pytest.mark.parametrize("words", [("-m", "data_collector"), ("-m", "data_collector", "tail", "BTCUSDT"), ("api.py",)])
def test_without_the_packages_of_the_service_a_start_says_how_to_get_them(words: tuple[str, ...]) -> None:
    # `-S`: a Python that sees none of the packages of its environment.
    ended = subprocess.run([sys.executable, "-S", *words], cwd=ROOT, capture_output=True, text=True, check=False)

    assert ended.returncode == Misconfigured.exit_code
    assert ended.stdout == ""
    assert last_line(ended.stderr) == ended.stderr.rstrip("\n")
    assert "pip install 'btc-data-collector[service]'" in ended.stderr


def put(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)


def make_venv(programs: Path, folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / ".ci" / "venv", folder, *arguments],
        env={"PATH": str(programs)} | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def last_line(text: str) -> str:
    return text.strip().splitlines()[-1]
