"""PostgreSQL read in bulk, by COPY. The only module that sees the driver."""

from __future__ import annotations

import asyncio
import ssl
from threading import Thread
from urllib.parse import parse_qsl

import asyncpg

from data_collector.client.errors import DatabaseAway, WrongQuestion, reason_of
from data_collector.client.reading.questions import DatabaseCopy

CONNECT_TIMEOUT_S = 10.0
COMMAND_TIMEOUT_S = 120.0
"""For a page of rows."""

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
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
            await self.close()
            raise DatabaseAway(f"PostgreSQL cannot be read ({reason_of(error)}); DATABASE_URL names it.") from None
        except ValueError:
            # The driver's words quote the text of the URL, and that may hold the password.
            raise WrongQuestion(
                "database= cannot be read; write postgresql://USER:PASSWORD@HOST:5432/DATABASE"
            ) from None
        return b"".join(parts)

    async def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(
                self._dsn, timeout=CONNECT_TIMEOUT_S, command_timeout=COMMAND_TIMEOUT_S, server_settings=_SESSION,
                ssl=_tls_context(self._dsn), statement_cache_size=0,
            )  # fmt: skip
        return self._connection


class Database:
    """The same for who does not run an event loop: it has one of its own, in a thread."""

    def __init__(self, dsn: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="data-collector postgres", daemon=True)
        self._thread.start()
        self._database = AsyncDatabase(dsn)

    def copy(self, asked: DatabaseCopy) -> bytes:
        """Raises `DatabaseAway` and `WrongQuestion`."""
        return asyncio.run_coroutine_threadsafe(self._database.copy(asked), self._loop).result()

    def close(self) -> None:
        """Hang up."""
        if not self._loop.is_closed():
            asyncio.run_coroutine_threadsafe(self._database.close(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()


def _tls_context(dsn: str) -> ssl.SSLContext | None:
    """TLS that is asked for is verified."""
    asked = dict(parse_qsl(dsn.partition("?")[2]))
    if asked.get("sslmode") not in _ASKING_FOR_TLS:
        return None
    context = ssl.create_default_context(cafile=asked.get("sslrootcert"))
    if "sslcert" in asked:
        context.load_cert_chain(asked["sslcert"], asked.get("sslkey"))
    return context
