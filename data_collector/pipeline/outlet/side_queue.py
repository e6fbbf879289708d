"""What waits for the store beside the records in order: quarantined, late and past ones. The outlet owns it."""

from __future__ import annotations

import asyncio

from data_collector.model.records import Kline, Sourced, received_origin
from data_collector.model.sink import Batch, SideEntry, SideKind


class SideQueue:
    """Of all symbols. What is more than `size_max` of a kind is dropped, the newest first, and entries are counted."""

    def __init__(self, size_max: int, dropped: dict[str, int], waiting: asyncio.Event) -> None:
        """`dropped` counts by kind; `waiting` is set while there is something to take."""
        self._size_max = size_max
        self._dropped = dropped
        self._waiting = waiting
        self._entries: list[SideEntry] = []
        self._revisions: list[Sourced[Kline]] = []
        self._past: list[Sourced[Kline]] = []
        self._number = 0

    @property
    def waiting_entries(self) -> int:
        """How many."""
        return len(self._entries)

    def put(self, kind: SideKind, symbol: str, fields: tuple[str, ...]) -> None:
        """An entry for `quarantine:…` or `late:…`."""
        if len(self._entries) >= self._size_max:
            self._dropped[kind] += 1
            return
        self._number += 1
        self._entries.append(SideEntry(kind, symbol, fields, self._number))
        self._waiting.set()

    def put_revision(self, kline: Sourced[Kline]) -> None:
        """A closed kline whose place in the stream is past, into its key."""
        if len(self._revisions) < self._size_max:
            self._revisions.append(kline)
            self._waiting.set()

    def put_past(self, kline: Kline, warnings: tuple[str, ...]) -> None:
        """A closed kline from before its series began, into its key where nothing is."""
        if len(self._past) < self._size_max:
            self._past.append(Sourced(kline, received_origin(kline, warnings)))
            self._waiting.set()

    def take(self) -> Batch:
        """A batch of all of it."""
        batch = Batch(side=self._entries, revisions=self._revisions, past=self._past)
        self._entries, self._revisions, self._past = [], [], []
        return batch
