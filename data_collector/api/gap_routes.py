"""The endpoints about what is missing: how complete the store is, and what became of each gap."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Query

from data_collector.api.completeness import kline_tallies, trade_tallies
from data_collector.api.gap_answers import (
    CompletenessPage,
    GapPage,
    GapStory,
    completeness_of,
    gap_page_of,
    gap_story_of,
)
from data_collector.api.gap_lives import named_by, newest_gaps, story_of
from data_collector.api.routes import SYMBOL_PATTERN, Around, Now
from data_collector.model.calendar import UtcCalendar
from data_collector.model.errors import SinkUnavailable
from data_collector.model.status import Snapshot
from data_collector.web.answers import Problem, masked

Symbol = Annotated[
    str | None, Query(max_length=64, pattern=SYMBOL_PATTERN, description="All that are collected when left out.")
]

router = APIRouter(
    tags=["gaps"],
    responses={
        422: {"model": Problem},
        429: {"model": Problem, "description": "Too many requests; see Retry-After."},
        503: {"model": Problem, "description": "The store cannot be read"},
    },
)


@router.get("/completeness", responses={404: {"model": Problem, "description": "Not collected"}})
async def completeness(
    snapshot: Now,
    around: Around,
    symbol: Symbol = None,
    limit: Annotated[int, Query(ge=1, le=500, description="Symbols on a page.")] = 100,
    cursor: Annotated[str | None, Query(max_length=64, description="`next_cursor` of the page before.")] = None,
    klines: Annotated[bool, Query(description="Klines too, read entry by entry: only with `symbol`.")] = False,
) -> CompletenessPage:
    """How complete the store is, counted in the store itself: `proven` when every record is held or declared."""
    if klines and symbol is None:
        raise HTTPException(422, "klines=1 reads a whole stream: it needs a symbol.")
    store_url = _store_url(snapshot)
    page, following = ([symbol.upper()], None) if symbol is not None else _page(snapshot.symbols, cursor, limit)
    try:
        async with around.store.turn(store_url) as connection:
            trades = await trade_tallies(connection, snapshot.store_keys, page)
            by_interval = None
            if klines:
                by_interval = await kline_tallies(connection, snapshot.store_keys, page[0], UtcCalendar())
    except SinkUnavailable as error:
        raise HTTPException(503, masked(str(error))) from error
    unknown = [name for name in page if name not in snapshot.symbols and trades[name].first is None]
    if unknown:
        raise HTTPException(404, f"{unknown[0]} is not collected, and the store holds no trades of it.")
    return CompletenessPage(
        symbols=[completeness_of(name, trades[name], by_interval, snapshot.gaps) for name in page],
        next_cursor=following,
    )


@router.get("/gaps")
async def gaps(
    snapshot: Now,
    around: Around,
    symbol: Symbol = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="At most so many.")] = 50,
) -> GapPage:
    """The gaps that are open, then the newest ones: declared in the store, or remembered by the collector."""
    store_url = _store_url(snapshot)
    symbols = snapshot.symbols if symbol is None else [symbol.upper()]
    try:
        found = await newest_gaps(around.store, store_url, snapshot.store_keys, symbols, snapshot.gaps, limit)
    except SinkUnavailable as error:
        raise HTTPException(503, masked(str(error))) from error
    return gap_page_of(found)


# An id may hold a slash, because the symbols of some exchanges do.
@router.get("/gaps/{gap_id:path}", responses={404: {"model": Problem, "description": "Not known"}})
async def gap(snapshot: Now, around: Around, gap_id: Annotated[str, Path(max_length=160)]) -> GapStory:
    """The life of one gap: when it was seen, what was tried, where its records came from or why they did not come."""
    named = named_by(gap_id)
    if named is None:
        raise HTTPException(404, "That is no id of a gap; they look like BTCUSDT-trade-1201.")
    store_url = _store_url(snapshot)
    try:
        story = await story_of(around.store, store_url, snapshot.store_keys, named, snapshot.gaps)
    except SinkUnavailable as error:
        raise HTTPException(503, masked(str(error))) from error
    if story is None:
        raise HTTPException(404, "No such gap: the store declares none there, and the collector remembers none.")
    return gap_story_of(story)


def _store_url(snapshot: Snapshot) -> str:
    if snapshot.store_url is None:
        raise HTTPException(503, "The store is not known yet; /health says what it waits for.")
    return snapshot.store_url


def _page(symbols: list[str], cursor: str | None, limit: int) -> tuple[list[str], str | None]:
    """The symbols after `cursor`, and the cursor of the page that follows."""
    if cursor is not None and cursor not in symbols:
        raise HTTPException(422, "The cursor is not one that a page before has given.")
    start = 0 if cursor is None else symbols.index(cursor) + 1
    page = symbols[start : start + limit]
    return page, page[-1] if page and start + limit < len(symbols) else None
