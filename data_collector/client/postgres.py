"""PostgreSQL read in bulk, by COPY, and how a connection is opened."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Coroutine
from threading import Thread
from typing import TypeVar
from urllib.parse import parse_qsl

import asyncpg

from data_collector.client.errors import DatabaseAway, WrongQuestion, reason_of
from data_collector.client.reading.questions import DatabaseCopy

CONNECT_TIMEOUT_S = 10.0
COMMAND_TIMEOUT_S = 120.0
"""For a page of rows."""

DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""What a connection raises when PostgreSQL is away, or refuses."""

WRONG_DATABASE = "database= cannot be read; write postgresql://USER:PASSWORD@HOST:5432/DATABASE"

_Answer = TypeVar("_Answer")

_ASKING_FOR_TLS = frozenset({"require", "verify-ca", "verify-full"})
_SESSION = {"application_name": "data-collector client", "timezone": "UTC", "datestyle": "ISO"}


class AsyncDatabase:
    """One connection, opened when it is first asked."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: asyncpg.Connection | None = None
        self._turn = asyncio.Lock()

    async def copy(self, asked: DatabaseCopy) -> bytes:
        """Raises `DatabaseAway` and `WrongQuestion`."""
        parts: list[bytes] = []

        async def take(part: bytes) -> None:
            (asked.take or parts.append)(part)

        try:
            async with self._turn:
                connection = await self._connected()
                await connection.copy_from_query(asked.query, *asked.arguments, output=take, format="csv")
        except ValueError:
            # One of the driver's errors is one too: its words quote the text of the URL, which may hold the password.
            raise WrongQuestion(WRONG_DATABASE) from None
        except DRIVER_ERRORS as error:
            await self.close()
            raise DatabaseAway(f"PostgreSQL cannot be read ({reason_of(error)}); DATABASE_URL names it.") from None
        return b"".join(parts)

    async def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await connected(self._dsn)
        return self._connection


class LoopThread:
    """An event loop in a thread of its own, for who does not run one."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="data-collector postgres", daemon=True)
        self._thread.start()

    @property
    def is_closed(self) -> bool:
        """Whether it has ended."""
        return self._loop.is_closed()

    def run(self, asked: Coroutine[object, object, _Answer]) -> _Answer:
        """Its answer; Ctrl-C cancels it."""
        future = asyncio.run_coroutine_threadsafe(asked, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """End it."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Database:
    """The same for who does not run an event loop."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._process = os.getpid()
        self._thread = LoopThread()
        self._database = AsyncDatabase(dsn)
        self._forked_from: tuple[LoopThread, AsyncDatabase] | None = None
        """Not let go: its connection is another process's."""

    def copy(self, asked: DatabaseCopy) -> bytes:
        """Raises `DatabaseAway` and `WrongQuestion`."""
        if self._process != os.getpid():
            # Forked: no thread has come along.
            self._forked_from = self._thread, self._database
            self._process, self._thread, self._database = os.getpid(), LoopThread(), AsyncDatabase(self._dsn)
        return self._thread.run(self._database.copy(asked))

    def close(self) -> None:
        """Hang up."""
        if self._process == os.getpid() and not self._thread.is_closed:
            self._thread.run(self._database.close())
            self._thread.close()


async def connected(dsn: str, command_timeout_s: float | None = COMMAND_TIMEOUT_S) -> asyncpg.Connection:
    """A connection. Raises `DRIVER_ERRORS`, and ValueError for what is no address."""
    return await asyncpg.connect(
        dsn, timeout=CONNECT_TIMEOUT_S, command_timeout=command_timeout_s, server_settings=_SESSION,
        ssl=_tls_context(dsn), statement_cache_size=0,
    )  # fmt: skip


def _tls_context(dsn: str) -> ssl.SSLContext | None:
    """TLS that is asked for is verified."""
    asked = dict(parse_qsl(dsn.partition("?")[2]))
    if asked.get("sslmode") not in _ASKING_FOR_TLS:
        return None
    context = ssl.create_default_context(cafile=asked.get("sslrootcert"))
    if "sslcert" in asked:
        context.load_cert_chain(asked["sslcert"], asked.get("sslkey"))
    return context
