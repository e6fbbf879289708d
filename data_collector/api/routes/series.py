"""The endpoints that read records: klines and trades of PostgreSQL and Redis as one series."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Annotated
from urllib.parse import quote, urlencode

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response
from msgspec.structs import asdict, replace

from data_collector.api.context import SYMBOL_PATTERN, ApiContext, Context, Now
from data_collector.api.series.formats import (
    ARROW_STREAM,
    CSV,
    MEDIA_TYPES,
    About,
    AboutTrades,
    Format,
    KlinePage,
    NoDecimal,
    TradePage,
    format_of,
    kline_page_arrow,
    kline_page_csv,
    kline_page_json,
    trade_page_arrow,
    trade_page_csv,
    trade_page_json,
)
from data_collector.api.series.reading import Page
from data_collector.api.series.window import WrongParameter, window_of
from data_collector.model.records import Kline, Sourced, Trade
from data_collector.model.status import Snapshot
from data_collector.model.wire import open_time_text, trade_time_text
from data_collector.web.answers import Problem, masked
from data_collector.web.openapi import INVALID, TOO_MANY, described

LIMIT_MAX = 5000
"""Records on a page: some 1.5 MB of JSON, and a tenth of a second of work."""

Symbol = Annotated[str, Path(max_length=64, pattern=SYMBOL_PATTERN, description="In any case.")]
From = Annotated[str | None, Query(alias="from", max_length=40, description="ISO-8601, or ms since 1970; included.")]
To = Annotated[str | None, Query(max_length=40, description="ISO-8601, or ms since 1970; not included.")]
Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="Records on a page.")]
Form = Annotated[Format | None, Query(alias="format", description="Without it as `Accept` says; else JSON.")]
Meta = Annotated[bool, Query(description="Two fields more: where each record is from, and the rules that mark it.")]

_FORMS = ("JSON, CSV or an Arrow IPC stream; `Link` names the next page", CSV, ARROW_STREAM)

router = APIRouter(
    tags=["records"],
    responses={
        404: described(Problem, "Neither collected nor stored"),
        422: INVALID,
        429: TOO_MANY,
        503: described(Problem, "No store can be read"),
    },
)


# The symbols of some exchanges hold a slash.
@router.get("/klines/{symbol:path}", responses={200: described(KlinePage, *_FORMS)})
async def klines(
    snapshot: Now,
    context: Context,
    request: Request,
    *,
    symbol: Symbol,
    interval: Annotated[str, Query(max_length=8, description="Such as `1m`; `1M` is a month.")],
    from_text: From = None,
    to: To = None,
    limit: Limit = 500,
    open: Annotated[bool, Query(description="At the end of the series, the kline that is not closed too.")] = False,  # noqa: A002
    meta: Meta = False,
    form: Form = None,
) -> Response:
    """Closed klines by open time, rising, from wherever they are stored."""
    async with _failures_answered(context):
        window = window_of(symbol.upper(), interval, from_text, to)
        place = context.series.place(snapshot)
        page = await context.series.klines(place, window, limit, with_open=open, with_origin=meta)
        _check_known(page.oldest_ms, window.symbol, snapshot)
        # Open times are whole seconds, and so is the place to go on from.
        following = None if page.end is None else open_time_text(page.end + 999)
        about = _about(page, following, open_time_text)
        forms: dict[Format, Callable[[], bytes]] = {
            "json": lambda: kline_page_json(window.symbol, interval, page.rows, about, meta=meta),
            "csv": lambda: kline_page_csv(page.rows, meta=meta),
            "arrow": lambda: kline_page_arrow(page.rows, meta=meta),
        }
        return await _answer(request, form, forms, about, "from")


@router.get("/trades/{symbol:path}", responses={200: described(TradePage, *_FORMS)})
async def trades(
    snapshot: Now,
    context: Context,
    request: Request,
    *,
    symbol: Symbol,
    from_text: From = None,
    to: To = None,
    after: Annotated[int | None, Query(ge=0, lt=2**63 - 1, description="Trade id: those after it.")] = None,
    epoch: Annotated[int | None, Query(ge=0, lt=2**31, description="In which ids are unique; default: newest.")] = None,
    limit: Limit = 500,
    meta: Meta = False,
    form: Form = None,
) -> Response:
    """Trades of one epoch by trade id, rising, from wherever they are stored."""
    async with _failures_answered(context):
        window = window_of(symbol.upper(), "", from_text, to)
        place, first = context.series.place(snapshot), 0 if after is None else after + 1
        epochs = await context.series.epochs(place, window.symbol)
        window = replace(window, epoch=epochs[-1] if epoch is None else epoch)
        page = await context.series.trades(place, window, first, limit)
        _check_known(page.oldest_ms, window.symbol, snapshot)
        told = _about(page, None if page.end is None else page.end - 1, trade_time_text)
        about = AboutTrades(**asdict(told), epoch=window.epoch, epochs=epochs)
        forms: dict[Format, Callable[[], bytes]] = {
            "json": lambda: trade_page_json(window.symbol, page.rows, about, meta=meta),
            "csv": lambda: trade_page_csv(page.rows, meta=meta),
            "arrow": lambda: trade_page_arrow(page.rows, meta=meta),
        }
        return await _answer(request, form, forms, about, "after")


@asynccontextmanager
async def _failures_answered(context: ApiContext) -> AsyncIterator[None]:
    """Turns what fails into answers; a few pages are under way at a time."""
    try:
        async with context.series.turn():
            yield
    except (WrongParameter, NoDecimal) as error:
        raise HTTPException(422, str(error)) from error


def _check_known(oldest_ms: int | None, symbol: str, snapshot: Snapshot) -> None:
    if oldest_ms is None and symbol not in snapshot.symbols:
        raise HTTPException(404, f"{symbol} is not collected, and nothing of it is stored.")


def _about(
    page: Page[Sourced[Kline]] | Page[Sourced[Trade]], following: str | int | None, text: Callable[[int], str]
) -> About:
    oldest = None if page.oldest_ms is None else text(page.oldest_ms)
    return About(following, oldest, page.stores, [masked(warning) for warning in page.warnings])


async def _answer(
    request: Request, form: Format | None, forms: Mapping[Format, Callable[[], bytes]], about: About, cursor: str
) -> Response:
    """Written in a thread: the largest page takes a tenth of a second."""
    wanted = format_of(form, ",".join(request.headers.getlist("accept")))
    headers = {"Vary": "Accept", "X-Stores": ", ".join(about.stores)}
    if about.reaches_back_to is not None:
        headers["X-Reaches-Back-To"] = about.reaches_back_to
    if isinstance(about, AboutTrades):
        headers |= {"X-Epoch": str(about.epoch), "X-Epochs": ", ".join(map(str, about.epochs))}
    if about.warnings:
        # A header holds one line of Latin letters.
        headers["X-Warning"] = " ".join(" ".join(about.warnings).encode("ascii", "replace").decode().split())
    if about.next is not None:
        parameters = [(name, value) for name, value in request.query_params.multi_items() if name != cursor]
        if isinstance(about, AboutTrades) and "epoch" not in request.query_params:
            # Also where another one begins before the next page is asked for.
            parameters.append(("epoch", str(about.epoch)))
        query = urlencode([*parameters, (cursor, str(about.next))])
        headers["Link"] = f'<{quote(request.url.path)}?{query}>; rel="next"'
    return Response(await asyncio.to_thread(forms[wanted]), media_type=MEDIA_TYPES[wanted], headers=headers)
