"""A store connection without a socket."""

from __future__ import annotations

import asyncio

from data_collector.sinks.redis.connection import StoreConnection


class Wire(asyncio.Transport):
    """Keeps what is written; answers at once with what it was given, each write alike or turn by turn."""

    def __init__(self, connection: StoreConnection, *answers: bytes) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.aborted = False
        self._connection = connection
        self._answers = list(answers)
        self._turns: list[bytes] | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send, and get the answers."""
        self.written.append(bytes(data))
        for answer in self._answers if self._turns is None else [self._turns.pop(0)]:
            self._connection.data_received(answer)

    def abort(self) -> None:
        """Close at once."""
        self.aborted = True

    def take_turns(self) -> None:
        """From now on each write gets the next answer."""
        self._turns = list(self._answers)


def connected(*answers: bytes) -> tuple[StoreConnection, Wire]:
    """A connection whose server gives `answers` to whatever is sent."""
    connection = StoreConnection()
    wire = Wire(connection, *answers)
    connection.connection_made(wire)
    return connection, wire
