"""A real TimescaleDB for tests: that of PG_TEST_DSN, or the one that Debian trixie has, run beside any other Debian.

Its packages are fetched from the machine's own mirror by the machine's own apt, verified by apt, and unpacked into a
folder; nothing is installed. The programs run through the loader that was unpacked with them, so that neither this
system's libc nor a chroot matters, and no root is needed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import NO_TIMESCALE
from tests.integration.postgres_server import fresh_database, postgres_server, rows

PACKAGE = "postgresql-17-timescaledb"
SUITE = "trixie"

UNUSED = ("libllvm", "libz3", "libperl", "perl", "locales", "libc-l10n", "openssl", "tzdata", "debconf")
"""Packages that are not unpacked: a just-in-time compiler is never loaded here, and nothing is configured."""

APT_TIMEOUT_S = 50
"""For one call; a mirror that is too slow for it makes a skip."""

_OFFERED = """
select count(*) from pg_available_extensions
where name = 'timescaledb' and current_setting('shared_preload_libraries') like '%timescaledb%'
"""


@pytest.fixture(scope="session")
def timescale_server() -> Iterator[str]:
    """A login to a server that has TimescaleDB, or a skip that says why there is none."""
    given = os.environ.get("PG_TEST_DSN")
    if given and rows(given, _OFFERED) == [(1,)]:
        yield given
        return
    with postgres_server(programs=_programs(), libraries="timescaledb") as server:
        yield server.dsn


@pytest.fixture
def timescale(timescale_server: str) -> Iterator[str]:
    """The DSN of an empty database in which the extension is not created."""
    with fresh_database(timescale_server) as dsn:
        yield dsn


def _programs() -> Path:
    """The folder with `initdb` and `postgres`, unpacked by the first test run that needs it and kept for the next."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        pytest.skip(f"{NO_TIMESCALE}, and no apt to fetch one with")
    cache = Path(tempfile.gettempdir()) / f"dc-timescale-{SUITE}-{os.getuid()}"
    cache.mkdir(mode=0o755, exist_ok=True)
    if cache.stat().st_uid != os.getuid():
        pytest.skip(f"{NO_TIMESCALE}, and {cache} belongs to somebody else")
    with (cache / "lock").open("w") as lock:
        # Two workers of one test run.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (cache / "root").exists():
            try:
                _unpack(cache)
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
                pytest.skip(f"{NO_TIMESCALE}, and it cannot be fetched by apt: {_reason(error)}")
    return next((cache / "root/usr/lib/postgresql").glob("*/bin"))


def _unpack(cache: Path) -> None:
    """Everything that the package needs, down to libc: 97 MB to fetch, 12 s in all on two shared cores."""
    with tempfile.TemporaryDirectory(dir=cache) as name:
        folder = Path(name)
        words = _apt_words(folder)
        _run([*words, "update"])
        _run([*words, "install", "--yes", "--download-only", PACKAGE])
        root = folder / "root"
        for package in sorted((folder / "cache/archives").glob("*.deb")):
            if not package.name.startswith(UNUSED):
                _run(["dpkg-deb", "--extract", str(package), str(root)])
        _run_through_their_loader(root, next((root / "usr/lib/postgresql").glob("*/bin")), cache / "root")
        root.rename(cache / "root")


def _apt_words(folder: Path) -> list[str]:
    """An apt that knows the mirror, the keys and the proxy of this machine, and takes nothing to be installed."""
    for part in ("state/lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True)
    (folder / "status").touch()
    (folder / "sources.list").write_text(f"deb {_mirror()} {SUITE} main\n")
    options = {
        "Dir::Etc::sourcelist": folder / "sources.list", "Dir::Etc::sourceparts": "-", "Dir::State": folder / "state",
        "Dir::State::status": folder / "status", "Dir::Cache": folder / "cache", "Acquire::Languages": "none",
        "APT::Install-Recommends": "false", "APT::Sandbox::User": "",
        # Nobody else works in this folder, and the system's own locks are none of its business.
        "Debug::NoLocking": "true",
    }  # fmt: skip
    return ["apt-get", "--quiet", *(f"--option={name}={value}" for name, value in options.items())]


def _mirror() -> str:
    """Where this machine gets Debian itself from."""
    words = ["apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages"]
    for line in _run(words).splitlines():
        label, _, url = line.partition(" ")
        if label == "Debian":
            return url
    pytest.skip(f"{NO_TIMESCALE}, and this machine's apt knows no mirror of Debian")


def _run_through_their_loader(root: Path, programs: Path, kept: Path) -> None:
    """Put a script in the place of each program; PostgreSQL finds its other files by the name it was called by."""
    libraries = next((root / "usr/lib").glob("*-linux-gnu"))
    loader = next(libraries.glob("ld-linux-*.so.*"))
    for program in ("initdb", "postgres"):
        path = programs / program
        path.rename(programs / f"{program}.real")
        place, loaded, found = (kept / each.relative_to(root) for each in (path, loader, libraries))
        path.write_text(f'#!/bin/sh\nexec {loaded} --library-path {found} --argv0 {place} {place}.real "$@"\n')
        path.chmod(0o755)


def _run(words: list[str]) -> str:
    answer = subprocess.run(words, check=True, capture_output=True, text=True, timeout=APT_TIMEOUT_S, cwd="/")
    return answer.stdout


def _reason(error: subprocess.CalledProcessError | subprocess.TimeoutExpired) -> str:
    if isinstance(error, subprocess.TimeoutExpired):
        return f"{error.cmd[0]} took over {error.timeout} s"
    with suppress(IndexError):
        return str(error.stderr).strip().splitlines()[-1]
    return str(error)
