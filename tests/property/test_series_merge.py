"""However a series is split over two stores that overlap, its pages are the series."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from data_collector.api.series import stretches
from data_collector.api.series.merge import SeriesPart, cut, united_newest, united_page
from data_collector.api.series.stretches import copied_part, pieces_of
from data_collector.sinks.postgres.copying import CopiedPage

PLACES = st.lists(st.integers(0, 200), unique=True, max_size=60).map(sorted)


class Listed(Struct):
    """A store whose rows are a list; it looks at `reach` rows at most for one page."""

    name: str
    places: list[int]
    reach: int = 1000
    asked: int = 0

    async def first_place(self) -> int | None:
        return self.places[0] if self.places else None

    async def oldest_ms(self) -> int | None:
        return await self.first_place()

    async def page(self, first: int, limit: int) -> SeriesPart[str]:
        self.asked += 1
        ahead = [(place, f"{self.name} {place}") for place in self.places if place >= first]
        return cut(ahead, min(limit, self.reach))

    async def newest(self, limit: int) -> list[tuple[int, str]]:
        return [(place, f"{self.name} {place}") for place in self.places[-limit:]]

    async def copied(self, first: int, limit: int, solid_from: int | None) -> CopiedPage:
        """As PostgreSQL copies."""
        taken: list[int] = []
        end, goes_on = first, False
        for place in (place for place in self.places if place >= first):
            is_before = solid_from is not None and first < solid_from
            is_hole = solid_from is not None and not is_before and place > max(solid_from, end)
            if len(taken) == limit or is_hole or (is_before and place >= (solid_from or 0)):
                break
            taken.append(place)
            end = place + 1
        goes_on = len(taken) == limit
        if solid_from is not None and first < solid_from and not goes_on:
            end, goes_on = solid_from, True
        text = "".join(f"{self.name} {place}\n" for place in taken).encode()
        return CopiedPage(text, len(taken), taken[0] if taken else None, taken[-1] if taken else None, end, goes_on)


async def streamed(redis: Listed | None, postgres: Listed | None, first: int) -> list[tuple[int, str]]:
    rows: list[str] = []
    async for piece in pieces_of(redis, postgres, first):
        found = piece.text.decode().splitlines() or piece.rows
        places = [int(row.partition(" ")[2]) for row in found]
        assert (piece.first, piece.last) == ((places[0], places[-1]) if places else (None, None))
        rows += found
    return [(int(row.partition(" ")[2]), row) for row in rows]


async def paged(redis: Listed | None, postgres: Listed | None, limit: int, first: int = 0) -> list[tuple[int, str]]:
    rows: list[tuple[int, str]] = []
    position: int | None = first
    while position is not None:
        page = await united_page(redis, postgres, position, limit)
        assert len(page.rows) <= limit
        assert page.end is None or page.end > position
        rows += page.rows
        position = page.end
    return rows


@given(
    series=PLACES,
    split=st.data(),
    limit=st.integers(1, 30),
    reaches=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    first=st.integers(0, 210),
)
def test_pages_of_two_stores_are_the_series_that_was_split(
    series: list[int], split: st.DataObject, limit: int, reaches: tuple[int, int], first: int
) -> None:
    holders = split.draw(st.lists(st.sampled_from("rpb"), min_size=len(series), max_size=len(series)))
    redis = Listed("r", held(series, holders, "rb"), reaches[0])
    postgres = Listed("p", held(series, holders, "pb"), reaches[1])

    rows = asyncio.run(paged(redis, postgres, limit, first))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stretches, "COPIED_ROWS", limit)
        patch.setattr(stretches, "PAGE_ROWS", 1 + limit // 2)
        whole = asyncio.run(streamed(redis, postgres, first))
    newest = asyncio.run(united_newest(redis, postgres, limit))
    part = asyncio.run(copied_part(redis, postgres, first, limit))

    owners = {place: "r" if holder == "r" else "p" for place, holder in zip(series, holders, strict=True)}
    expected = [(place, f"{owners[place]} {place}") for place in series]
    assert rows == [row for row in expected if row[0] >= first]
    assert whole == rows
    assert newest == SeriesPart(expected[-limit:])
    if part is not None:
        assert part.text.decode().splitlines() == [row for _, row in rows[:limit]]
        assert (part.first, part.end) == (rows[0][0], rows[limit][0])


@given(series=PLACES, limit=st.integers(1, 30))
def test_one_store_alone_pages_back_to_what_it_holds(series: list[int], limit: int) -> None:
    for redis, postgres in ((Listed("x", series), None), (None, Listed("x", series))):
        assert [place for place, _ in asyncio.run(paged(redis, postgres, limit))] == series
        assert [place for place, _ in asyncio.run(streamed(redis, postgres, 0))] == series


@given(series=PLACES, limit=st.integers(1, 10), moved=st.integers(1, 30))
def test_rows_that_move_from_one_store_to_the_other_meanwhile_are_not_lost(
    series: list[int], limit: int, moved: int
) -> None:
    postgres = Listed("p", [])

    class Moving(Listed):
        """Each time that it was asked, its oldest rows go over to the other store."""

        async def page(self, first: int, limit: int) -> SeriesPart[str]:
            found = await super().page(first, limit)
            postgres.places.extend(self.places[:moved])
            del self.places[:moved]
            return found

    rows = asyncio.run(paged(Moving("r", list(series)), postgres, limit))
    postgres.places.clear()
    whole = asyncio.run(streamed(Moving("r", list(series)), postgres, 0))

    assert [place for place, _ in rows] == series
    assert [place for place, _ in whole] == series


def test_history_far_from_the_seam_does_not_ask_redis_for_rows() -> None:
    redis, postgres = Listed("r", list(range(900, 1000))), Listed("p", list(range(950)))

    page = asyncio.run(united_page(redis, postgres, 100, 50))

    assert ([place for place, _ in page.rows], page.end) == (list(range(100, 150)), 150)
    assert (redis.asked, postgres.asked) == (0, 1)


def held(series: Iterable[int], holders: Iterable[str], wanted: str) -> list[int]:
    return [place for place, holder in zip(series, holders, strict=True) if holder in wanted]
