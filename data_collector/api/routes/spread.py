"""`GET /spread`: one market at all exchanges, side by side."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Response

from data_collector.api.context import Asked, Whole, store_url_of
from data_collector.api.spread import STALE_S, SpreadPage, markets_of, reference_of, spread_of
from data_collector.web.answers import Problem, answered
from data_collector.web.openapi import INVALID, TOO_MANY, described

NAME = r"^[^\W_]+$"

router = APIRouter(
    tags=["records"], responses={422: INVALID, 429: TOO_MANY, 503: described(Problem, "The store cannot be read")}
)


@router.get("/spread", responses={200: described(SpreadPage), 404: described(Problem, "Not collected")})
async def spread(
    whole: Whole,
    asked: Asked,
    base: Annotated[str, Query(max_length=32, pattern=NAME, description="What is traded, such as `BTC`.")],
    quote: Annotated[
        str,
        Query(
            max_length=128,
            pattern=r"^[^\W_]+(,[^\W_]+)*$",
            description="What it is priced in. `USD,USDT` puts these side by side, which are not the same.",
        ),
    ],
) -> Response:
    """What each exchange that is collected says of a market now, and how far they are apart."""
    quotes = list(dict.fromkeys(quote.upper().split(",")))
    snapshots = await asyncio.gather(*(context.collector.status() for context in asked))
    markets = markets_of(snapshots, base.upper(), quotes)
    if not markets:
        raise HTTPException(404, f"{base.upper()} in {' or '.join(quotes)} is not collected; /status lists what is.")
    rows = await spread_of(asked[0].store, store_url_of(whole), markets, datetime.now(UTC))
    reference = reference_of(rows)
    exchange, symbol = (None, None) if reference is None else (reference.exchange, reference.symbol)
    return answered(SpreadPage(base.upper(), quotes, exchange, symbol, STALE_S, rows))
