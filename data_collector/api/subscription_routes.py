"""The endpoints about what is subscribed."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.security import HTTPBearer
from pydantic import ConfigDict, Field

from data_collector.api.routes import Around
from data_collector.model.errors import Transient
from data_collector.model.subscriptions import ChangeStatus, RefusalKind, Wish
from data_collector.observe.logs import get_log
from data_collector.web.answers import Answer, Problem, masked

_STATUSES: dict[RefusalKind, int] = {"impossible": 422, "conflict": 409, "unavailable": 503}

_log = get_log()

Names = Annotated[list[Annotated[str, Field(max_length=64)]], Field(min_length=1, max_length=5000)]


class SubscriptionWish(Answer):
    """What to collect from now on; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"symbols": ["BTCUSDT", "ETHUSDT"]}]})

    symbols: Names | None = None
    intervals: Names | None = None
    channels: Names | None = None


class SharedStreams(Answer):
    """Streams that come over the same connections."""

    lines: list[str]
    streams: list[str]


class SubscriptionsAnswer(Answer):
    """What is subscribed now."""

    symbols: list[str]
    intervals: list[str]
    channels: list[str]
    groups: list[SharedStreams]
    """Empty while collection is stopped."""
    changing: bool
    """Whether a change is under way."""
    changed: bool
    """Whether it differs from what a start begins with."""
    until: Literal["restart"]


class TouchedConnection(Answer):
    """What a change does to one connection."""

    line: str
    is_new: bool
    subscribe: int
    unsubscribe: int
    streams: int
    """How many it carries afterwards."""
    control_messages: int
    seconds: float
    """What these take at least, at the exchange's limit for messages."""


class ChangeAnswer(Answer):
    """What has changed; the same as `data-collector plan --json` tells beforehand."""

    symbols: list[str]
    intervals: list[str]
    channels: list[str]
    added: list[str]
    removed: list[str]
    unchanged: int
    """Streams that nothing has happened to."""
    connections: list[TouchedConnection]
    connections_untouched: int
    control_messages: int
    seconds: float
    store_bytes_before: int
    store_bytes: int
    """Of a store in which every stream is full."""
    rest_weight: int
    """What the first fill takes of the exchange's REST budget at least."""
    notes: list[str]
    until: Literal["restart"]
    """A restart begins with the settings."""


router = APIRouter(
    tags=["subscriptions"],
    responses={
        429: {"model": Problem, "description": "Too many requests; see Retry-After."},
        503: {"model": Problem, "description": "Exchange, store or collector cannot be asked"},
    },
)


@router.get("/subscriptions")
async def subscriptions(around: Around) -> SubscriptionsAnswer:
    """What is subscribed, and which streams share a connection."""
    try:
        status = await around.collector.subscriptions()
    except Transient as error:
        raise HTTPException(503, str(error)) from error
    found = msgspec.to_builtins(status.present)
    return SubscriptionsAnswer.model_validate(found | {"changing": status.busy})


@router.put(
    "/subscriptions",
    # For the OpenAPI page only: the guard has checked the token before any route is looked for.
    dependencies=[Depends(HTTPBearer(auto_error=False, description="CONTROL_TOKEN"))],
    responses={
        403: {"model": Problem, "description": "Not allowed from here, or not without the token"},
        409: {"model": Problem, "description": "Another change is under way, or collection is stopped"},
        422: {"model": Problem, "description": "Impossible: every fault is named"},
    },
)
async def subscribe(wish: SubscriptionWish, around: Around, request: Request) -> ChangeAnswer:
    """Change what is subscribed without touching other streams; answered when it is done. Lasts until a restart."""
    _log.info("subscriptions_wanted", client=request.client.host if request.client else "local")
    given = [None if words is None else tuple(words) for words in (wish.symbols, wish.intervals, wish.channels)]
    try:
        status = await around.collector.resubscribe(Wish(*given))
    except Transient as error:
        raise HTTPException(503, str(error)) from error
    return _answer_of(status)


def _answer_of(status: ChangeStatus) -> ChangeAnswer:
    if status.refusal is not None:
        raise HTTPException(_STATUSES[status.refusal.kind], masked(" ".join(status.refusal.reasons)))
    if status.done is None:
        raise HTTPException(503, "The collector does not tell what became of the change.")
    return ChangeAnswer.model_validate(msgspec.to_builtins(status.done))
