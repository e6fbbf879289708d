"""The unit of ordering, storage and gaps, the words it is made of, and the names of the store's keys.

These names are made here and nowhere else.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

Collected = Literal["kline", "trade", "ticker", "quote"]
"""What can be collected (`model.channels` says what each of them is)."""

Channel = Literal[Collected, "aggTrade", "miniTicker"]
"""What may be subscribed to. What cannot be collected is decoded for subclasses only."""

KeyKind = Literal["trades", "stream", "kline", "latest", "quotes", "quote", "gaps", "quarantine", "late"]
"""What a key of the store holds of a symbol (docs/semantics.md)."""

SIDES: tuple[KeyKind, ...] = ("gaps", "quarantine", "late")
"""Streams beside the records: often nothing is written to them for days."""

UNKNOWN = "unknown"
"""Stands for the symbol in `quarantine:unknown`: of frames whose symbol cannot be read or was not subscribed."""


class Key(Struct, frozen=True, order=True):
    """One stream of one exchange: `Key("trade", "BTCUSDT")`, `Key("kline", "BTCUSDT", "1m")`."""

    channel: Channel
    symbol: str
    interval: str | None = None
    """Only klines have one; case matters (`1m` minute, `1M` month)."""

    @property
    def kline_interval(self) -> str:
        """The interval, of a key that is known to be of klines."""
        assert self.interval is not None, "klines have an interval"
        return self.interval

    @property
    def label(self) -> str:
        """For people: `BTCUSDT 1m`, `BTCUSDT trades`."""
        return f"{self.symbol} {self.interval or f'{self.channel}s'}"

    @property
    def unit(self) -> str:
        """What one record of it is called: `1m kline`, `trade`."""
        return self.channel if self.interval is None else f"{self.interval} {self.channel}"


FIRST_EXCHANGE: Final = "binance"
"""It was there before the others: its setting is `SYMBOLS`, its folder `live`, and its keys have no prefix."""


class StoreKeys(Struct, frozen=True):
    """The names of one exchange's keys."""

    prefix: str = ""
    """What all of them begin with: empty for the first exchange, else the exchange's name and a colon."""

    def key(self, kind: KeyKind, symbol: str) -> str:
        """What is kept of a symbol."""
        return f"{self.prefix}{kind}:{symbol}"

    def kline(self, symbol: str, interval: str, timestamp: str) -> str:
        """The newest state of one kline; `timestamp` is the record's own text."""
        return f"{self.key('kline', symbol)}:{interval}:{timestamp}"

    def origin(self, symbol: str, interval: str, timestamp: str) -> str:
        """Where the record of that kline is from; there is none where that is the stream and no rule marks it."""
        return self.own(f"origin:{symbol}:{interval}:{timestamp}")

    def own(self, name: str) -> str:
        """Of the service's own state."""
        return f"{self.prefix}collector:{name}"

    def epoch(self, symbol: str) -> str:
        """In which epoch the newest of a symbol's trades is."""
        return self.own(f"epoch:{symbol}")

    def epoch_order(self, symbol: str) -> str:
        """The epoch that an operator wants to end."""
        return self.own(f"epoch_order:{symbol}")

    def cursors(self, symbol: str) -> str:
        """What each interval of a symbol's klines must get next."""
        return self.own(f"klines:{symbol}")

    def kind_of(self, key: str) -> str:
        """`key` undone: a `KeyKind`, for a key of ours."""
        return key.removeprefix(self.prefix).partition(":")[0]
