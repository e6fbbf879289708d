"""Which lines there are: every stream on one line or on two, in groups as large as the exchange allows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from data_collector.model.keys import Channel, Key
from data_collector.model.protocols import Venue
from data_collector.observe.counters import Counters
from data_collector.pipeline.governor import Governor
from data_collector.pipeline.intake import Intake
from data_collector.pipeline.line import Address, Line, Surroundings
from data_collector.pipeline.resolver import Resolver
from data_collector.pipeline.twins import Twins
from data_collector.settings import Settings

DIALS_PART = 0.9
"""Of the connection attempts that the exchange allows per address: others may share ours."""

TWIN_LATER_S = 0.5
"""The second line of a pair dials so much after the first."""


class Group:
    """Streams that share their lines."""

    def __init__(self, keys: Sequence[Key], lines: Sequence[Line]) -> None:
        self.keys = keys
        self.lines = lines

    @property
    def is_connected(self) -> bool:
        """Whether something brings its streams."""
        return any(line.down_s == 0.0 for line in self.lines)


class Wiring:
    """Makes the lines anew for every start of the collection; the count of dials goes on over all of them."""

    def __init__(
        self, settings: Settings, venue: Venue, channels: Sequence[Channel], intake: Intake, counters: Counters
    ) -> None:
        self._settings = settings
        self._venue = venue
        self._channels = channels
        limits = venue.limits
        attempts = max(1, int(limits.connection_attempts * DIALS_PART))
        address = Address(settings.binance_ws_url + venue.stream_path, _proxy(settings), venue.hint_451)
        self._around = Surroundings(
            address=address,
            codec=venue.codec,
            limits=limits,
            receive=intake.receive,
            due=lambda symbol: intake.lanes[symbol].next_id if symbol in intake.lanes else -1,
            dials=Governor(attempts, limits.connection_attempts_window_s),
            connect=Resolver(counters).connect,
            counters=counters,
        )

    def groups(self) -> list[Group]:
        """New lines for all streams."""
        keys = list(self._keys())
        size = self._venue.limits.streams_per_connection
        parts = [keys[start : start + size] for start in range(0, len(keys), size)]
        return [Group(part, list(self._lines(number, part))) for number, part in enumerate(parts, start=1)]

    def twins(self, group: Group) -> Twins | None:
        """What compares the lines of a group; None for one line."""
        if len(group.lines) < 2:
            return None
        return Twins(group.lines[0], group.lines[1], self._venue.codec)

    def _lines(self, number: int, keys: Sequence[Key]) -> Iterator[Line]:
        if self._settings.lines_per_stream == 1:
            yield Line(str(number), keys, self._around)
            return
        turns = asyncio.Lock()
        yield Line(f"{number}A", keys, self._around, turns=turns)
        yield Line(f"{number}B", keys, self._around, turns=turns, first_dial_in_s=TWIN_LATER_S)

    def _keys(self) -> Iterator[Key]:
        for symbol in self._settings.symbols:
            for channel in self._channels:
                if channel == "kline":
                    yield from (Key(channel, symbol, interval) for interval in self._settings.intervals)
                else:
                    yield Key(channel, symbol)


def _proxy(settings: Settings) -> str | None:
    if not settings.use_proxy:
        return None
    parts = urlsplit(settings.binance_ws_url)
    if proxy_bypass(parts.netloc):
        return None
    proxies = getproxies()
    return proxies.get("https" if parts.scheme == "wss" else "http") or proxies.get("all")
