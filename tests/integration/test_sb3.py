"""Agents of Stable-Baselines3 in an environment of their own: they learn what is there, and nothing that is not."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.docs.tree import ROOT
from tests.foreign.environments import environment_of

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]

CUDA = "pip found a torch for CUDA alone: PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu names the other one"


@pytest.fixture(scope="module")
def python() -> Path:
    python = environment_of("sb3", sees_ours=True)
    built = subprocess.run([python, "-c", "import torch; print(torch.version.cuda)"], capture_output=True, check=False)
    if built.stdout.strip() != b"None":
        pytest.skip(CUDA)
    return python


def test_stable_baselines_finds_nothing_to_complain_about(python: Path) -> None:
    assert trained(python, "-W", "error", "-m", "tests.foreign.sb3_trainings", "check", "0") == ""


def test_a_planted_signal_is_learned(python: Path) -> None:
    (_, before, _), *_, (steps, after, t) = judged(python, "planted", 40_960)

    assert steps == 40_960
    assert before < 0 < after
    assert t > 10


def test_nothing_is_learned_of_a_random_walk(python: Path) -> None:
    """Else an agent sees what is yet to come."""
    assert max(t for _, _, t in judged(python, "walk", 102_400)) < 3


def test_one_candle_too_early_is_found(python: Path) -> None:
    """Else the test above would prove nothing."""
    *_, (_, after, t) = judged(python, "leak", 40_960)

    assert after > 0
    assert t > 10


def test_a_seed_decides_the_weights(python: Path) -> None:
    words = ("-m", "tests.foreign.sb3_trainings", "planted", "8192")

    first, second = trained(python, *words), trained(python, *words)

    assert first == second


def test_example_learns_what_is_planted(python: Path, tmp_path: Path) -> None:
    picture = tmp_path / "curve.png"

    said = trained(
        python, str(ROOT / "examples/train_ppo.py"), "--planted", "--steps", "40000", "--picture", str(picture)
    )

    assert "It earns (t = " in said
    assert picture.stat().st_size > 10_000


def judged(python: Path, what: str, steps: int) -> list[tuple[int, float, float]]:
    """Steps of learning, log of equity on later candles, and standard errors from zero."""
    *lines, _ = trained(python, "-m", "tests.foreign.sb3_trainings", what, str(steps)).splitlines()
    return [json.loads(line) for line in lines]


def trained(python: Path, *words: str) -> str:
    """What a program prints."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"}
    ran = subprocess.run([python, *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout
