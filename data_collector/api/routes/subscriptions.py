"""The endpoints about what is subscribed."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.security import HTTPBearer
from msgspec import UNSET, UnsetType
from pydantic import BaseModel, ConfigDict, Field

from data_collector.api.context import Context, Now, filled_from, mark_of, meant
from data_collector.model.subscriptions import Change, ChangeStatus, DesiredSubscriptions, GroupStreams, RefusalKind
from data_collector.observe.logs import get_log
from data_collector.web.answers import Answer, Problem, answered, masked
from data_collector.web.openapi import TOO_MANY, described

_STATUSES: dict[RefusalKind, int] = {"impossible": 422, "conflict": 409, "unavailable": 503}

_log = get_log()

Names = Annotated[list[Annotated[str, Field(max_length=64)]], Field(min_length=1, max_length=5000)]


class SubscriptionWish(BaseModel):
    """What to collect from now on; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"symbols": ["BTCUSDT", "ETHUSDT"]}]})

    symbols: Names | None = None
    intervals: Names | None = None
    channels: Names | None = None
    exchange: str | None = Field(None, max_length=64, description="One that is collected. Default: the first.")


class SubscriptionsAnswer(Answer):
    """What is subscribed now."""

    symbols: list[str]
    intervals: list[str]
    channels: list[str]
    groups: list[GroupStreams]
    """Empty while collection is stopped."""
    changing: bool
    """Whether a change is under way."""
    changed: bool
    """Whether it differs from what a start begins with."""
    until: Literal["restart"]
    exchange: str | UnsetType = UNSET
    """Whose, where there are several."""


router = APIRouter(
    tags=["subscriptions"],
    responses={429: TOO_MANY, 503: described(Problem, "Exchange, store or collector cannot be asked")},
)


@router.get("/subscriptions", responses={200: described(SubscriptionsAnswer)})
async def subscriptions(context: Context, snapshot: Now, request: Request) -> Response:
    """What is subscribed, and which streams share a connection."""
    status = await context.collector.subscriptions()
    now = status.present
    return answered(
        SubscriptionsAnswer(
            symbols=now.symbols,
            intervals=now.intervals,
            channels=now.channels,
            groups=now.groups,
            changing=status.busy,
            changed=now.changed,
            until=now.until,
            exchange=mark_of(request, snapshot),
        ),
        headers=filled_from(snapshot),
    )


@router.put(
    "/subscriptions",
    # For the OpenAPI page only: the guard has checked the token before any route is looked for.
    dependencies=[Depends(HTTPBearer(auto_error=False, description="CONTROL_TOKEN"))],
    responses={
        200: described(Change),
        403: described(Problem, "Not allowed from here, or not without the token"),
        404: described(Problem, "Another exchange is collected"),
        409: described(Problem, "Another change is under way, or collection is stopped"),
        422: described(Problem, "Impossible: every fault is named"),
    },
)
async def subscribe(wish: SubscriptionWish, request: Request) -> Response:
    """Change what is subscribed without touching other streams; answered when it is done. Lasts until a restart."""
    context, snapshot = await meant(request, wish.exchange)
    _log.info("subscriptions_wanted", client=request.client.host if request.client else "local")
    given = [None if words is None else tuple(words) for words in (wish.symbols, wish.intervals, wish.channels)]
    status = await context.collector.resubscribe(DesiredSubscriptions(*given))
    return answered(_done(status), headers=filled_from(snapshot))


def _done(status: ChangeStatus) -> Change:
    if status.refusal is not None:
        raise HTTPException(_STATUSES[status.refusal.kind], masked(" ".join(status.refusal.reasons)))
    if status.done is None:
        raise HTTPException(503, "The collector does not tell what became of the change.")
    return status.done
