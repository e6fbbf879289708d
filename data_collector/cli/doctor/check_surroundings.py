"""What `doctor` checks on this machine: Python, folder, disk, port. All functions block for a moment."""

from __future__ import annotations

import http.client
import os
import platform
import shutil
import socket
import sys
from pathlib import Path

import msgspec
from msgspec import Struct

from data_collector.cli.doctor.finding import Finding
from data_collector.embedded.binary import server_binary
from data_collector.model.errors import Misconfigured
from data_collector.settings import Settings

PYTHON_OLDEST, PYTHON_NEWEST = (3, 11), (3, 14)
SYSTEMS = ("Linux", "Darwin")

DISK_WARN_BYTES = 2 * 1024**3
DISK_FAIL_BYTES = 200 * 1024**2
"""The append-only file of a small store and its rewrite fit into the first; nothing useful fits into the second."""

PORT_TIMEOUT_S = 2.0


class _Health(Struct):
    service: str = ""
    status: str = ""


def check_platform() -> Finding:
    """Python and the system."""
    seen = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    if not PYTHON_OLDEST <= sys.version_info[:2] <= PYTHON_NEWEST:
        return Finding("platform", "fail", seen, "Use Python 3.11, 3.12, 3.13 or 3.14.")
    if platform.system() not in SYSTEMS:
        return Finding("platform", "fail", seen, "Use Linux or macOS, or the container image.")
    return Finding("platform", "ok", seen)


def check_folder(settings: Settings) -> list[Finding]:
    """Whether the data folder, or the nearest parent that exists, can be written to and has room."""
    folder = settings.var_dir.resolve()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    named = str(folder) if existing == folder else f"{folder} (will be made in {existing})"
    cure = "Make it writable for this user, or choose another folder with VAR_DIR."
    if not existing.is_dir():
        return [Finding("folder", "fail", f"{existing} is not a folder", cure)]
    if not os.access(existing, os.R_OK | os.W_OK | os.X_OK):
        return [Finding("folder", "fail", f"{named}: this user may not write there", cure)]
    return [Finding("folder", "ok", named), _check_disk(existing)]


def _check_disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    seen = f"{free / 1024**3:.1f} GiB free"
    if free < DISK_FAIL_BYTES:
        return Finding("disk", "fail", seen, "Free some space, or choose a folder on another disk with VAR_DIR.")
    if free < DISK_WARN_BYTES:
        return Finding("disk", "warn", seen, "The store may fill this: free some space, or lower TRADES_MAXLEN.")
    return Finding("disk", "ok", seen)


def check_port(settings: Settings) -> Finding:
    """Whether HOST:PORT can be listened on, or is in use by a collector."""
    place = f"{settings.host}:{settings.port}"
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except socket.gaierror:
            return Finding("port", "fail", f"{settings.host} is not known here", "Set HOST to an address or localhost.")
        except PermissionError:
            return Finding("port", "fail", f"{place} needs more rights", "Choose a PORT above 1023.")
        except OSError as error:
            reason = error.strerror or type(error).__name__
        else:
            return Finding("port", "ok", f"{place} is free")
    status = _collector_at(settings)
    if status is not None:
        return Finding("port", "ok", f"{place} is a running collector ({status})")
    return Finding("port", "fail", f"{place}: {reason}", "End what listens there, or choose another PORT.")


def _collector_at(settings: Settings) -> str | None:
    """The status that a collector at the port tells; None when it is something else."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 (compared, not bound)
    connection = http.client.HTTPConnection(host, settings.port, timeout=PORT_TIMEOUT_S)
    try:
        connection.request("GET", "/health")
        health = msgspec.json.decode(connection.getresponse().read(64 * 1024), type=_Health)
    except (OSError, http.client.HTTPException, msgspec.MsgspecError, RecursionError):
        return None
    finally:
        connection.close()
    return health.status if health.service == "data-collector" else None


def check_binary() -> Finding:
    """Whether the embedded server's program is there, for the start that will need it."""
    try:
        server_binary()
    except Misconfigured as error:
        return Finding("store", "fail", str(error), "Install the requirements, or set REDIS_URL.")
    return Finding("store", "ok", "none runs now; the embedded one will be started")
