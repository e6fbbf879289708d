"""A real PostgreSQL for tests: that of PG_TEST_DSN, or one of our own from the system's or the embedded programs."""

from __future__ import annotations

import asyncio
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from data_collector.embedded.peer import free_port
from data_collector.embedded.postgres import initdb_words, language, programs_for, server_user, server_words
from tests.integration.waiting import DEADLINE_S, Found, until


class PostgresServer:
    """A server on a port of its own, with rows in `folder`; anybody on this machine may log in."""

    def __init__(self, folder: Path, *, fsync: bool = False, programs: Path | None = None, libraries: str = "") -> None:
        """`libraries` are those that the server loads at its start."""
        self.folder = folder
        self.port = free_port()
        self._flags = {"fsync": "on" if fsync else "off", "shared_preload_libraries": libraries}
        self._user = server_user()
        self._programs = _programs(self._user) if programs is None else programs
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def dsn(self) -> str:
        """Of the database that every server has."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    @property
    def pid(self) -> int:
        """Of the server's first process."""
        assert self._process is not None, "not started"
        return self._process.pid

    def make(self) -> None:
        """Its files; call once."""
        if self._user is not None:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        self._run(initdb_words(self._programs, self.folder / "rows", login="trust"))

    def start(self) -> None:
        """Return when it answers. After a kill its children hold the memory for a moment, and it is tried again."""
        self._launch()
        until(self._answers_or_begins_again, "an answer of PostgreSQL")

    def _answers_or_begins_again(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            self._launch()
        return self.answers()

    def _launch(self) -> None:
        flags = {**self._flags, "unix_socket_directories": "", "max_connections": "60"}
        self._process = subprocess.Popen(
            server_words(self._programs, self.folder / "rows", self.port, flags),
            cwd=self.folder, env=language(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            user=None if self._user is None else self._user.pw_uid,
            group=None if self._user is None else self._user.pw_gid,
            extra_groups=None if self._user is None else [],
        )  # fmt: skip

    def end(self, how: signal.Signals = signal.SIGINT) -> None:
        """Return when the process is gone. SIGINT hangs up on everybody and writes everything out."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(DEADLINE_S)

    def answers(self) -> bool:
        """Whether it takes logins now."""
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            execute(self.dsn, "select 1")
            return True
        return False

    def _run(self, words: list[str]) -> None:
        subprocess.run(
            words, cwd=self.folder, env=language(), check=True, stdout=subprocess.DEVNULL,
            user=None if self._user is None else self._user.pw_uid,
            group=None if self._user is None else self._user.pw_gid,
            extra_groups=None if self._user is None else [],
        )  # fmt: skip


@contextmanager
def postgres_server(
    *, fsync: bool = False, programs: Path | None = None, libraries: str = ""
) -> Iterator[PostgresServer]:
    """A running server, gone with the block."""
    # Not pytest's folder: the server is another user where tests run as root, and that one may not pass there.
    folder = Path(tempfile.mkdtemp(prefix="dc-pg-"))
    server = PostgresServer(folder, fsync=fsync, programs=programs, libraries=libraries)
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.end()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def database_server() -> Iterator[str]:
    """A login that may create databases."""
    given = os.environ.get("PG_TEST_DSN")
    if given:
        yield given
        return
    with postgres_server() as server:
        yield server.dsn


@pytest.fixture
def database(database_server: str) -> Iterator[str]:
    """The DSN of an empty database, dropped after the test."""
    with fresh_database(database_server) as dsn:
        yield dsn


@contextmanager
def fresh_database(server: str, encoding: str = "UTF8") -> Iterator[str]:
    """The DSN of an empty database on that server, dropped after the block."""
    name = f"dc_test_{uuid4().hex[:12]}"
    execute(server, f"create database {name} encoding '{encoding}' locale 'C' template template0")
    yield database_named(server, name)
    execute(server, f"drop database {name} with (force)")


def database_named(dsn: str, name: str) -> str:
    """The same server, another database."""
    return re.sub(r"(://[^/]*)(/[^?]*)?", rf"\1/{name}", dsn, count=1)


@contextmanager
def login(dsn: str, *grants: str) -> Iterator[tuple[str, str]]:
    """A user who may log in and do what is granted, such as `select on market_data_gaps`: name, and DSN."""
    name = f"{dsn.rpartition('/')[2].partition('?')[0]}_user"
    execute(dsn, "revoke create on schema public from public", f"create role {name} login password 'secret'")
    scheme, _, rest = dsn.partition("://")
    try:
        execute(dsn, *(f"grant {grant} to {name}" for grant in grants))
        yield name, f"{scheme}://{name}:secret@{rest.rpartition('@')[2]}"
    finally:
        execute(dsn, f"drop owned by {name} cascade", f"drop role {name}")


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """Somebody else's connection, for the length of the block."""
    connection = await asyncpg.connect(dsn, timeout=DEADLINE_S)
    try:
        yield connection
    finally:
        await connection.close()


def execute(dsn: str, *statements: str) -> None:
    """Run statements, one transaction each; async tests may call it too."""
    _apart(_execute(dsn, statements))


def rows(dsn: str, query: str) -> list[tuple[object, ...]]:
    """What a query answers."""
    return _apart(_rows(dsn, query))


def _apart(asked: Coroutine[object, object, Found]) -> Found:
    """In a loop of its own, since the caller may be in one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, asked).result()


async def _execute(dsn: str, statements: tuple[str, ...]) -> None:
    async with connected(dsn) as connection:
        for statement in statements:
            await connection.execute(statement)


async def _rows(dsn: str, query: str) -> list[tuple[object, ...]]:
    async with connected(dsn) as connection:
        return [tuple(row) for row in await connection.fetch(query)]


def _programs(user: pwd.struct_passwd | None) -> Path:
    """The system's newest, or those that come with the embedded one."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return installed[-1].parent if installed else programs_for(user)
