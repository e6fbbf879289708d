"""Trades of symbols that PostgreSQL refuses: where they began to wait, and what the store threw away of them since.

The places stand among the cursors, so that a later start knows them. A name that the database cannot hold stands there,
and in the table of gaps, in ASCII: `\\u5e01USDT`.
"""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from data_collector.model.gaps import Gap
from data_collector.model.keys import Key
from data_collector.service.history_writer.reading import FirstHeld
from data_collector.sinks.postgres.following import FollowedDatabase
from data_collector.sinks.redis.entries import entry_id


class RefusedTrades:
    """Of one database."""

    def __init__(self, cursors: Mapping[str, str]) -> None:
        """As the database tells them."""
        self.trimmed: set[str] = set()
        """Symbols whose names do not fit, and of whose trades some are recorded as lost."""
        self._places = dict(cursors)
        self._recorded: dict[str, str] = {}
        """Up to which entry."""

    async def keep(self, symbol: str, first: FirstHeld, database: FollowedDatabase, *, fits: bool) -> str:
        """Where the trades of a symbol began to wait; raises as `FollowedDatabase.put`.

        What was trimmed of one whose name `fits` is recorded when its rows are taken again; of others it is now, since
        they may never be.
        """
        name = _in_ascii(first.stream)
        place = self._places.get(name)
        if place is None:
            place = _before(first.id)
            await database.put([], [], [], [], {name: place})
            self._places[name] = place
        elif not fits and self._recorded.get(name) != first.id:
            await self._record(symbol, place, first, database)
            self._recorded[name] = first.id
        return place

    async def _record(self, symbol: str, place: str, first: FirstHeld, database: FollowedDatabase) -> None:
        before, oldest = entry_id(place).number, entry_id(first.id).number
        # Smaller ids are those of a later epoch.
        missing = before + 1 if oldest > before else 0
        if missing < oldest and entry_id(first.id) > entry_id(place):
            gap = Gap(missing, oldest - 1, oldest - missing, "skipped")
            await database.put([], [], [], [(Key("trade", _in_ascii(symbol)), gap, first.epoch)], {})
            structlog.get_logger().warning("history_refused_trimmed", symbol=symbol, first=gap.first, last=gap.last)
            self.trimmed.add(symbol)


def _in_ascii(name: str) -> str:
    return name.encode("ascii", "backslashreplace").decode()


def _before(entry: str) -> str:
    """The place behind which an entry is the next one."""
    ms, number = entry_id(entry)
    return f"{ms}-{number - 1}" if number else f"{max(0, ms - 1)}-0"
