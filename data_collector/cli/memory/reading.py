"""What the commands of a memory read with, and how what goes wrong ends them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from data_collector.cli.surroundings.found_database import found_surroundings
from data_collector.cli.surroundings.found_store import find_store
from data_collector.client.adapters.memory import Memory
from data_collector.client.client import Client
from data_collector.client.errors import Away, ClientError
from data_collector.model.errors import Misconfigured, Unavailable
from data_collector.settings import Settings

FOLDER = "memory"


def folder_of(settings: Settings) -> Path:
    """Where the command's memories are; those of a running collector's own are with its other files."""
    return settings.var_dir / FOLDER


def found_dsn(settings: Settings) -> str:
    """The database of the settings, or of the collector that runs. Raises `Misconfigured` and `Unavailable`."""
    found = found_surroundings(settings, with_exchange=False).settings.database_url
    assert found is not None, "it has been found"
    return found.get_secret_value()


@contextmanager
def opened_client(settings: Settings, dsn: str) -> Iterator[Client]:
    """Without a database, history is asked of the HTTP side. Raises `Misconfigured` and `Unavailable`."""
    address = asyncio.run(find_store(settings=settings))
    with Client(address.whole, api="" if dsn else None, database=dsn, exchange=settings.exchange) as client:
        yield client


@contextmanager
def named_ends() -> Iterator[None]:
    """A client's errors as the command line has them."""
    try:
        yield
    except Away as error:
        raise Unavailable(str(error)) from error
    except ClientError as error:
        raise Misconfigured(str(error)) from error


def progress_of(memory: Memory, what: str) -> Callable[[datetime], None]:
    """Lines on the side of errors, so that what was asked for stands alone."""

    def tell(reached: datetime) -> None:
        print(f"{memory.key.label}: {what} up to {reached.isoformat(timespec='minutes')}", file=sys.stderr, flush=True)

    return tell
