"""Which store a command means: the one of `REDIS_URL`, or the embedded one that runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import typer

from data_collector.embedded.record import running_servers
from data_collector.model.errors import SinkUnavailable, Unavailable
from data_collector.model.store_url import StoreAddress, parse_store_url
from data_collector.service.running import running_collectors
from data_collector.settings import Settings, load_settings
from data_collector.sinks.redis.connection import StoreConnection

NOTHING_RUNS = (
    "No store is running below {folder}. Start one with `data-collector demo` (needs no network) or "
    "`data-collector run`, or set REDIS_URL to the store to read."
)
OTHER_RUNS = (
    "No store of {exchange} is running below {folder}, and one of {other} is: --exchange {other} "
    "reads it, or set REDIS_URL to the store to read."
)


async def find_store(
    url: str | None = None, settings: Settings | None = None, folder: Path | None = None
) -> StoreAddress:
    """The store to talk to: `url` if given, else that of the settings, else the embedded one started last.

    Not one that a collector of another exchange fills; `folder`: that of no other collector than this one's. Raises
    `Unavailable` when there is none, `Misconfigured` for settings or a URL that cannot work.
    """
    if url is not None:
        return parse_store_url(url)
    known = load_settings() if settings is None else settings
    address = known.store_address()
    if address is not None:
        return address
    servers = await running_servers(known.var_dir)
    filling = [(record.servers_in(path), path, record.exchange) for path, record in running_collectors(known.var_dir)]
    others = {place: exchange for place, _, exchange in filling if exchange != known.exchange}
    ours = {place for place, _, exchange in filling if exchange == known.exchange}
    foreign = [others[path] for path, _ in servers if path in others and path not in ours]
    servers = [server for server in servers if server[0] in ours or server[0] not in others]
    if folder is not None:
        places = {place for place, path, _ in filling if path == folder} or {folder}
        servers = [server for server in servers if server[0] in places]
    if not servers and foreign:
        raise Unavailable(OTHER_RUNS.format(exchange=known.exchange, folder=known.var_dir, other=foreign[0]))
    if not servers:
        raise Unavailable(NOTHING_RUNS.format(folder=known.var_dir))
    folder, record = servers[0]
    if len(servers) > 1:
        more = ", ".join(f"redis://{other.address.place} ({path.name})" for path, other in servers[1:])
        typer.echo(f"Reading {folder.name}, started last. Also running: {more}; REDIS_URL chooses.", err=True)
    return record.address


@asynccontextmanager
async def opened(address: StoreAddress) -> AsyncIterator[StoreConnection]:
    """A connection for the length of the block. A store that is away ends the command: `Unavailable`."""
    connection = None
    try:
        connection = await StoreConnection.connect(address)
        yield connection
    except SinkUnavailable as error:
        raise Unavailable(str(error)) from error
    finally:
        if connection is not None:
            connection.close()
