"""The endpoints about what is missing: how complete the store is, and what became of each gap."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response
from msgspec.structs import replace

from data_collector.api.completeness.completeness import trade_counts
from data_collector.api.completeness.gap_answers import (
    CompletenessPage,
    GapAnswer,
    GapPage,
    GapStory,
    SymbolCompleteness,
    completeness_of,
)
from data_collector.api.completeness.gap_lives import named_by, newest_gaps, newest_of, story_of
from data_collector.api.context import (
    SYMBOL_PATTERN,
    Context,
    Now,
    Part,
    Parts,
    demand_here,
    elsewhere,
    store_url_of,
    symbol_of,
)
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
    parts: Parts,
    request: Request,
    symbol: Symbol = None,
    limit: Annotated[int, Query(ge=1, le=500, description="Symbols on a page.")] = 100,
    cursor: Annotated[str | None, Query(max_length=96, description="`next_cursor` of the page before.")] = None,
    klines: Annotated[bool, Query(description="Klines too, read entry by entry: only with `symbol`.")] = False,
) -> Response:
    """How complete the store is, counted in the store itself: `proven` when every record is held or declared."""
    if klines and symbol is None:
        raise HTTPException(422, "klines=1 reads a whole stream: it needs a symbol.")
    if cursor is not None and symbol is not None:
        raise HTTPException(422, "The cursor goes on a list of symbols: leave it out where one is named.")
    if symbol is None:
        page, following = _page([(part, name) for part in parts for name in part.snapshot.symbols], cursor, limit)
    else:
        page, following = [(parts[0], symbol_of(parts[0].snapshot, symbol))], None
    found: list[SymbolCompleteness] = []
    for part in parts:
        names = [name for each, name in page if each is part]
        found += await _completeness(part, names, request, with_klines=klines)
    channels = {channel for part in parts for channel in part.snapshot.channels}
    not_provable = [name for name, channel in CHANNELS.items() if name in channels and not channel.has_gaps]
    return answered(CompletenessPage(found, not_provable, following))


async def _completeness(
    part: Part, names: list[str], request: Request, *, with_klines: bool
) -> list[SymbolCompleteness]:  # fmt: skip
    """Of one exchange's symbols. Raises `HTTPException` for one that is neither collected nor stored."""
    snapshot, context = part.snapshot, part.context
    async with context.store.turn(store_url_of(snapshot)) as connection:
        trades = await trade_counts(connection, snapshot.store_keys, names, context.former, snapshot.foreign)
    for name in names:
        if name not in snapshot.symbols and trades[name].first is None:
            hint = elsewhere(request, snapshot, name)
            raise HTTPException(404, f"{name} is not collected, and the store holds no trades of it.{hint}")
    klines = None
    if with_klines:
        klines = await context.klines.counts(
            store_url_of(snapshot), snapshot.store_keys, names[0], snapshot.foreign
        )  # fmt: skip
    return [completeness_of(part.mark, name, trades[name], klines, snapshot.gaps) for name in names]


@router.get("/gaps", responses={200: described(GapPage), 404: described(Problem, "Another exchange collects it")})
async def gaps(
    parts: Parts,
    request: Request,
    symbol: Symbol = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="At most so many.")] = 50,
) -> Response:
    """The gaps that are open, then the newest ones: declared in the store, or remembered by the collector."""
    found: list[GapAnswer] = []
    for part in parts:
        snapshot = part.snapshot
        symbols = snapshot.symbols if symbol is None else [demand_here(request, snapshot, symbol)]
        store, keys = part.context.store, snapshot.store_keys
        gaps = await newest_gaps(store, store_url_of(snapshot), keys, symbols, snapshot.gaps, limit)
        found += [replace(gap, id=f"{part.mark.prefix}{gap.id}", exchange=part.mark.exchange) for gap in gaps]
    page = newest_of(found, limit)
    return answered(GapPage(len(page), page))


# An id may hold a slash, because the symbols of some exchanges do.
@router.get("/gaps/{gap_id:path}", responses={200: described(GapStory), 404: described(Problem, "Not known")})
async def gap(snapshot: Now, context: Context, gap_id: Annotated[str, Path(max_length=160)]) -> Response:
    """The life of one gap: when it was seen, what was tried, where its records came from or why they did not come."""
    named = named_by(gap_id)
    if named is None:
        raise HTTPException(404, "That is no id of a gap; they look like BTCUSDT-trade-1201.")
    named = replace(named, key=replace(named.key, symbol=symbol_of(snapshot, named.key.symbol)))
    store_url = store_url_of(snapshot)
    story = await story_of(context.store, store_url, snapshot.store_keys, named, snapshot.gaps)
    if story is None:
        raise HTTPException(404, "No such gap: the store declares none there, and the collector remembers none.")
    return answered(story)


def _page(
    symbols: list[tuple[Part, str]], cursor: str | None, limit: int
) -> tuple[list[tuple[Part, str]], str | None]:  # fmt: skip
    """The symbols after `cursor`, and the cursor of the page that follows."""
    cursors = [f"{part.mark.prefix}{name}" for part, name in symbols]
    if cursor is not None and cursor not in cursors:
        raise HTTPException(422, "The cursor is not one that a page before has given.")
    start = 0 if cursor is None else cursors.index(cursor) + 1
    end = start + limit
    return symbols[start:end], cursors[end - 1] if start < end < len(symbols) else None
