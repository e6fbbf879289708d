"""The endpoints about what is missing: how complete the store is, and what became of each gap."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Query, Response

from data_collector.api.completeness.completeness import kline_counts, trade_counts
from data_collector.api.completeness.gap_answers import (
    CompletenessPage,
    GapPage,
    GapStory,
    completeness_of,
)
from data_collector.api.completeness.gap_lives import named_by, newest_gaps, story_of
from data_collector.api.context import SYMBOL_PATTERN, Context, Now, store_url_of, symbol_of
from data_collector.model.calendar import UtcCalendar
from data_collector.model.channels import CHANNELS
from data_collector.web.answers import Problem, answered
from data_collector.web.openapi import INVALID, TOO_MANY, described

Symbol = Annotated[
    str | None, Query(max_length=64, pattern=SYMBOL_PATTERN, description="All that are collected when left out.")
]

router = APIRouter(
    tags=["gaps"],
    responses={422: INVALID, 429: TOO_MANY, 503: described(Problem, "The store cannot be read")},
)


@router.get("/completeness", responses={200: described(CompletenessPage), 404: described(Problem, "Not collected")})
async def completeness(
    snapshot: Now,
    context: Context,
    symbol: Symbol = None,
    limit: Annotated[int, Query(ge=1, le=500, description="Symbols on a page.")] = 100,
    cursor: Annotated[str | None, Query(max_length=64, description="`next_cursor` of the page before.")] = None,
    klines: Annotated[bool, Query(description="Klines too, read entry by entry: only with `symbol`.")] = False,
) -> Response:
    """How complete the store is, counted in the store itself: `proven` when every record is held or declared."""
    if klines and symbol is None:
        raise HTTPException(422, "klines=1 reads a whole stream: it needs a symbol.")
    if cursor is not None and symbol is not None:
        raise HTTPException(422, "The cursor goes on a list of symbols: leave it out where one is named.")
    store_url = store_url_of(snapshot)
    page, following = (
        _page(snapshot.symbols, cursor, limit) if symbol is None else ([symbol_of(snapshot, symbol)], None)
    )
    async with context.store.turn(store_url) as connection:
        trades = await trade_counts(connection, snapshot.store_keys, page, context.former, snapshot.foreign)
        by_interval = None
        if klines:
            asked = snapshot.store_keys, page[0], UtcCalendar(), snapshot.foreign
            by_interval = await kline_counts(connection, *asked)
    unknown = [name for name in page if name not in snapshot.symbols and trades[name].first is None]
    if unknown:
        raise HTTPException(404, f"{unknown[0]} is not collected, and the store holds no trades of it.")
    found = [completeness_of(name, trades[name], by_interval, snapshot.gaps) for name in page]
    not_provable = [name for name, channel in CHANNELS.items() if name in snapshot.channels and not channel.has_gaps]
    return answered(CompletenessPage(found, not_provable, following))


@router.get("/gaps", responses={200: described(GapPage)})
async def gaps(
    snapshot: Now,
    context: Context,
    symbol: Symbol = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="At most so many.")] = 50,
) -> Response:
    """The gaps that are open, then the newest ones: declared in the store, or remembered by the collector."""
    store_url = store_url_of(snapshot)
    symbols = snapshot.symbols if symbol is None else [symbol_of(snapshot, symbol)]
    found = await newest_gaps(context.store, store_url, snapshot.store_keys, symbols, snapshot.gaps, limit)
    return answered(GapPage(len(found), found))


# An id may hold a slash, because the symbols of some exchanges do.
@router.get("/gaps/{gap_id:path}", responses={200: described(GapStory), 404: described(Problem, "Not known")})
async def gap(snapshot: Now, context: Context, gap_id: Annotated[str, Path(max_length=160)]) -> Response:
    """The life of one gap: when it was seen, what was tried, where its records came from or why they did not come."""
    named = named_by(gap_id.removeprefix(f"{snapshot.exchange}:"))
    if named is None:
        raise HTTPException(404, "That is no id of a gap; they look like BTCUSDT-trade-1201.")
    store_url = store_url_of(snapshot)
    story = await story_of(context.store, store_url, snapshot.store_keys, named, snapshot.gaps)
    if story is None:
        raise HTTPException(404, "No such gap: the store declares none there, and the collector remembers none.")
    return answered(story)


def _page(symbols: list[str], cursor: str | None, limit: int) -> tuple[list[str], str | None]:
    """The symbols after `cursor`, and the cursor of the page that follows."""
    if cursor is not None and cursor not in symbols:
        raise HTTPException(422, "The cursor is not one that a page before has given.")
    start = 0 if cursor is None else symbols.index(cursor) + 1
    page = symbols[start : start + limit]
    return page, page[-1] if page and start + limit < len(symbols) else None
