"""One viewer of `GET /live` and what waits for it: the newest of everything, however slowly it reads."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

from data_collector.api.live.events import (
    Access,
    CandleState,
    Focus,
    Hello,
    Price,
    Prices,
    TapeState,
    TapeTrade,
    event_bytes,
)

TAPE_TRADES_MAX = 50
CANDLES_MAX = 3
"""The one that has just closed, the open one, and one more for a viewer that was held up."""


class Viewer:
    """Offered to from the feed, taken from by the answer; both on the event loop.

    A viewer that does not take holds one row per symbol, the newest trades of one tape, a few candles, and one of each
    other event.
    """

    def __init__(self, focus: Focus | None, access: Access) -> None:
        self.focus = focus
        self.access = access
        self.is_over = False
        """Nothing comes any more: the service ends."""
        self._woken = asyncio.Event()
        self._hello: Hello | None = None
        self._hello_told: Hello | None = None
        self._prices: dict[str, Price] = {}
        self._prices_ms = 0
        self._candles: dict[int, CandleState] = {}
        self._tape: deque[TapeTrade] = deque(maxlen=TAPE_TRADES_MAX)
        self._left_out = 0
        self._encoded: dict[str, bytes] = {}

    def offer_hello(self, hello: Hello) -> None:
        """Told when it differs from what was told."""
        if hello != self._hello_told:
            self._hello = hello
            self._wake()

    def offer_prices(self, at_ms: int, rows: Iterable[Price]) -> None:
        """A newer row takes the place of the one that waits."""
        self._prices.update((row.symbol, row) for row in rows)
        self._prices_ms = at_ms
        if self._prices:
            self._wake()

    def offer_candles(self, candles: Iterable[CandleState]) -> None:
        """The newest state of each, oldest candle first."""
        for candle in candles:
            self._candles[candle.time] = candle
        while len(self._candles) > CANDLES_MAX:
            del self._candles[min(self._candles)]
        if self._candles:
            self._wake()

    def offer_trades(self, trades: Iterable[TapeTrade], left_out: int) -> None:
        """Newest last."""
        for trade in trades:
            if len(self._tape) == TAPE_TRADES_MAX:
                self._left_out += 1
            self._tape.append(trade)
        self._left_out += left_out
        if self._tape:
            self._wake()

    def offer_encoded(self, name: str, event: bytes) -> None:
        """An event that is the same for everybody; a newer one takes its place."""
        self._encoded[name] = event
        self._wake()

    def end(self) -> None:
        """Nothing comes any more."""
        self.is_over = True
        self._woken.set()

    async def wait(self) -> None:
        """Until there is something to take, or nothing ever will be."""
        await self._woken.wait()

    def take(self) -> bytes:
        """All that waits."""
        self._woken.clear()
        parts: list[bytes] = []
        if self._hello is not None:
            parts.append(event_bytes(self._hello))
            self._hello_told, self._hello = self._hello, None
        parts += self._encoded.values()
        self._encoded = {}
        if self._prices:
            parts.append(event_bytes(Prices(self._prices_ms, list(self._prices.values()))))
            self._prices = {}
        parts += [event_bytes(self._candles[time]) for time in sorted(self._candles)]
        self._candles = {}
        if self._tape and self.focus is not None:
            parts.append(event_bytes(TapeState(self.focus.symbol, list(self._tape), self._left_out)))
            self._tape.clear()
            self._left_out = 0
        return b"".join(parts)

    def _wake(self) -> None:
        # Whoever does not know yet what is collected can make nothing of the rest.
        if self._hello is not None or self._hello_told is not None:
            self._woken.set()
