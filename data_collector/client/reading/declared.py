"""Why records are missing: what `gaps:` declares, PostgreSQL's table where a database is known, and the HTTP side."""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Sequence
from typing import Final, Literal

from data_collector.client.reading.database import DatabaseStored
from data_collector.client.reading.entries import entries_of, gap_of, text_of
from data_collector.client.reading.questions import Plan, ask_clock, ask_store
from data_collector.client.reading.stored import ApiStored, Declaration
from data_collector.client.reading.symbols import Joined
from data_collector.client.records import CALENDAR, Gap, Missing, time_of
from data_collector.client.terms.position import START
from data_collector.model.gaps import Gap as Range
from data_collector.model.gaps import gaps_after
from data_collector.model.grid import UNEXPLAINED, Grid, Hole, explained, grid_of
from data_collector.model.keys import Key, StoreKeys

PAGE_ENTRIES = 1000

TOLD_S = 10.0
"""So long what the HTTP side has told is taken for all that it knows."""

_REASONS: Final[dict[str, Missing]] = {"absent": "absent", "refused": "refused", "skipped": "skipped", "lost": "lost"}


class Declared:
    """What was declared of one symbol, as far as it was asked for. It is never taken back, so it is read once."""

    def __init__(
        self, keys: StoreKeys, symbol: str, joined: Joined, database: DatabaseStored | None = None,
        api: ApiStored | None = None,
    ) -> None:  # fmt: skip
        """A database is asked too, where there is one: it keeps them for longer; the HTTP side for what is left."""
        self._symbol = symbol
        self._key = keys.key("gaps", symbol)
        self._joined = joined
        self._database = database
        self._api = api
        self._told: Sequence[Declaration] = ()
        """By the HTTP side."""
        self._asks_at_s = 0.0
        """When that is asked again."""
        self._read = START
        self._ranges: defaultdict[tuple[str | None, int], list[Range]] = defaultdict(list)

    def explain(self, key: Key, epoch: int, first: int, until: int) -> Plan[list[Gap]]:
        """A range of missing records in pieces of one reason each, ascending."""
        yield from self._read_on()
        grid, recorded = grid_of(key, CALENDAR), self._ranges[key.interval, epoch]
        if self._database is not None:
            kept = yield from self._database.gaps(key, epoch, first, until)
            recorded = sorted([*recorded, *kept], key=lambda each: each.first)
        holes = explained(grid, first, until, recorded)
        if self._api is not None and any(hole.reason == UNEXPLAINED for hole in holes):
            told = yield from self._told_of(self._api, key.interval, epoch)
            holes = [part for hole in holes for part in _explained_further(grid, hole, told)]
            recorded = [*recorded, *told]
        return [_gap(key, epoch, hole, recorded) for hole in holes]

    def beyond(self, key: Key, epoch: int, last: int) -> Plan[list[Gap]]:
        """What is missing at the end of an epoch that is over, behind its last trade."""
        yield from self._read_on()
        grid, recorded = grid_of(key, CALENDAR), self._ranges[key.interval, epoch]
        if self._api is not None and not gaps_after(recorded, last):
            recorded = yield from self._told_of(self._api, key.interval, epoch)
        return [
            _gap(key, epoch, hole, recorded)
            for gap in gaps_after(recorded, last)
            for hole in explained(grid, gap.first, gap.last + 1, [gap])
        ]

    def _told_of(self, api: ApiStored, interval: str | None, epoch: int) -> Plan[list[Range]]:
        now_s = yield from ask_clock()
        if now_s >= self._asks_at_s:
            self._told = yield from api.gaps(self._symbol)
            self._asks_at_s = now_s + TOLD_S
        found = [each for of_interval, of_epoch, each in self._told if (of_interval, of_epoch) == (interval, epoch)]
        return sorted(found, key=lambda each: each.first)

    def _read_on(self) -> Plan[None]:
        yield from self._joined.begin()
        while True:
            reply = yield from ask_store("XRANGE", self._key, f"({self._read}", "+", "COUNT", PAGE_ENTRIES)
            entries = entries_of(reply)
            for entry in entries:
                declared = gap_of(entry)
                if declared is not None:
                    interval, epoch, found = declared
                    insort(self._ranges[interval, epoch], found, key=lambda each: each.first)
            if entries:
                self._read = text_of(entries[-1][0])
            if len(entries) < PAGE_ENTRIES:
                break


def _explained_further(grid: Grid, hole: Hole, recorded: Sequence[Range]) -> Sequence[Hole]:
    return explained(grid, hole.first, grid.following(hole.last), recorded) if hole.reason == UNEXPLAINED else [hole]


def _gap(key: Key, epoch: int, hole: Hole, recorded: Sequence[Range]) -> Gap:
    first, last = (number if key.interval is None else time_of(number) for number in (hole.first, hole.last))
    rules = next((each.rules for each in recorded if each.first <= hole.first <= each.last), ())
    channel: Literal["trade", "kline"] = "trade" if key.interval is None else "kline"
    reason = _REASONS.get(hole.reason, "unknown")
    return Gap(key.symbol, channel, key.interval, first, last, hole.count, reason, rules, epoch)
