"""`--no-skips`, which CI runs with: only missing recordings excuse a test that did not run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.docs.tree import ROOT

SKIPPED_BY_CHANCE = "import pytest\n\ndef test_it():\n    pytest.skip('no luck')\n"
SKIPPED_FOR_RECORDINGS = (
    "import pytest\nfrom tests.conftest import NO_RECORDINGS\n\ndef test_it():\n    pytest.skip(NO_RECORDINGS)\n"
)


def test_another_skip_turns_the_run_red_and_is_named(tmp_path: Path) -> None:
    ran = run_pytest(tmp_path, SKIPPED_BY_CHANCE, "--no-skips")

    assert ran.returncode == 1
    assert "no luck" in ran.stdout


def test_a_skip_in_a_worker_turns_the_run_red_too(tmp_path: Path) -> None:
    ran = run_pytest(tmp_path, SKIPPED_BY_CHANCE, "--no-skips", "-n", "1")

    assert ran.returncode == 1
    assert "no luck" in ran.stdout


def test_missing_recordings_are_excused(tmp_path: Path) -> None:
    assert run_pytest(tmp_path, SKIPPED_FOR_RECORDINGS, "--no-skips").returncode == 0


def test_elsewhere_a_skip_is_a_skip(tmp_path: Path) -> None:
    assert run_pytest(tmp_path, SKIPPED_BY_CHANCE).returncode == 0


def run_pytest(folder: Path, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    test = folder / "test_it.py"
    test.write_text(text, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.conftest",
        "--rootdir",
        str(folder),
        "-c",
        "/dev/null",
        str(test),
    ]
    return subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, check=False)
