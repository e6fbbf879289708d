"""Virtual environments for what does not belong into that of the tests, below `.venv-foreign/`; made once."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from tests.docs.tree import ROOT

INSTALL_TIMEOUT_S = 400


def environment_of(client: str, *, sees_ours: bool = False) -> Path:
    """The Python of the environment that `{client}.txt` pins.

    With `sees_ours` it holds no more than that, and finds what else it needs among the packages of the tests.
    """
    folder = ROOT / ".venv-foreign" / client
    requirements = ROOT / "tests" / "foreign" / f"{client}.txt"
    digest = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    stamp, python = folder / "stamp", folder / "bin" / "python"
    if stamp.exists() and stamp.read_text() == digest:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder)
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
