"""Prometheus and promtool, installed by apt where we may."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docs.tree import ROOT

PROMETHEUS = ROOT / "deploy" / "prometheus"
GRAFANA = ROOT / "deploy" / "grafana"

NO_PROMETHEUS = "there is no Prometheus on this machine, and only root can install one"


def program(name: str) -> str:
    """The path of `prometheus` or `promtool`; the test is skipped where there is none."""
    found = shutil.which(name)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        # Another test may be installing something at the same time.
        apt = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=60"]
        for words in (["update"], ["install", "-y", "--no-install-recommends", "prometheus"]):
            subprocess.run([*apt, *words], env=environment, capture_output=True, check=False)
        found = shutil.which(name)
    if found is None:
        pytest.skip(NO_PROMETHEUS)
    return found


def promtool(*words: str | Path, given: bytes = b"") -> str:
    """What it says to a check; the test fails when the check does."""
    ran = subprocess.run(
        [program("promtool"), *words], input=given, cwd=PROMETHEUS, capture_output=True, timeout=60, check=False
    )
    told = (ran.stdout + ran.stderr).decode()
    assert ran.returncode == 0, told
    return told
