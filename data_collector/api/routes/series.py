"""The endpoints that read records: klines and trades of PostgreSQL and Redis as one series."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated
from urllib.parse import quote, urlencode

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response
from msgspec.structs import asdict, replace

from data_collector.api.context import SYMBOL_PATTERN, ApiContext, Context, Now, elsewhere, filled_from, symbol_of
from data_collector.api.series.formats import (
    ARROW_STREAM,
    CSV,
    MEDIA_TYPES,
    About,
    AboutTrades,
    Format,
    KlinePage,
    TradePage,
    format_of,
    kline_page_json,
    names_of,
    trade_page_json,
)
from data_collector.api.series.reading import Told
from data_collector.api.series.streamed import StreamedTable, parts_of
from data_collector.api.series.tables import NoDecimal, table_of, whole_of
from data_collector.api.series.window import WrongParameter, smallest, window_of
from data_collector.model.errors import SinkUnavailable
from data_collector.model.status import Snapshot
from data_collector.model.wire import KLINE_NAMES, NOT_STORED, TRADE_NAMES, open_time_text, trade_time_text
from data_collector.sinks.postgres.copying import CopyForm
from data_collector.web.answers import Problem, masked
from data_collector.web.openapi import INVALID, TOO_MANY, described

LIMIT_MAX = 5000
"""Records on a page: some 1.5 MB of JSON, and a tenth of a second of work."""

LIMIT = 500
"""Where none is asked for and one is needed."""

Symbol = Annotated[str, Path(max_length=64, pattern=SYMBOL_PATTERN, description="In any case.")]
From = Annotated[
    str | None,
    Query(
        alias="from",
        max_length=40,
        description="ISO-8601, or ms since 1970; included. Without it, `to` and `after`: the newest records.",
    ),
]
To = Annotated[str | None, Query(max_length=40, description="ISO-8601, or ms since 1970; not included.")]
Limit = Annotated[
    int | None,
    Query(
        ge=1,
        le=LIMIT_MAX,
        description=f"Records on a page. Without it all from `from` on as CSV or Arrow, else {LIMIT}.",
    ),
]
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
    interval: Annotated[
        str | None, Query(max_length=8, description="Such as `1m`; `1M` is a month. Without it the smallest collected.")
    ] = None,
    from_text: From = None,
    to: To = None,
    limit: Limit = None,
    open: Annotated[bool, Query(description="At the end of the series, the kline that is not closed too.")] = False,  # noqa: A002
    meta: Meta = False,
    form: Form = None,
) -> Response:
    """Closed klines by open time, rising, from wherever they are stored."""
    async with _failures_answered(context):
        interval = smallest(snapshot.intervals) if interval is None else interval
        window, is_newest = (
            window_of(symbol_of(snapshot, symbol), interval, from_text, to),
            from_text is None and to is None,
        )
        place, form = context.series.place(snapshot), _form(request, form)
        names, copies = names_of(KLINE_NAMES, meta=meta), CopyForm(meta, form == "arrow")
        if form != "json" and limit is None and from_text is not None:
            context.streams.demand_place()
            found = await context.series.kline_range(place, window, copies, with_open=open)
            _check_known(found, window.symbol, snapshot, request)
            headers = _headers(request, snapshot, form, _about(found, None, open_time_text))
            return await _streamed(context, form, parts_of(table_of(form, names), found.pieces), headers)
        first = None if is_newest else window.from_ms
        page = await context.series.klines(
            place, window, first, limit or LIMIT, None if form == "json" else copies, with_open=open, with_origin=meta
        )
        _check_known(page, window.symbol, snapshot, request)
        # Open times are whole seconds, and so is the place to go on from.
        about = _about(page, None if page.end is None else open_time_text(page.end + 999), open_time_text)
        if form == "json":
            written = partial(kline_page_json, window.symbol, interval, page.rows, about, meta=meta)
        else:
            written = partial(whole_of, table_of(form, names), page.rows, page.text)
        return await _page(form, written, _headers(request, snapshot, form, about, "from"))


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
    limit: Limit = None,
    meta: Meta = False,
    form: Form = None,
) -> Response:
    """Trades of one epoch by trade id, rising, from wherever they are stored."""
    async with _failures_answered(context):
        window = window_of(symbol_of(snapshot, symbol), None, from_text, to)
        place, form = context.series.place(snapshot), _form(request, form)
        names, copies = names_of(TRADE_NAMES, meta=meta), CopyForm(meta, form == "arrow")
        first = 0 if after is None else after + 1
        epochs = await context.series.epochs(place, window.symbol)
        window = replace(window, epoch=epochs[-1] if epoch is None else epoch)
        if form != "json" and limit is None and from_text is not None:
            context.streams.demand_place()
            found = await context.series.trade_range(place, window, first, copies)
            _check_known(found, window.symbol, snapshot, request)
            headers = _headers(request, snapshot, form, _about_trades(found, None, window.epoch, epochs))
            return await _streamed(context, form, parts_of(table_of(form, names), found.pieces), headers)
        is_newest = from_text is None and to is None and after is None
        page = await context.series.trades(
            place, window, None if is_newest else first, limit or LIMIT, None if form == "json" else copies
        )
        _check_known(page, window.symbol, snapshot, request)
        about = _about_trades(page, None if page.end is None else page.end - 1, window.epoch, epochs)
        if form == "json":
            written = partial(trade_page_json, window.symbol, page.rows, about, meta=meta)
        else:
            written = partial(whole_of, table_of(form, names), page.rows, page.text)
        return await _page(form, written, _headers(request, snapshot, form, about, "after"))


@asynccontextmanager
async def _failures_answered(context: ApiContext) -> AsyncIterator[None]:
    """Turns what fails into answers; a few pages are under way at a time."""
    try:
        async with context.series.turn():
            yield
    except (WrongParameter, NoDecimal) as error:
        raise HTTPException(422, str(error)) from error


def _form(request: Request, asked: Format | None) -> Format:
    return format_of(asked, ",".join(request.headers.getlist("accept")))


def _check_known(found: Told, symbol: str, snapshot: Snapshot, request: Request) -> None:
    if found.oldest_ms is None and symbol not in snapshot.symbols:
        if found.warnings:
            raise SinkUnavailable(" ".join(found.warnings))
        hint = elsewhere(request, snapshot, symbol)
        raise HTTPException(404, f"{symbol} {NOT_STORED}.{hint}", filled_from(snapshot))


def _about(found: Told, following: str | int | None, text: Callable[[int], str]) -> About:
    oldest = None if found.oldest_ms is None else text(found.oldest_ms)
    return About(following, oldest, found.stores, [masked(warning) for warning in found.warnings])


def _about_trades(found: Told, following: int | None, epoch: int, epochs: list[int]) -> AboutTrades:
    return AboutTrades(**asdict(_about(found, following, trade_time_text)), epoch=epoch, epochs=epochs)


def _headers(request: Request, snapshot: Snapshot, form: Format, about: About, cursor: str = "") -> dict[str, str]:
    headers = {"Vary": "Accept", "X-Stores": ", ".join(about.stores), **filled_from(snapshot)}
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
        if form != "json" and "limit" not in request.query_params:
            # Else what follows a page would be all the rest.
            parameters.append(("limit", str(LIMIT)))
        query = urlencode([*parameters, (cursor, str(about.next))])
        headers["Link"] = f'<{quote(request.url.path)}?{query}>; rel="next"'
    return headers


async def _page(form: Format, written: Callable[[], bytes], headers: Mapping[str, str]) -> Response:
    """Written in a thread: the largest page takes a tenth of a second."""
    return Response(await asyncio.to_thread(written), media_type=MEDIA_TYPES[form], headers=dict(headers))


async def _streamed(
    context: ApiContext, form: Format, parts: AsyncGenerator[bytes, None], headers: Mapping[str, str]
) -> Response:  # fmt: skip
    """Its first part has been read, so that what is wrong is an answer."""
    begin = await anext(parts)
    return StreamedTable(context.streams, begin, parts, media_type=MEDIA_TYPES[form], headers=headers)
