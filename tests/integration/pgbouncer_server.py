"""PgBouncer as Debian packages it, in front of a real PostgreSQL: a process of our own."""

from __future__ import annotations

import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

import pytest

from data_collector.embedded.peer import free_port
from data_collector.embedded.postgres import server_user
from tests.integration.packages import install
from tests.integration.waiting import DEADLINE_S, until

PROGRAM = Path("/usr/sbin/pgbouncer")

CONFIGURATION = """
[databases]
{database} = host={host} port={port} user={user} password='{password}'

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = 3
server_check_delay = 0
{more}
"""


@contextmanager
def pgbouncer(
    dsn: str, mode: Literal["session", "transaction", "statement"] = "transaction", *, more: str = ""
) -> Iterator[str]:
    """The DSN of the same database through a pooler, gone with the block; `more` is a line of its settings.

    Skips where there is no PgBouncer.
    """
    reason = install(PROGRAM, "pgbouncer")
    if reason is not None:
        pytest.skip(reason)
    server, listen, user = urlsplit(dsn), free_port(), server_user()
    # Not pytest's folder: the pooler is another user where tests run as root, and that one may not pass there.
    with tempfile.TemporaryDirectory(prefix="dc-pgbouncer-") as name:
        folder = Path(name)
        (folder / "pgbouncer.ini").write_text(
            CONFIGURATION.format(
                database=server.path[1:], host=server.hostname, port=server.port or 5432,
                user=unquote(server.username or "postgres"),
                password=unquote(server.password or "none"), listen=listen, mode=mode, more=more,
            )
        )  # fmt: skip
        folder.chmod(0o755)
        process = subprocess.Popen(
            [PROGRAM, "-q", folder / "pgbouncer.ini"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            user=None if user is None else user.pw_uid, extra_groups=None if user is None else [],
        )  # fmt: skip
        through = f"postgresql://anybody@127.0.0.1:{listen}{server.path}"
        try:
            until(lambda: _listens(listen), "an answer of PgBouncer", output=lambda: f"exit code {process.poll()}")
            yield through
        finally:
            process.terminate()
            process.wait(DEADLINE_S)


@pytest.fixture
def pooler(database: str) -> Iterator[str]:
    """The DSN of the empty `database` through a pooler whose transactions share connections."""
    with pgbouncer(database) as dsn:
        yield dsn


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
