"""`GET /similar`: past windows that look like the newest one, and what followed each."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request, Response

from data_collector.api.context import SYMBOL_PATTERN, Context, Now, elsewhere, symbol_of
from data_collector.api.series.window import WrongParameter, smallest, window_of
from data_collector.model.errors import Transient
from data_collector.service.memory.messages import Question, Reply, SimilarPage
from data_collector.web.answers import Problem, answered
from data_collector.web.openapi import INVALID, TOO_MANY, described

WINDOW_MIN, WINDOW_MAX = 8, 512
HITS_MAX = 50
HORIZON_MAX = 1024
HORIZONS_MAX = 5
HORIZONS = (5, 15, 60)

OFF = "Market Memory is off: MEMORY=1 starts it (docs/memory.md)."

NO_CANDLES = "Market Memory remembers candles, and none are collected: add kline to CHANNELS."

_STATUSES = {"wrong": 422, "conflict": 409}

router = APIRouter(
    tags=["records"],
    responses={
        404: described(Problem, "Not collected"),
        409: described(Problem, "The newest window has no shape, or there is too little before it"),
        422: INVALID,
        429: TOO_MANY,
        503: described(Problem, "Off, or not filled yet; Retry-After says when to come back"),
    },
)


@router.get("/similar", responses={200: described(SimilarPage)})
async def similar(
    snapshot: Now,
    context: Context,
    request: Request,
    *,
    symbol: Annotated[str, Query(max_length=64, pattern=SYMBOL_PATTERN, description="In any case.")],
    interval: Annotated[str | None, Query(max_length=8, description="Default: the smallest collected.")] = None,
    window: Annotated[int, Query(ge=WINDOW_MIN, le=WINDOW_MAX, description="Candles that are compared.")] = 64,
    k: Annotated[int, Query(ge=1, le=HITS_MAX, description="At most so many hits.")] = 10,
    horizons: Annotated[
        str | None,
        Query(max_length=40, description="Candles after a window, with commas between them. Default: 5,15,60."),
    ] = None,
    at: Annotated[
        str | None, Query(max_length=40, description="ISO-8601, or ms since 1970: as it was then. Default: now.")
    ] = None,
) -> Response:
    """When did the market look like now, and what came then? No forecast: see `random` in the answer."""
    if not context.memory.is_on:
        raise HTTPException(503, OFF)
    name = symbol_of(snapshot, symbol)
    if not snapshot.symbols:
        raise Transient("The collector does not collect anything yet; /health says what it waits for.")
    if "kline" not in snapshot.channels:
        raise HTTPException(409, NO_CANDLES)
    if name not in snapshot.symbols:
        raise HTTPException(404, f"{name} is not collected.{elsewhere(request, snapshot, name)}")
    try:
        wanted = interval or smallest(snapshot.intervals)
        # `at` is no beginning, but is written like one.
        at_ms = None if at is None else window_of(name, wanted, None, at).to_ms
        steps = HORIZONS if horizons is None else _horizons(horizons)
    except WrongParameter as error:
        raise HTTPException(422, str(error).replace("to:", "at:", 1)) from error
    if wanted not in snapshot.intervals:
        raise HTTPException(422, f"interval: {wanted} is not collected; {', '.join(snapshot.intervals)} are.")
    told = await context.memory.ask(Question(0, name, wanted, window, k, steps, at_ms))
    if isinstance(told, Reply):
        return answered(told.page)
    if told.kind == "later":
        raise Transient(told.detail, retry_after_s=told.retry_after_s)
    raise HTTPException(_STATUSES[told.kind], told.detail)


def _horizons(text: str) -> tuple[int, ...]:
    """Rising, each once. Raises `WrongParameter`."""
    parts = [part.strip() for part in text.split(",")]
    steps = {int(part) for part in parts if part.isascii() and part.isdigit() and len(part) <= 4}
    if (
        len(steps) != len(parts)
        or not 1 <= len(parts) <= HORIZONS_MAX
        or not 1 <= min(steps) <= max(steps) <= HORIZON_MAX
    ):
        raise WrongParameter(
            f"horizons: write up to {HORIZONS_MAX} different whole numbers from 1 to {HORIZON_MAX}, such as 5,15,60."
        )
    return tuple(sorted(steps))
