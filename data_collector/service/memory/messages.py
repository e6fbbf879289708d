"""What the HTTP process and its memory child tell each other, and the answer that users read.

Nothing here imports numpy: the HTTP process has no use for it.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec
from msgspec import Struct, field

SERIES_MAX: Final = 8
"""Remembered at a time. One that nobody has asked about for a while makes place for another."""

NOTICE: Final = "What followed past windows is no forecast: compare it with windows drawn at random."


class Orders(Struct, frozen=True, tag=True):
    """What to remember, and where it is read. Sent once, at the start."""

    store_url: str
    api_url: str | None
    """None: where clients look for it."""
    database_url: str
    """Empty without PostgreSQL."""
    source: str
    """What the store is filled from: candles of another source are forgotten."""
    exchange: str
    folder: str
    """Where candles are kept."""
    series: list[tuple[str, str]]
    """Symbol and interval that are remembered from the start; others are when they are asked for."""


class Question(Struct, frozen=True, tag=True):
    """When was it like now, and what came then?"""

    number: int
    symbol: str
    interval: str
    window: int
    """Candles that are compared."""
    k: int
    horizons: tuple[int, ...]
    """Candles after a window whose outcome is told, rising."""
    at_ms: int | None = None
    """Only what was known then; None: now."""


class Hit(Struct, frozen=True):
    """A past window that looks like the one that is asked about."""

    start: str
    """Open time of its first candle."""
    end: str
    """Close time of its last candle."""
    similarity: float
    """1: the same shape; the weighted mean of the correlations of its channels."""
    scale: float
    """Its volatility as a multiple of that of the window that is asked about."""
    after: dict[str, float]
    """Horizon to the log return of so many candles after it."""
    closes: list[float]
    """Log of each close over its last one."""
    followed: list[float]
    """The same of the candles after it, up to the longest horizon."""


class Outcome(Struct, frozen=True):
    """What followed windows, after so many candles. Log returns; null where there is no window."""

    horizon: int
    n: int
    """Windows."""
    effective_n: float
    """As many that share no candle would tell as much."""
    median: float | None
    lower_quartile: float | None
    upper_quartile: float | None
    mean: float | None


class SimilarPage(Struct, frozen=True):
    """Past windows of closed candles that look like the newest one, and what followed each."""

    symbol: str
    interval: str
    window: int
    k: int
    at: str
    """Close time of the last candle of the window that is asked about; nothing later is used."""
    begins: str
    """Open time of the oldest candle that is remembered."""
    candles: int
    """That are remembered."""
    closes: list[float]
    """Of the window that is asked about: log of each close over its last one."""
    hits: list[Hit]
    """The most similar first; fewer than `k` where no more were found that do not overlap."""
    outcome: list[Outcome]
    """Of the hits, per horizon."""
    random: list[Outcome]
    """The same of windows drawn at random: what differs little from it tells little."""
    notice: str = NOTICE


class Progress(Struct, frozen=True, tag=True):
    """How the child is; sent every second, so that silence means that it is stuck."""

    candles: dict[str, int] = field(default_factory=dict)
    """`symbol interval` to how many are remembered, of memories that can be asked."""
    filling: dict[str, int] = field(default_factory=dict)
    """The same of those that cannot be asked yet."""
    faults: dict[str, str] = field(default_factory=dict)
    """Why one of them does not follow the market now."""
    resident_bytes: int = 0
    dropped_reasons: list[str] = field(default_factory=list)
    """What became of lines of its log."""


class Refusal(Struct, frozen=True, tag=True):
    """A question that has no answer: it never has one (`wrong`), not as things are (`conflict`), or not yet."""

    number: int
    kind: Literal["wrong", "conflict", "later"]
    detail: str
    retry_after_s: float | None = None


class Reply(Struct, frozen=True, tag=True):
    """The answer to a question."""

    number: int
    page: SimilarPage


class Unable(Struct, frozen=True, tag=True):
    """The last word of a child that can never do its work as things are installed."""

    reason: str


Told = Progress | Refusal | Reply | Unable

Asked = Orders | Question

ASKED: Final = msgspec.msgpack.Decoder(Asked)
TOLD: Final = msgspec.msgpack.Decoder(Told)
