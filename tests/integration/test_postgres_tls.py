"""TLS to PostgreSQL: who asks for it gets a connection to the right server, or none.

Not every PostgreSQL that tests can have is built with TLS, so it ends in front of a real one: it answers the client's
request for TLS as a server does, and passes on what comes through.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from data_collector.model.errors import Misconfigured
from data_collector.sinks.postgres.pool import open_pool
from tests.integration.redis_server import Authority

REQUEST_BYTES = 8
"""Of SSLRequest, the first message of a client that wants TLS."""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.made(tmp_path / "authority")


@asynccontextmanager
async def front(database: str, authority: Authority, names: str) -> AsyncIterator[str]:
    """A TLS server with a certificate for `names` before the database; yields its URL."""
    authority.flags(names)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(authority.folder / "server.crt", authority.folder / "server.key")
    behind = urlsplit(database)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(REQUEST_BYTES)
        writer.write(b"S")
        try:
            await writer.start_tls(context)
        except (ssl.SSLError, OSError):
            writer.close()
            return
        of_server, to_server = await asyncio.open_connection(behind.hostname, behind.port)
        await asyncio.gather(passed_on(reader, to_server), passed_on(of_server, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"postgresql://postgres@localhost:{port}{behind.path}"


async def passed_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def asked(url: str) -> object:
    pool = await open_pool(url, size=1)
    try:
        return await pool.fetchval("select 41 + 1")
    finally:
        await pool.close()


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
async def test_every_mode_that_asks_for_tls_trusts_the_right_server(
    database: str, authority: Authority, mode: str
) -> None:
    async with front(database, authority, "DNS:localhost") as url:
        assert await asked(f"{url}?sslmode={mode}&sslrootcert={authority.certificate}") == 42


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
async def test_every_mode_that_asks_for_tls_refuses_another_server(
    database: str, authority: Authority, mode: str
) -> None:
    async with front(database, authority, "DNS:elsewhere.example") as url:
        with pytest.raises(Misconfigured, match="certificate that cannot be trusted") as refusal:
            await asked(f"{url}?sslmode={mode}&sslrootcert={authority.certificate}")

    assert "mismatch" in str(refusal.value)


async def test_certificate_of_an_unknown_authority_is_refused_with_its_cure(
    database: str, authority: Authority
) -> None:
    async with front(database, authority, "DNS:localhost") as url:
        with pytest.raises(Misconfigured, match="sslrootcert"):
            await asked(f"{url}?sslmode=require")


async def test_file_that_is_not_there_is_told() -> None:
    with pytest.raises(Misconfigured, match="cannot be read"):
        await open_pool("postgresql://me:secret@localhost:1/d?sslmode=require&sslrootcert=/nowhere/ca.crt")
