"""`GET /latest`: the newest price and the statistics of 24 hours."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, HTTPException, Path, Request, Response

from data_collector.api.context import SYMBOL_PATTERN, Context, Now, Parts, elsewhere, store_url_of, symbol_of
from data_collector.api.latest import Latest, LatestPage, latest_json, nothing_of
from data_collector.web.answers import Problem
from data_collector.web.openapi import INVALID, TOO_MANY, described

router = APIRouter(
    tags=["records"], responses={422: INVALID, 429: TOO_MANY, 503: described(Problem, "The store cannot be read")}
)


@router.get("/latest", responses={200: described(LatestPage)})
async def latest(parts: Parts) -> Response:
    """The newest price of every symbol that is collected, and the statistics of 24 hours."""
    records: list[msgspec.Raw] = []
    for part in parts:
        state, exchange = part.snapshot, part.mark.exchange
        symbols, url = state.symbols, store_url_of(state)
        found = await latest_json(part.context.store, url, state.store_keys, symbols, exchange)
        records += [each or nothing_of(symbol, exchange) for symbol, each in zip(symbols, found, strict=True)]
    return _written({"count": len(records), "records": records})


# The symbols of some exchanges hold a slash.
@router.get("/latest/{symbol:path}", responses={200: described(Latest), 404: described(Problem, "Not collected")})
async def latest_of(
    snapshot: Now,
    context: Context,
    request: Request,
    symbol: Annotated[str, Path(max_length=64, pattern=SYMBOL_PATTERN, description="In any case.")],
) -> Response:
    """The newest price of a symbol, and the statistics of 24 hours."""
    name = symbol_of(snapshot, symbol)
    (found,) = await latest_json(context.store, store_url_of(snapshot), snapshot.store_keys, [name])
    if found is None and name not in snapshot.symbols:
        hint = elsewhere(request, snapshot, name)
        raise HTTPException(404, f"{name} is not collected, and the store has nothing of it.{hint}")
    return _written(found or nothing_of(name))


def _written(content: object) -> Response:
    return Response(msgspec.json.encode(content), media_type="application/json")
