"""Virtual environments for what does not belong into that of the tests, below `.venv-foreign/`; made once."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from tests.docs.tree import ROOT

INSTALL_TIMEOUT_S = 400


def newer_python(minor: int) -> Path | None:
    """One of 3.`minor`, where this machine has it; shims of pyenv may be there and start nothing."""
    named = shutil.which(f"python3.{minor}")
    kept = sorted((Path.home() / ".pyenv" / "versions").glob(f"3.{minor}.*/bin/python3"))
    for python in [*([Path(named)] if named else []), *kept]:
        asked: list[str | Path] = [python, "-c", f"import sys, venv; sys.exit(sys.version_info[:2] != (3, {minor}))"]
        if subprocess.run(asked, capture_output=True, check=False).returncode == 0:
            return python
    return None


def environment_of(client: str, *, sees_ours: bool = False, made_by: Path | None = None) -> Path:
    """The Python of the environment that `{client}.txt` pins; another Python than ours may have it made.

    With `sees_ours` it holds no more than that, and finds what else it needs among the packages of the tests.
    """
    folder = ROOT / ".venv-foreign" / client
    requirements = ROOT / "tests" / "foreign" / f"{client}.txt"
    version = str(made_by) if made_by else sys.version
    digest = hashlib.sha256(requirements.read_bytes() + version.encode()).hexdigest()
    stamp, python = folder / "stamp", folder / "bin" / "python"
    if stamp.exists() and stamp.read_text() == digest:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    if made_by is None:
        venv.create(folder)
    else:
        subprocess.run([made_by, "-m", "venv", "--without-pip", folder], check=True)
    if sees_ours:
        (site,) = folder.glob("lib/python*/site-packages")
        (site / "seen.pth").write_text(sysconfig.get_path("purelib"))
    # With our own pip, and without compiling: most of what is installed is never imported.
    install: list[str | Path] = [
        sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--disable-pip-version-check",
        "--no-compile", *(["--no-deps"] if sees_ours else []), "-r", requirements,
    ]  # fmt: skip
    done = subprocess.run(install, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    stamp.write_text(digest)
    return python


def said_by(python: Path, *words: str) -> str:
    """What a program prints that ends by itself, started in the clone."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([python, *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
