"""Connections to PostgreSQL, and what values they take.

A connection may be one of a pooler's, lent for a transaction at a time: statements have no names, and what lasts longer
than a transaction is set by parameters of the start that poolers carry from one server connection to the next.

TLS that is asked for is verified. To libpq, `sslmode=require` is an encrypted connection to whoever answers; here every
mode that asks for TLS checks the certificate and the host name, as `rediss://` does.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import partial
from urllib.parse import parse_qsl

import asyncpg

from data_collector.model.errors import Misconfigured
from data_collector.sinks.postgres.failures import SCHEMAS_BY_LOGIN, named_failures, place_of

CONNECT_TIMEOUT_S = 10.0
COMMAND_TIMEOUT_S = 60.0
"""For one statement. A machine that vanished answers nothing at all, and somebody waits."""

_ASKING_FOR_TLS = frozenset({"require", "verify-ca", "verify-full"})
"""Values of `sslmode` that ask for TLS; the others leave it to the server, and nothing is verified then."""

_SESSION = {"timezone": "UTC", "datestyle": "ISO"}
"""Parameters of the start that PgBouncer takes, as it takes the name of the application. It refuses all others, or
leaves them out."""

_EXCHANGE = re.compile(r"[A-Za-z0-9_.-]{1,48}")
"""PostgreSQL cuts the name of an application at 63 characters."""

PostgresPool = asyncpg.Pool
"""For those who pass it on and do not see the driver."""


async def open_pool(
    dsn: str,
    *,
    size: int = 4,
    lazy: bool = False,
    command_timeout_s: float = COMMAND_TIMEOUT_S,
    exchange: str | None = None,
) -> asyncpg.Pool:
    """A pool whose connections take ISO text or datetime for timestamptz, and int, float, str or Decimal for numeric.

    `lazy`: connections are opened when they are asked for, so that the pool exists while the server is away.
    Rows that are put in without an exchange are of this `exchange`; without one, of the first that there was.
    Raises `Misconfigured` for a wrong password, database, certificate or URL, `SinkUnavailable` when nobody answers.
    """
    context = _tls_context(dsn)
    schemas = dict(parse_qsl(dsn.partition("?")[2])).get("search_path")
    session = {"application_name": _application(exchange)} | _SESSION

    async def begin(connection: asyncpg.Connection) -> None:
        await _set_codecs(connection)
        if schemas is not None:
            await _demand_schemas(connection, schemas)

    try:
        with named_failures(place_of(dsn)):
            return await asyncpg.create_pool(
                dsn,
                min_size=0 if lazy else 1,
                max_size=size,
                ssl=context,
                init=begin,
                reset=partial(_reset, session=session),
                timeout=CONNECT_TIMEOUT_S,
                command_timeout=command_timeout_s,
                server_settings=session,
                statement_cache_size=0,
            )
    except ValueError:
        # The driver's words quote the text of the URL, and that holds the password.
        raise Misconfigured(
            "DATABASE_URL cannot be read; write postgresql://USER:PASSWORD@HOST:5432/DATABASE, with every character "
            "of the password that is no letter or digit as a percent escape (@ is %40)"
        ) from None


def _tls_context(dsn: str) -> ssl.SSLContext | None:
    """For a URL that asks for TLS; None for one that does not. Raises `Misconfigured` for a file that cannot be read.

    `sslrootcert` names one's own authority, `sslcert` and `sslkey` the certificate of a client.
    """
    asked = dict(parse_qsl(dsn.partition("?")[2]))
    if asked.get("sslmode") not in _ASKING_FOR_TLS:
        return None
    try:
        context = ssl.create_default_context(cafile=asked.get("sslrootcert"))
        if "sslcert" in asked:
            context.load_cert_chain(asked["sslcert"], asked.get("sslkey"))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise Misconfigured(f"a certificate or key that DATABASE_URL names cannot be read: {reason}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _application(exchange: str | None) -> str:
    """By which the default of the column `exchange` knows (migration 9). Raises `Misconfigured`."""
    if exchange is None:
        return "data-collector"
    if _EXCHANGE.fullmatch(exchange) is None:
        raise Misconfigured(f"the name of an exchange has up to 48 letters, digits, _ . and -, and not {exchange!r}")
    return f"data-collector/{exchange}"


async def _reset(connection: asyncpg.Connection, session: Mapping[str, str]) -> None:
    """Leave nothing of a user's. To a pooler, RESET ALL asks for the server's own settings: ours follow at once."""
    ours = "; ".join(f"set {name} = '{value}'" for name, value in session.items())
    await connection.execute(f"{connection.get_reset_query()} {ours}")


async def _demand_schemas(connection: asyncpg.Connection, schemas: str) -> None:
    """Raise `Misconfigured` where a pooler has dropped `?search_path=`, before anything lands in another schema."""
    found = str(await connection.fetchval("select current_setting('search_path')"))
    if found != schemas:
        raise Misconfigured(f"DATABASE_URL asks for search_path={schemas}, and {SCHEMAS_BY_LOGIN} (it is {found} now)")


async def _set_codecs(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec("numeric", schema="pg_catalog", encoder=_number_text, decoder=Decimal)
    await connection.set_type_codec("timestamptz", schema="pg_catalog", encoder=_time_text, decoder=_time)


def _number_text(value: object) -> str:
    """The shortest text that means the number: of a float what Python shows, not its fifty binary digits."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ValueError(f"a number is an int, float, str or Decimal, not {type(value).__name__}")  # noqa: TRY004 (the driver names the argument then)
    return str(value)


def _time_text(value: object) -> str:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("a time needs its offset: datetime.now(UTC), not datetime.now()")
        return value.isoformat()
    if isinstance(value, str):
        return value
    raise ValueError(f"a time is ISO text or an aware datetime, not {type(value).__name__}")


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise Misconfigured(f"{text} in a time column is beyond what Python's datetime holds") from None
