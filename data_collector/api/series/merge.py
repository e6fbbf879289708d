"""Two stores of one series read as one, page by page: nothing doubled, nothing left out. Pure but for the asking.

Redis holds the newest records and lets the oldest go; PostgreSQL gets them from Redis a moment later, and has holes
of its own while it is being filled. So no place is where the one ends and the other begins: each page is the union
of what both hold. A record that both hold is taken from PostgreSQL, which gets corrections for good.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from operator import itemgetter
from typing import Generic, Protocol, TypeVar

from msgspec import Struct

from data_collector.sinks.postgres.copying import CopiedPage

Row = TypeVar("Row")


class SeriesPart(Struct, Generic[Row]):
    """A stretch of a series: all rows from the place that was asked for up to `end`."""

    rows: list[tuple[int, Row]]
    """Place (trade id, or open time in ms) and record; places rise."""
    end: int | None = None
    """The first place that was not looked at; None when nothing follows."""
    text: bytes = b""
    """In place of `rows`: lines of CSV that PostgreSQL wrote."""
    first: int | None = None
    """With `text`: the place of the first row."""


class SeriesStore(Protocol[Row]):
    """One store's side of one series. Every method raises `SinkUnavailable` while the store is away."""

    async def first_place(self) -> int | None:
        """A place before which it holds nothing, now or later; None when it holds nothing."""

    async def oldest_ms(self) -> int | None:
        """A time before which no record of it is; of a store that lets records expire, not the latest such time."""

    async def page(self, first: int, limit: int) -> SeriesPart[Row]:
        """The rows from `first` on; at most `limit`, and not necessarily so many while `end` says that more follow."""

    async def newest(self, limit: int) -> list[tuple[int, Row]]:
        """The last `limit` rows, rising; fewer where these are all that it holds."""


class CopyingStore(SeriesStore[Row], Protocol):
    """One that also writes long stretches itself."""

    async def copied(self, first: int, limit: int, solid_from: int | None) -> CopiedPage:
        """At most `limit` rows from `first` on as CSV, up to a hole that another store may fill, from `solid_from` on.

        None: there is no such store.
        """


async def united_page(
    redis: SeriesStore[Row] | None, postgres: SeriesStore[Row] | None, first: int, limit: int
) -> SeriesPart[Row]:
    """The rows from `first` on of both stores together; None is a store that there is not. Raises `SinkUnavailable`."""
    if redis is None or postgres is None:
        only = redis or postgres
        return SeriesPart([]) if only is None else await only.page(first, limit)
    begins = await redis.first_place()
    if begins is None or first < begins:
        old = await postgres.page(first, limit)
        if old.end is not None and (begins is None or old.end <= begins):
            return old
    # In this order: what Redis let go after it was read had come to PostgreSQL before that is read.
    new = await redis.page(first, limit)
    return united(await postgres.page(first, limit), new, limit)


async def united_newest(
    redis: SeriesStore[Row] | None, postgres: SeriesStore[Row] | None, limit: int
) -> SeriesPart[Row]:  # fmt: skip
    """The last `limit` rows of both stores together. Raises as `united_page`."""
    # In this order, as above.
    found = [[] if store is None else await store.newest(limit) for store in (redis, postgres)]
    new, old = (SeriesPart(rows) for rows in found)
    # Of what lies before the first row of a full answer, that store holds more.
    begin = max((rows[0][0] for rows in found if len(rows) >= limit), default=0)
    rows = [row for row in united(old, new, 2 * limit).rows if row[0] >= begin]
    return SeriesPart(rows[-limit:])


def united(preferred: SeriesPart[Row], other: SeriesPart[Row], limit: int) -> SeriesPart[Row]:
    """At most `limit` rows of both, as far as both have been looked at; a place that both have is `preferred`'s."""
    ends = [part.end for part in (preferred, other) if part.end is not None]
    end = min(ends, default=None)
    rows: list[tuple[int, Row]] = []
    # The merge is stable, so of two equal places the preferred one comes first.
    for place, row in heapq.merge(preferred.rows, other.rows, key=itemgetter(0)):
        if end is not None and place >= end:
            break
        if rows and rows[-1][0] == place:
            continue
        if len(rows) == limit:
            return SeriesPart(rows, rows[-1][0] + 1)
        rows.append((place, row))
    return SeriesPart(rows, end)


def cut(rows: Sequence[tuple[int, Row]], limit: int) -> SeriesPart[Row]:
    """A store's page out of what it gave when asked for one row more than `limit`."""
    if len(rows) <= limit:
        return SeriesPart(list(rows))
    return SeriesPart(list(rows[:limit]), rows[limit - 1][0] + 1)
