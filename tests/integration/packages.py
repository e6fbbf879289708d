"""Programs that a few tests need and only Debian's packages have."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path


def install(program: Path, package: str) -> str | None:
    """Make `program` exist and return why it could not be."""
    if program.exists():
        return None
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return f"there is no {program}, and only root can install it (apt-get install {package})"
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update", "-q"], ["install", "-yq", "--no-install-recommends", package]):
        ended = subprocess.run(["apt-get", *words], env=environment, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        return f"apt-get could not install {package}: {ended.stderr[-500:]}"
    # Some machines start it as a service at once, on the port that users take for their own.
    subprocess.run(["service", package, "stop"], capture_output=True, check=False)
    return None
