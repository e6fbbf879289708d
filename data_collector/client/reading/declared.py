"""Why records are missing: what `gaps:` declares, and PostgreSQL's table where a database is known."""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Sequence
from typing import Final, Literal

from data_collector.client.reading.database import DatabaseStored
from data_collector.client.reading.entries import entries_of, gap_of, text_of
from data_collector.client.reading.questions import Plan, ask_store
from data_collector.client.reading.symbols import Joined
from data_collector.client.records import CALENDAR, Gap, Missing, time_of
from data_collector.client.terms.position import START
from data_collector.model.gaps import Gap as Range
from data_collector.model.gaps import gaps_after
from data_collector.model.grid import Hole, explained, grid_of
from data_collector.model.keys import Key, StoreKeys

PAGE_ENTRIES = 1000

_REASONS: Final[dict[str, Missing]] = {"absent": "absent", "refused": "refused", "skipped": "skipped", "lost": "lost"}


class Declared:
    """What was declared of one symbol, as far as it was asked for. It is never taken back, so it is read once."""

    def __init__(self, keys: StoreKeys, symbol: str, joined: Joined, database: DatabaseStored | None = None) -> None:
        """A database is asked too, where there is one: it keeps them for longer."""
        self._key = keys.key("gaps", symbol)
        self._joined = joined
        self._database = database
        self._read = START
        self._ranges: defaultdict[tuple[str | None, int], list[Range]] = defaultdict(list)

    def explain(self, key: Key, epoch: int, first: int, until: int) -> Plan[list[Gap]]:
        """A range of missing records in pieces of one reason each, ascending."""
        yield from self._read_on()
        grid, recorded = grid_of(key, CALENDAR), self._ranges[key.interval, epoch]
        if self._database is not None:
            kept = yield from self._database.gaps(key, epoch, first, until)
            recorded = sorted([*recorded, *kept], key=lambda each: each.first)
        return [_gap(key, epoch, hole, recorded) for hole in explained(grid, first, until, recorded)]

    def beyond(self, key: Key, epoch: int, last: int) -> Plan[list[Gap]]:
        """What is missing at the end of an epoch that is over, behind its last trade."""
        yield from self._read_on()
        grid, recorded = grid_of(key, CALENDAR), self._ranges[key.interval, epoch]
        return [
            _gap(key, epoch, hole, recorded)
            for gap in gaps_after(recorded, last)
            for hole in explained(grid, gap.first, gap.last + 1, [gap])
        ]

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


def _gap(key: Key, epoch: int, hole: Hole, recorded: Sequence[Range]) -> Gap:
    first, last = (number if key.interval is None else time_of(number) for number in (hole.first, hole.last))
    rules = next((each.rules for each in recorded if each.first <= hole.first <= each.last), ())
    channel: Literal["trade", "kline"] = "trade" if key.interval is None else "kline"
    reason = _REASONS.get(hole.reason, "unknown")
    return Gap(key.symbol, channel, key.interval, first, last, hole.count, reason, rules, epoch)
