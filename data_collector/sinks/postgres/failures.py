"""From the driver's errors to ours: what the catcher does, in a sentence that shows no password."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import asyncpg

from data_collector.model.errors import CollectorError, Misconfigured, RowsRefused, SinkUnavailable, TablesMissing

_PASSING_CLASSES = frozenset({"08", "40", "53", "55", "57", "58", "XX"})
"""Classes of SQLSTATE that pass without anybody changing a setting: connection, roll-back, resources (a full disk),
a lock, an operator's stop, the system, an internal fault."""

_ROW_CLASSES = frozenset({"22", "23"})
"""Data that does not fit, and constraints that it breaks: other rows may be good."""

_UNTRANSLATABLE = "22P05"
"""A character that the database's encoding does not have."""

_NO_TABLE = "42P01"

_READ_ONLY = "25006"
"""A server that a fail-over made a standby: the next connection may reach the new first one."""

SCHEMAS_BY_LOGIN = (
    "a pooler between us and PostgreSQL does not pass that on: leave it out of the URL, and let the login have it "
    "(ALTER ROLE … SET search_path = …)"
)

_START_PARAMETER = "unsupported startup parameter"
_BY_STATEMENT = "statement pooling mode"
"""What PgBouncer refuses for good; its SQLSTATE is that of a broken connection."""


@contextmanager
def named_failures(place: str) -> Iterator[None]:
    """Turn what the driver raises inside into `SinkUnavailable` (try again) or `Misconfigured` (somebody must act)."""
    try:
        yield
    except asyncpg.PostgresError as error:
        raise _of_server(error, place) from None
    except asyncpg.ClientConfigurationError:
        # A ValueError that the caller tells: only it knows that the URL is at fault.
        raise
    except ssl.SSLCertVerificationError as error:
        raise Misconfigured(
            f"PostgreSQL at {place} shows a certificate that cannot be trusted ({error.verify_message}); name its "
            "authority with ?sslmode=verify-full&sslrootcert=FILE in DATABASE_URL, or give it one for this name"
        ) from error
    except (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        raise SinkUnavailable(f"PostgreSQL at {place} does not answer ({_reason(error)})") from error


def place_of(dsn: str) -> str:
    """Host, port and database of a URL, for sentences; nothing of the user or the password."""
    address, _, options = dsn.partition("://")[2].partition("?")
    if "@" in options and "@" not in address:
        # The question mark may belong to the password, or a password stands among the options.
        return "DATABASE_URL"
    bare = f"//{address.rpartition('@')[2]}"
    try:
        parts = urlsplit(bare)
        host, port = parts.hostname or "localhost", parts.port or 5432
    except ValueError:
        return "DATABASE_URL"
    return f"{f'[{host}]' if ':' in host else host}:{port}{parts.path}"


def _of_server(error: asyncpg.PostgresError, place: str) -> CollectorError:
    state, text = error.sqlstate or "", str(error)
    if (refusal := _of_pooler(text, place)) is not None:
        return refusal
    if state[:2] in _PASSING_CLASSES or state == _READ_ONLY:
        return SinkUnavailable(f"PostgreSQL at {place} cannot serve now ({text})")
    if state[:2] in _ROW_CLASSES:
        return RowsRefused(_of_rows(state, text, place))
    if isinstance(error, asyncpg.InvalidCatalogNameError):
        return Misconfigured(f"PostgreSQL at {place} has no such database ({text}); create it, or mend DATABASE_URL")
    if state[:2] == "28":
        return Misconfigured(f"PostgreSQL at {place} refuses the login ({text}); mend user or password in DATABASE_URL")
    kind = TablesMissing if state == _NO_TABLE else Misconfigured
    return kind(f"PostgreSQL at {place} refuses the request ({text})")


def _of_pooler(text: str, place: str) -> Misconfigured | None:
    if _START_PARAMETER in text:
        named = text.rpartition(_START_PARAMETER)[2].strip(" :)")
        return Misconfigured(f"DATABASE_URL for {place} sets {named}, and {SCHEMAS_BY_LOGIN}")
    if _BY_STATEMENT in text:
        return Misconfigured(
            f"PgBouncer at {place} pools by statement, and rows are written in transactions: set pool_mode = "
            "transaction or session for this database"
        )
    return None


def _of_rows(state: str, text: str, place: str) -> str:
    if state == _UNTRANSLATABLE:
        return (
            f"the encoding of the database at {place} cannot hold this name ({text}): make one with "
            "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0, and name it in DATABASE_URL"
        )
    return f"PostgreSQL at {place} refuses the rows ({text})"


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error) or type(error).__name__
