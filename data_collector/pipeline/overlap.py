"""The time in which an old and a new connection carry the same streams, and the proof that nothing lies between them.

Life cycle: a line makes one overlap per roll-over; the new connection's messages come to `receive` until the line
gives them the direct way again. A trade stream is proven when its first id on the new connection is not beyond the id
that is due: what came before it has come by then. Until then the new connection's messages wait, a bounded number of
them, because the old one may lag and what it still brings comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

from data_collector.model.records import Trade
from data_collector.pipeline.transport import Receive, Received

HELD_MAX = 20_000
"""Messages of the new connection that wait; when there are more they go on, and the proof has failed."""

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
        self._given_up = False

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
        if type(received) is Trade and received.symbol in self._unheard:
            self._unheard.discard(received.symbol)
            if received.trade_id > self._due(received.symbol):
                self._ahead[received.symbol] = received.trade_id
        if not self._ahead and not self._held:
            self._receive(received)
            return
        self._held.append(received)
        if len(self._held) >= HELD_MAX:
            self.give_up()

    def _release(self) -> None:
        held, self._held = self._held, []
        for received in held:
            self._receive(received)
