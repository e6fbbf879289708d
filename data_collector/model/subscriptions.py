"""What is subscribed, what somebody wants instead, and what such a change does or did."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from msgspec import Struct, field

from data_collector.model.keys import Channel, Key

RefusalKind = Literal["impossible", "conflict", "unavailable"]
"""`impossible`: it can never be done. `conflict`: not now. `unavailable`: somebody who must be asked is away."""


class Subscriptions(Struct, frozen=True):
    """Every channel of every symbol; klines of every interval."""

    symbols: tuple[str, ...]
    intervals: tuple[str, ...]
    channels: tuple[Channel, ...]

    def every_key(self, extra: Sequence[Channel] = ()) -> Iterator[Key]:
        """The streams, symbol by symbol; `extra` channels are subscribed to besides."""
        for symbol in self.symbols:
            for channel in dict.fromkeys((*self.channels, *extra)):
                if channel == "kline":
                    yield from (Key(channel, symbol, interval) for interval in self.intervals)
                else:
                    yield Key(channel, symbol)

    @property
    def kline_intervals(self) -> tuple[str, ...]:
        """Those that klines are collected of."""
        return self.intervals if "kline" in self.channels else ()


class DesiredSubscriptions(Struct, frozen=True):
    """What is wanted; None stays as it is."""

    symbols: tuple[str, ...] | None = None
    intervals: tuple[str, ...] | None = None
    channels: tuple[str, ...] | None = None


class GroupStreams(Struct):
    """Streams that come over the same connections."""

    lines: list[str]
    streams: list[str]


class Present(Struct):
    """What is subscribed now."""

    symbols: list[str]
    intervals: list[str]
    channels: list[str]
    groups: list[GroupStreams]
    changed: bool = False
    """Whether it differs from what a start begins with."""
    until: Literal["restart"] = "restart"


class ConnectionChange(Struct):
    """What a change does to one connection."""

    line: str
    is_new: bool
    subscribe: int
    unsubscribe: int
    streams: int
    """How many it carries afterwards."""
    control_messages: int
    seconds: float
    """What these take at least, at the exchange's limit for messages."""


class Change(Struct):
    """What a change of subscriptions does, or did; `data-collector plan --json` tells it beforehand."""

    symbols: list[str]
    intervals: list[str]
    channels: list[str]
    """These three: afterwards."""
    added: list[str]
    removed: list[str]
    unchanged: int
    """Streams that nothing happens to."""
    connections: list[ConnectionChange]
    """Those that are touched."""
    connections_untouched: int
    control_messages: int
    seconds: float
    """Connections send side by side: as long as the slowest takes at least."""
    store_bytes_before: int
    store_bytes: int
    """Of a full store, before and afterwards."""
    rest_weight: int
    """What the first fill takes of the exchange's REST budget at least."""
    notes: list[str] = field(default_factory=list)
    until: Literal["restart"] = "restart"
    """A restart begins with the settings."""


class ChangeRefusal(Struct):
    """Why a change was not made; nothing is different then."""

    kind: RefusalKind
    reasons: list[str]


class ChangeStatus(Struct):
    """How far the newest change is, and what is subscribed."""

    present: Present
    number: int = 0
    """Counts changes that were begun."""
    busy: bool = False
    done: Change | None = None
    refusal: ChangeRefusal | None = None
    """One of the two, once the newest is over."""
