"""What a foreign client received, in a form that all of them share; written as JSON for the test to judge.

Each client is a program of its own, run as `python -m tests.foreign.<client> REST_URL WS_URL OUT` by the Python of
a virtual environment that holds that client and nothing of ours.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

SYMBOL = "BTCUSDT"
INTERVAL = "1m"

TRADES_ENOUGH = 300
CANDLES_ENOUGH = 4
"""The newest is still open, so three are judged."""


class Collected:
    """Grows until there is enough of both."""

    def __init__(self) -> None:
        self.rest_url, self.ws_url, self._out = sys.argv[1:4]
        self.trades: list[dict[str, object]] = []
        self.klines: list[dict[str, object]] = []

    def trade(self, *, number: int, price: object, quantity: object, time_ms: int, taker_sold: bool) -> None:
        """A trade, or an aggregate where the client has only those; in the order of arrival."""
        self.trades.append(
            {"id": number, "price": str(price), "quantity": str(quantity), "time_ms": time_ms, "taker_sold": taker_sold}
        )

    def kline(self, open_ms: int, *amounts: object) -> None:
        """A state of a candle: open time, then open, high, low, close, volume."""
        self.klines.append({"open_ms": open_ms, "amounts": [str(amount) for amount in amounts]})

    @property
    def enough(self) -> bool:
        """Whether the client may stop."""
        opens = {kline["open_ms"] for kline in self.klines}
        return len(self.trades) >= TRADES_ENOUGH and len(opens) >= CANDLES_ENOUGH

    def write(self) -> None:
        """Hand over what was received."""
        Path(self._out).write_text(json.dumps({"trades": self.trades, "klines": self.klines}))
