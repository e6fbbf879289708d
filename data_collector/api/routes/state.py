"""The endpoints. Each asks the collector or the store and shapes the answer; there is no logic here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.responses import PlainTextResponse
from fastapi.security import HTTPBearer
from msgspec.structs import asdict, replace

from data_collector.api.answers import (
    ControlAnswer,
    ControlRequest,
    Health,
    Live,
    Metrics,
    Ready,
    Refused,
    RefusedPage,
    SeveralStatus,
    SeveralValidation,
    Status,
    ValidationAnswer,
    health_of,
    joined_memory,
    metrics_of,
    status_of,
    validation_of,
)
from data_collector.api.context import (
    SYMBOL_PATTERN,
    ApiContext,
    Asked,
    Context,
    Parts,
    Whole,
    contexts_of,
    demand_here,
    mark_of,
    meant,
    metrics_page,
    store_url_of,
    symbol_of,
)
from data_collector.api.quarantine import newest_refusals
from data_collector.model.keys import UNKNOWN
from data_collector.model.status import Snapshot
from data_collector.observe.exposition import CONTENT_TYPE
from data_collector.observe.logs import get_log
from data_collector.sinks.redis.entries import entry_id
from data_collector.web.answers import Problem, answered, masked
from data_collector.web.openapi import INVALID, TOO_MANY, described

_log = get_log()


router = APIRouter(responses={429: TOO_MANY})


@router.get("/health", tags=["health"], responses={200: described(Health), 503: described(Health, "Unhealthy")})
async def health(snapshot: Whole, context: Context) -> Response:
    """How the service is: 200 for `healthy` and `degraded`, 503 for `unhealthy`; `reasons` says why."""
    status = 503 if snapshot.condition == "unhealthy" else 200
    return answered(health_of(snapshot, context.settings.environment), status)


@router.get("/health/live", tags=["health"], responses={200: described(Live), 503: described(Live, "Silent")})
async def live(snapshot: Whole, asked: Asked) -> Response:
    """200 while the collector process answers, whatever the exchange and the store do. A restart mends a 503."""
    # One of several that is silent is not mended by a restart of all.
    if any(each.collector.fault is None for each in asked):
        return answered(Live("alive", []))
    return answered(Live("silent", [masked(reason) for reason in snapshot.reasons]), 503)


@router.get("/health/ready", tags=["health"], responses={200: described(Ready), 503: described(Ready, "Not ready")})
async def ready(snapshot: Whole) -> Response:
    """200 when every stream has spoken or is proven quiet, and nothing waits for repair."""
    if snapshot.ready:
        return answered(Ready("ready", []))
    reasons = [masked(reason) for reason in snapshot.reasons]
    return answered(Ready("not ready", reasons or ["Not every stream has spoken yet."]), 503)


@router.get(
    "/metrics",
    tags=["metrics"],
    responses={200: described(Metrics, "JSON, or text", "text/plain")},
)
async def metrics(snapshot: Whole, asked: Asked, request: Request) -> Response:
    """The counters as JSON; as Prometheus text for a client that asks as Prometheus does (see docs/api.md)."""
    vary = {"Vary": "Accept"}
    if wants_prometheus(",".join(request.headers.getlist("accept"))):
        return await _prometheus_text(request, snapshot, asked, vary)
    return answered(metrics_of(snapshot), headers=vary)


@router.get("/metrics/prometheus", tags=["metrics"], response_class=PlainTextResponse)
async def prometheus(snapshot: Whole, asked: Asked, request: Request) -> Response:
    """All metrics as Prometheus text, whatever the client accepts (docs/metrics.md)."""
    return await _prometheus_text(request, snapshot, asked, {})


@router.get("/status", tags=["status"], responses={200: described(Status)})
async def status(snapshot: Whole, asked: Asked) -> Response:
    """What is collected, where to, and through which connections. Passwords and keys are shown as `***`.

    Of several exchanges: all as one, and each by itself below `exchanges`.
    """
    if len(asked) == 1:
        return answered(status_of(snapshot, asked[0].memory.status()))
    each = {
        context.settings.exchange: status_of(await context.collector.status(), context.memory.status())
        for context in asked
    }
    whole = status_of(snapshot, joined_memory({name: status.memory for name, status in each.items()}))
    return answered(SeveralStatus(**asdict(whole), exchanges=each))


@router.get("/validation", tags=["status"], responses={200: described(ValidationAnswer)})
async def validation(snapshot: Whole, parts: Parts) -> Response:
    """The rules in force, how often each was broken, and how far real Great Expectations has checked.

    Of several exchanges: all as one, and each by itself below `exchanges`.
    """
    if len(parts) == 1:
        return answered(validation_of(snapshot))
    each = {part.context.settings.exchange: validation_of(part.snapshot) for part in parts}
    return answered(SeveralValidation(**asdict(validation_of(snapshot)), exchanges=each))


@router.get(
    "/validation/errors",
    tags=["status"],
    responses={200: described(RefusedPage), 422: INVALID, 503: described(Problem, "The store cannot be read")},
)
async def validation_errors(
    parts: Parts,
    request: Request,
    symbol: Annotated[
        str | None, Query(max_length=64, pattern=SYMBOL_PATTERN, description="All, and `unknown`, when left out.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="At most so many.")] = 50,
) -> Response:
    """The newest refused records with their reasons, newest first."""
    found: list[Refused] = []
    for part in parts:
        snapshot = part.snapshot
        symbols = [*snapshot.symbols, UNKNOWN] if symbol is None else [_quarantined(request, snapshot, symbol)]
        store, keys = part.context.store, snapshot.store_keys
        page = await newest_refusals(store, store_url_of(snapshot), keys, symbols, limit)
        found += [replace(refused, exchange=part.mark.exchange) for refused in page.errors]
    if len(parts) > 1:
        found.sort(key=lambda refused: entry_id(refused.id), reverse=True)
    return answered(RefusedPage(len(found[:limit]), found[:limit]))


def _quarantined(request: Request, snapshot: Snapshot, text: str) -> str:
    """As the exchange spells it (case does not matter in SYMBOLS either), or `unknown`."""
    if text.rpartition(":")[2] == UNKNOWN:
        symbol_of(snapshot, text)
        return UNKNOWN
    return demand_here(request, snapshot, text)


@router.post(
    "/control",
    tags=["control"],
    # For the OpenAPI page only: the guard has checked the token before any route is looked for.
    dependencies=[Depends(HTTPBearer(auto_error=False, description="CONTROL_TOKEN"))],
    responses={
        200: described(ControlAnswer),
        403: described(Problem, "Not allowed from here, or not without the token"),
        404: described(Problem, "Another exchange is collected"),
        422: described(Problem, "Not JSON, or not this shape"),
        503: described(Problem, "The collector could not do it"),
    },
)
async def control(order: ControlRequest, request: Request) -> Response:
    """Stop or start collecting; answered when it is done. The HTTP side stays up.

    Open in development from this machine while no CONTROL_TOKEN is set; elsewhere the token is needed.
    """
    context, snapshot = await meant(request, order.exchange)
    client = request.client.host if request.client else "local"
    _log.info("control_action", action=order.action, client=client)
    snapshot = await context.collector.act(order.action)
    if snapshot.collector_running != (order.action == "start"):
        reasons = " ".join(snapshot.reasons) or "It does not say why."
        raise HTTPException(503, masked(f"The collector could not {order.action}. {reasons}"))
    return answered(ControlAnswer("started" if order.action == "start" else "stopped", mark_of(request, snapshot)))


def wants_prometheus(accept: str) -> bool:
    """Whether a scraper asks: true for `application/openmetrics-text`, `text/plain` with a `version`, and it alone.

    curl, browsers and HTTP libraries get JSON, also the ones that list `text/plain` among other things.
    """
    wanted = accept.lower()
    if wanted.strip() == "text/plain":
        return True
    return any(_is_scrape(media_range) for media_range in wanted.split(","))


async def _prometheus_text(
    request: Request, snapshot: Snapshot, asked: Sequence[ApiContext], headers: dict[str, str]
) -> Response:
    page = await metrics_page(contexts_of(request), snapshot, asked)
    return Response(page.text(), headers={"Content-Type": CONTENT_TYPE, **headers})


def _is_scrape(media_range: str) -> bool:
    media_type, *parameters = (part.strip() for part in media_range.split(";"))
    if media_type == "text/plain":
        return any(parameter.partition("=")[0].strip() == "version" for parameter in parameters)
    return media_type == "application/openmetrics-text"
