"""A whole range of a series, however long, in pieces: what PostgreSQL holds is copied, the rest read row by row.

Each piece is a question of its own: between two of them neither a connection nor a transaction is held, so a reader may
take its time. Where PostgreSQL has a hole that Redis may fill, and at the end, the piece is the page that both give.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Generic

from msgspec import Struct

from data_collector.api.series.merge import CopyingStore, Row, SeriesPart, SeriesStore, united_page

COPIED_ROWS = 20_000
"""In a piece: 3 MB of CSV, some 25 ms of PostgreSQL's time."""

PAGE_ROWS = 2000
"""Read row by row, some 0.1 s."""


class Piece(Struct, Generic[Row]):
    """Rows that follow those of the piece before; `rows` or `text` is empty."""

    rows: list[Row]
    text: bytes
    """Lines of CSV."""
    first: int | None
    """Place of the first row; None without rows."""
    last: int | None
    is_end: bool = False


async def copied_part(
    redis: SeriesStore[Row] | None, postgres: CopyingStore[Row], first: int, limit: int
) -> SeriesPart[Row] | None:
    """The first `limit` rows from `first` on, as PostgreSQL writes them; None where it does not hold all of these."""
    copied = await postgres.copied(first, limit + 1, None if redis is None else await redis.first_place())
    if copied.count <= limit:
        return None
    # The last row tells that more follow.
    return SeriesPart([], copied.last, copied.text[: copied.text.rindex(b"\n", 0, -1) + 1], copied.first)


async def pieces_of(
    redis: SeriesStore[Row] | None, postgres: CopyingStore[Row] | None, begin: int
) -> AsyncIterator[Piece[Row]]:
    """All rows from `begin` on; None is a store that there is not. Raises `SinkUnavailable`.

    The first piece and the last one may be empty.
    """
    place, limit = begin, COPIED_ROWS
    while True:
        if postgres is not None:
            copied = await postgres.copied(place, limit, None if redis is None else await redis.first_place())
            if copied.text:
                yield Piece([], copied.text, copied.first, copied.last)
            place = copied.end
            if copied.goes_on:
                limit = min(2 * limit, COPIED_ROWS)
                continue
        part = await united_page(redis, postgres, place, PAGE_ROWS)
        first, last = (part.rows[0][0], part.rows[-1][0]) if part.rows else (None, None)
        yield Piece([row for _, row in part.rows], b"", first, last, is_end=part.end is None)
        if part.end is None:
            return
        # Holes lie close to each other: what is asked for behind one may be in vain.
        place, limit = part.end, PAGE_ROWS
