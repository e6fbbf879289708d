"""What the collector and its history writer tell each other."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct, field

from data_collector.model.channels import CHANNELS


class Lost(Struct, frozen=True):
    """What the store threw away before it was written."""

    symbol: str
    first: int
    """Trade ids."""
    last: int
    count: int
    """0: candles, and nobody knows how many."""
    epoch: int
    before_ms: int
    """When what came before was stored."""
    after_ms: int


class Orders(Struct, frozen=True):
    """What to write from where to where. Sent at start, and again when symbols change."""

    database_url: str
    store_url: str
    prefix: str
    """What every key of the store begins with."""
    exchange: str
    symbols: tuple[str, ...]
    klines: bool
    trades: bool
    tickers: bool = False
    keep_klines_days: int | None = None
    """None keeps them for ever."""
    keep_trades_days: int | None = None
    keep_tickers_days: int | None = None
    epochs: dict[str, int] = field(default_factory=dict)
    """Of symbols whose trade ids are not in their first epoch."""
    lost: tuple[Lost, ...] = ()
    """What a writer before this one knew to be lost."""


class Progress(Struct, frozen=True):
    """How far the writer is; sent about once a second, so that silence means that it is stuck."""

    down_reason: str | None = None
    rows: dict[str, int] = field(default_factory=dict)
    """Channel to rows added since the process started."""
    changed: int = 0
    """Rows replaced by others that differ."""
    refused: dict[str, str] = field(default_factory=dict)
    """Symbol to why PostgreSQL refuses its rows; the others are written."""
    unreadable: int = 0
    """Entries of the store that are no records."""
    lag_seconds: float = 0.0
    """Age of the oldest entry that was not read yet; 0 when everything was."""
    lag_entries: int | None = None
    """About how many such entries there are; None while that is not known."""
    deleted: dict[str, int] = field(default_factory=dict)
    """Table to rows that were older than the retention, since the process started."""
    deletion_failures: int = 0
    deletion_reason: str | None = None
    """Why old rows stay."""
    deletion_completed_s: float | None = None
    """When none were left the last time, in seconds since 1970."""
    trimmed: list[str] = field(default_factory=list)
    """Those of `refused` of which the store no longer has all that waited."""
    unreadable_reason: str | None = None
    """Stream and reason of the last of the `unreadable`; None when that was long ago."""
    lost: list[Lost] = field(default_factory=list)
    """What is in neither store, until it has been brought from the exchange."""
    dropped_reasons: list[str] = field(default_factory=list)
    """What became of lines of its log."""


def stored_rows() -> dict[str, int]:
    """No rows yet, of each channel that PostgreSQL gets."""
    return {name: 0 for name, channel in CHANNELS.items() if channel.has_table}


ORDERS: Final = msgspec.msgpack.Decoder(Orders)
PROGRESS: Final = msgspec.msgpack.Decoder(Progress)
