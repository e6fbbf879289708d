"""The channels that can be collected, each declared once: lists and tables elsewhere follow from this one."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Final, Literal

from msgspec import Struct

from data_collector.model.keys import Channel, Collected, Key, KeyKind
from data_collector.model.records import AggregateTrade, Kline, MiniTicker, Quote, Record, Ticker, Trade

CollectedRecord = Kline | Trade | Ticker | Quote
"""What collected channels bring."""

MaxlenSetting = Literal["TRADES_MAXLEN", "STREAM_MAXLEN"]

NewestRecord = Ticker | Quote
"""What monotonic channels bring: the newest counts."""

Continuity = Literal["contiguous", "periodic", "monotonic"]
"""`contiguous`: numbers grow by one, so what is missing is known. `periodic`: numbers are open times, and the calendar
tells the next one. `monotonic`: numbers grow and jump; what came in between is not missed, the newest counts."""


class CollectedChannel(Struct, frozen=True, kw_only=True):
    """What is to be known of a channel."""

    record: type[CollectedRecord]
    continuity: Continuity
    number: str
    """The record's field that grows."""
    time: str
    """The column that the record's `timestamp` stands for."""
    mark: str
    """A key by which its records are told from those of other channels, where only their JSON is known."""
    stream: KeyKind | None = None
    """Where its records follow each other in the store, if they do."""
    entry_bytes: int = 0
    """What an entry of that stream takes (measured with `python -m benchmarks.store_memory`, rounded up)."""
    maxlen: MaxlenSetting = "STREAM_MAXLEN"
    """The setting that trims it."""
    grace_s: float
    """How much later than REST its stream may tell of a trade before it counts as mute."""
    has_table: bool = False
    """Whether its records go into PostgreSQL."""

    @property
    def has_gaps(self) -> bool:
        """Whether a missing record is missed."""
        return self.continuity != "monotonic"

    @property
    def identity(self) -> tuple[str, ...]:
        """The columns that name one record."""
        return ("symbol", "interval", self.number) if self.continuity == "periodic" else ("symbol", self.number)


CHANNELS: Final[Mapping[Collected, CollectedChannel]] = {
    # Klines come every two seconds, tickers every second.
    "kline": CollectedChannel(
        record=Kline, continuity="periodic", number="open_ms", time="open_ms", mark="interval", stream="stream",
        entry_bytes=380, grace_s=4.0, has_table=True,
    ),
    "trade": CollectedChannel(
        record=Trade, continuity="contiguous", number="trade_id", time="time_ms", mark="trade_id", stream="trades",
        entry_bytes=240, maxlen="TRADES_MAXLEN", grace_s=1.0, has_table=True,
    ),
    "ticker": CollectedChannel(
        record=Ticker, continuity="monotonic", number="event_ms", time="event_ms", mark="last_price", grace_s=4.0,
        has_table=True,
    ),
    "quote": CollectedChannel(
        record=Quote, continuity="monotonic", number="update_id", time="received_ms", mark="update_id",
        stream="quotes", entry_bytes=220, grace_s=4.0,
    ),
}  # fmt: skip

CHANNEL_OF: Final[Mapping[type[Record], Collected]] = {channel.record: name for name, channel in CHANNELS.items()}

_DECODED_ONLY: Final[Mapping[type[Record], Channel]] = {
    AggregateTrade: "aggTrade", MiniTicker: "miniTicker",
}  # fmt: skip


def number_of(record: NewestRecord) -> int:
    """What tells which of two is newer."""
    number: int = getattr(record, CHANNELS[CHANNEL_OF[type(record)]].number)
    return number


def sent_ms_of(record: NewestRecord) -> int | None:
    """When the exchange sent it, where its number is that time; None where it tells none."""
    channel = CHANNELS[CHANNEL_OF[type(record)]]
    return number_of(record) if channel.number == channel.time else None


def channel_by_keys(keys: Container[str]) -> Collected | None:
    """The channel whose record has these JSON keys; None for what is no record."""
    return next((name for name, channel in CHANNELS.items() if channel.mark in keys), None)


def collected(key: Key) -> CollectedChannel | None:
    """Its declaration; None for what is decoded for subclasses only."""
    return next((channel for name, channel in CHANNELS.items() if name == key.channel), None)


def key_of(record: Record) -> Key:
    """The stream that a record belongs to."""
    kind = type(record)
    if isinstance(record, Kline):
        return Key("kline", record.symbol, record.interval)
    return Key(CHANNEL_OF.get(kind) or _DECODED_ONLY[kind], record.symbol)
