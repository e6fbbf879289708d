"""The names of the store's keys. They are made here and nowhere else."""

from __future__ import annotations

from msgspec import Struct

from data_collector.model.keys import KeyKind

UNKNOWN = "unknown"
"""Stands for the symbol in `quarantine:unknown`: of frames whose symbol cannot be read or was not subscribed."""


class StoreKeys(Struct, frozen=True):
    """The names of one exchange's keys."""

    prefix: str = ""
    """What all of them begin with: empty for Binance, `kraken:` for Kraken."""

    def key(self, kind: KeyKind, symbol: str) -> str:
        """What is kept of a symbol."""
        return f"{self.prefix}{kind}:{symbol}"

    def kline(self, symbol: str, interval: str, timestamp: str) -> str:
        """The newest state of one kline; `timestamp` is the record's own text."""
        return f"{self.key('kline', symbol)}:{interval}:{timestamp}"

    def own(self, name: str) -> str:
        """Of the service's own state."""
        return f"{self.prefix}collector:{name}"

    def cursors(self, symbol: str) -> str:
        """What each interval of a symbol's klines must get next."""
        return self.own(f"klines:{symbol}")

    def kind_of(self, key: str) -> str:
        """`key` undone: a `KeyKind`, for a key of ours."""
        return key.removeprefix(self.prefix).partition(":")[0]
