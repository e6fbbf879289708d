"""What the collector keeps of what it has handed to the store, because an acknowledgement is not durability.

A store may lose the end of what it acknowledged, or everything (docs/semantics.md). What it lacks is read back from
here, and only what is not here is asked of the exchange.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from data_collector.model.batch import TradeRun


class Retention(Protocol):
    """Runs of trades, in memory and on disk, for some minutes."""

    def append(self, runs: Sequence[TradeRun]) -> None:
        """Keep runs. Never blocks; what cannot be kept is missing later, and then asked of the exchange."""

    def confirm(self, symbol: str, trade_id: int) -> None:
        """The newest trade that the store has acknowledged; lower than before when it has lost some."""

    def forget(self, symbol: str) -> None:
        """Nothing that is kept of a symbol is wanted any more: its ids have begun anew."""

    async def read(self, symbol: str, first_id: int, *, trades_max: int) -> list[TradeRun]:
        """Runs that follow each other without a hole from `first_id` on, the first one cut so that it starts there.

        `first_id` may lie in the explained gaps before a run: they are cut too. Empty when `first_id` is not kept.
        Between runs only ranges that the next one explains are missing. At most about `trades_max` trades.
        """

    def oldest_id(self, symbol: str) -> int | None:
        """The smallest trade id that is kept of a symbol."""

    def end_id(self, symbol: str, first_id: int) -> int:
        """The id up to which (and without which) everything from `first_id` on is kept; `first_id` if it is not."""

    def newest_id(self, symbol: str) -> int | None:
        """The largest trade id that is kept (or explained) of a symbol."""
