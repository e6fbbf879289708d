"""Who is subscribed to what."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from data_collector.simulator.connection import StreamConnection


class Hub:
    """Every connection, and every stream with the connections that want it."""

    def __init__(self, on_first_listener: Callable[[str], None]) -> None:
        self.connections: dict[int, StreamConnection] = {}
        self.deserted = asyncio.Event()
        """Set while there is no connection."""
        self.deserted.set()
        self._listeners: dict[str, dict[int, StreamConnection]] = {}
        self._on_first_listener = on_first_listener

    def listeners(self, stream: str) -> Collection[StreamConnection]:
        """The connections that are subscribed to a stream."""
        found = self._listeners.get(stream)
        return () if found is None else found.values()

    def subscribe(self, stream: str, connection: StreamConnection) -> None:
        """Add a listener; again is the same as once."""
        if stream not in self._listeners:
            self._listeners[stream] = {}
            self._on_first_listener(stream)
        self._listeners[stream][connection.number] = connection

    def unsubscribe(self, stream: str, connection: StreamConnection) -> None:
        """Take a listener away; one that is not there is no error."""
        listeners = self._listeners.get(stream, {})
        listeners.pop(connection.number, None)
        if not listeners:
            self._listeners.pop(stream, None)

    def silence(self, connection: StreamConnection) -> None:
        """End every subscription of a connection."""
        for stream in connection.streams:
            self.unsubscribe(stream, connection)

    def add(self, connection: StreamConnection) -> None:
        """Take a new connection in."""
        self.connections[connection.number] = connection
        self.deserted.clear()

    def forget(self, connection: StreamConnection) -> None:
        """Take a connection whose socket is gone out of everything."""
        self.silence(connection)
        self.connections.pop(connection.number, None)
        if not self.connections:
            self.deserted.set()
