"""The store's side of a replay: reads `quarantine:` streams page by page, and moves out of them what may pass now.

Each record is moved by one server-side call, which does nothing when its entry is gone. So it does not matter how often
a replay is begun, killed or run beside another.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from data_collector.model.errors import Misconfigured, SinkUnavailable
from data_collector.model.keys import StoreKeys
from data_collector.sinks.redis.calls import SIDE_MAXLEN
from data_collector.sinks.redis.connection import Command, ReplyError, StoreConnection
from data_collector.sinks.redis.entries import StreamEntry, entries_of
from data_collector.sinks.redis.functions import REPLAY, check_rights, load_functions

PAGE_ENTRIES = 100
"""Read and moved at a time: entries hold up to 4 KiB of data, and a call takes the server some 20 µs."""

Outcome = Literal["late", "newer_kept", "known", "open_key", "superseded", "gone", "foreign_key"]
"""What became of a record: see `replay` in functions.lua. `foreign_key`: somebody else uses a key that it needs."""


class KlineKey(Struct, frozen=True):
    """The `kline:` key of a kline."""

    interval: str
    timestamp: str
    """The record's own text."""
    is_closed: bool
    ttl_s: int


class Release(Struct, frozen=True):
    """A refused record that may pass now."""

    entry_id: str
    warnings: tuple[str, ...]
    kline: KlineKey | None
    """None for a trade."""


class QuarantineStreams:
    """All `quarantine:` streams of a store."""

    def __init__(self, connection: StoreConnection, keys: StoreKeys) -> None:
        self._connection = connection
        self._keys = keys
        self.foreign: set[str] = set()
        """What the server said of keys that somebody uses for something else."""

    async def prepare(self) -> None:
        """Make the store ready for `release`. Raises `Misconfigured` or `SinkUnavailable`."""
        await load_functions(self._connection)
        await check_rights(self._connection, self._keys.prefix, "replay")

    async def pages(self, symbol: str) -> AsyncIterator[list[StreamEntry]]:
        """All entries of a stream, oldest first. Entries may be moved meanwhile.

        Raises `Misconfigured` or `SinkUnavailable`.
        """
        key, start = self._keys.key("quarantine", symbol), "-"
        while True:
            (reply,) = await self._connection.execute([("XRANGE", key, start, "+", "COUNT", PAGE_ENTRIES)])
            if isinstance(reply, ReplyError):
                self._note(reply, f"{key} is no stream")
                return
            page = entries_of(reply, symbol, key)
            if page:
                yield page
            if len(page) < PAGE_ENTRIES:
                return
            start = f"({page[-1].id}"

    async def release(self, symbol: str, releases: Sequence[Release]) -> list[Outcome]:
        """Move records out of quarantine; each call of its own. Raises `Misconfigured` or `SinkUnavailable`."""
        replies = await self._connection.execute([self._call(symbol, release) for release in releases])
        return [self._outcome(reply) for reply in replies]

    def _call(self, symbol: str, release: Release) -> Command:
        kline = release.kline
        keys = [self._keys.key("quarantine", symbol), self._keys.key("late", symbol)]
        arguments: list[str | int] = [release.entry_id, SIDE_MAXLEN, ",".join(release.warnings)]
        if kline is not None:
            keys.append(self._keys.kline(symbol, kline.interval, kline.timestamp))
            keys.append(self._keys.origin(symbol, kline.interval, kline.timestamp))
            arguments += [int(kline.is_closed), kline.ttl_s]
        return ("FCALL", REPLAY, len(keys), *keys, *arguments)

    def _outcome(self, reply: object) -> Outcome:
        if isinstance(reply, ReplyError):
            # The functions name the key: "WRONGTYPE late:BTCUSDT is a string …".
            self._note(reply, str(reply).partition(" ")[2].partition(" script:")[0])
            return "foreign_key"
        outcome: Outcome = msgspec.convert(reply, Outcome)
        return outcome

    def _note(self, error: ReplyError, sentence: str) -> None:
        """Remember a key of another type; raise for every other error."""
        if error.kind == "NOPERM":
            raise Misconfigured(
                f"The store's user may not replay: {error} docs/operations.md has the ACL SETUSER command that gives "
                "all rights."
            )
        if error.kind != "WRONGTYPE":
            raise SinkUnavailable(f"The store refuses: {error} What was replayed until then stays; run it again.")
        self.foreign.add(sentence)
