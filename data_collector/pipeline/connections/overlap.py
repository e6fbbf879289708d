"""The time in which an old and a new connection carry the same streams, and the proof that nothing lies between them.

Life cycle: a line makes one overlap per roll-over and waits in `finish`; the new connection's messages come to
`receive` until the line gives them the direct way again. A trade stream is proven when its first id on the new
connection is not beyond the id that is due: what came before it has come by then. Until then the new connection's
messages wait, a bounded number of them, because the old one may lag and what it still brings comes first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Literal

from data_collector.model.records import Trade
from data_collector.pipeline.connections.connection import Connection
from data_collector.pipeline.connections.websocket import Receive, Received

HELD_MAX = 20_000
"""Records of the new connection that wait; when there are more they go on, and the proof has failed."""

HELD_S = 2.0
"""How long the new connection's messages may wait for what a lagging old one still brings."""

OVERLAP_S = 60.0
"""How long both connections are read when some stream is too quiet to prove anything."""

OVERLAP_PART_MAX = 0.01
"""Of the connection's allowed age: where that is short, so is the wait."""

POLL_S = 0.02

Result = Literal["overlap", "unproven", "failed"]


class Overlap:
    """What the new connection brings, and which of its streams are proven."""

    def __init__(self, symbols: Iterable[str], receive: Receive, due: Callable[[str], int]) -> None:
        """`symbols` whose trades the line carries; `due` tells the trade id that is due of one, -1 before the first."""
        self._receive = receive
        self._due = due
        self._unheard = set(symbols)
        self._ahead: dict[str, int] = {}
        self._held: list[Received] = []
        self._held_count = 0
        self._given_up = False

    async def finish(self, old: Connection, new: Connection, max_age_s: float) -> Result:
        """Wait for the proof, for the end of one of them, or for as long as is worth while.

        It has failed when the new one ended and the old one goes on. Nothing of the new one waits afterwards.
        """
        longest_s = min(OVERLAP_S, max_age_s * OVERLAP_PART_MAX)
        ends = (old.socket.ended, new.socket.ended)
        try:
            while not self.advance() and new.served_s < longest_s and not any(end.done() for end in ends):
                if new.served_s >= HELD_S:
                    self.give_up()
                await asyncio.wait(ends, timeout=POLL_S, return_when=asyncio.FIRST_COMPLETED)
            failed = new.socket.end_reason() is not None and not old.socket.ended.done()
            return "failed" if failed else self.result
        finally:
            self.give_up()

    @property
    def result(self) -> Result:
        """What the roll-over is counted as when it ends now; streams that kept quiet owe no proof."""
        self.advance()
        return "unproven" if self._given_up or self._ahead else "overlap"

    def advance(self) -> bool:
        """Look again what is due; whether every trade stream is proven."""
        self._ahead = {symbol: first for symbol, first in self._ahead.items() if first > self._due(symbol)}
        if not self._ahead:
            self._release()
        return not self._ahead and not self._unheard

    def give_up(self) -> None:
        """Let what waits go on without proof: a hole is the repair's business then."""
        self._given_up = self._given_up or bool(self._ahead)
        self._ahead.clear()
        self._release()

    def receive(self, received: Received) -> None:
        """A message of the new connection."""
        records = received if isinstance(received, list) else [received]
        for record in records:
            if type(record) is Trade and record.symbol in self._unheard:
                self._unheard.discard(record.symbol)
                if record.trade_id > self._due(record.symbol):
                    self._ahead[record.symbol] = record.trade_id
        if not self._ahead and not self._held:
            self._receive(received)
            return
        self._held.append(received)
        self._held_count += len(records)
        if self._held_count >= HELD_MAX:
            self.give_up()

    def _release(self) -> None:
        held, self._held, self._held_count = self._held, [], 0
        for received in held:
            self._receive(received)
