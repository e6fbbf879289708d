"""The HTTP process reading the store: one connection, opened when first asked; readers take turns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from data_collector.model.errors import Misconfigured, SinkUnavailable
from data_collector.model.store_url import parse_store_url
from data_collector.sinks.redis.connection import StoreConnection

READ_TIMEOUT_S = 5.0
"""For the whole answer, however many streams it is gathered from."""


class StoreReading:
    """One connection for as long as the address stays the same."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._connection: StoreConnection | None = None
        self._url: str | None = None

    @asynccontextmanager
    async def turn(self, store_url: str) -> AsyncIterator[StoreConnection]:
        """The connection, for one answer. Raises `SinkUnavailable`, also when the block takes too long."""
        try:
            async with asyncio.timeout(READ_TIMEOUT_S), self._turn:
                yield await self._connect(store_url)
        except TimeoutError:
            raise SinkUnavailable(f"The store has not answered within {READ_TIMEOUT_S:g} s.") from None
        except Misconfigured as error:
            raise SinkUnavailable(str(error)) from error

    def close(self) -> None:
        """Drop the connection."""
        if self._connection is not None:
            self._connection.close()

    async def _connect(self, store_url: str) -> StoreConnection:
        if self._connection is None or not self._connection.is_open or self._url != store_url:
            self.close()
            self._connection = await StoreConnection.connect(parse_store_url(store_url))
            self._url = store_url
        return self._connection
