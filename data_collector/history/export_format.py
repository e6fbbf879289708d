"""What the files of an export can be. Without pyarrow, which costs every command a fifth of a second."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from data_collector.model.records import Kline, Trade

Form = Literal["parquet", "csv"]
Decimals = Literal["decimal", "text"]

PRECISION, SCALE = 38, 18
"""The widest that 16 bytes hold. Exchanges write 8 places, and tokens are divided into 10^18 at most; 20 digits are
left before the point."""

STATED_DECIMALS = {
    "decimal": f"decimal128({PRECISION}, {SCALE})",
    "text": "the stored decimal text",
}


class Table(Protocol):
    """A file that is being written."""

    def add_klines(self, klines: Sequence[Kline]) -> None:
        """A page of candles."""

    def add_trades(self, trades: Sequence[Trade]) -> None:
        """A page of trades."""

    def close(self) -> None:
        """Finish the file."""
