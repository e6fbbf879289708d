"""`GET /live`: what happens, as Server-Sent Events, for the dashboard and anybody else who wants to look on."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from data_collector.api.context import SYMBOL_PATTERN, ApiContext, Context, Now, symbol_of
from data_collector.api.live.events import KEEP_ALIVE, PRELUDE, Access, Focus
from data_collector.api.live.feed import VIEWERS_MAX, TooManyViewers
from data_collector.model.status import Snapshot
from data_collector.web.answers import Problem, Rejection
from data_collector.web.openapi import INVALID, TOO_MANY, described

KEEP_ALIVE_S = 10.0

router = APIRouter(tags=["status"], responses={429: TOO_MANY})


class EventStream(Response):
    """Writes what the feed offers for as long as the client is there; a slow client is simply asked less often."""

    media_type = "text/event-stream"

    def __init__(self, context: ApiContext, snapshot: Snapshot, focus: Focus | None, access: Access) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"})
        # Its length is not known.
        del self.headers["content-length"]
        self._feed = context.live
        self._rejections = context.rejections
        self._snapshot = snapshot
        self._focus = focus
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.create_task(_gone(receive))
        try:
            with self._feed.viewing(self._snapshot, self._focus, self._access) as viewer:
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                await _send(send, PRELUDE)
                while not viewer.is_over:
                    waiting = asyncio.create_task(viewer.wait())
                    await asyncio.wait({gone, waiting}, timeout=KEEP_ALIVE_S, return_when=asyncio.FIRST_COMPLETED)
                    waiting.cancel()
                    if gone.done():
                        return
                    await _send(send, viewer.take() or KEEP_ALIVE)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TooManyViewers:
            sentence = (
                f"{VIEWERS_MAX} viewers are looking on already; others can have the figures from /metrics and /status."
            )
            refusal = self._rejections.answer(Rejection(503, "viewers", sentence), {"Retry-After": "10"})
            await refusal(scope, receive, send)
        finally:
            gone.cancel()


@router.get(
    "/live",
    response_class=Response,
    responses={
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "Events without end"},
        403: described(Problem, "Not from here: ALLOWED_HOSTS"),
        404: described(Problem, "Not collected"),
        422: INVALID,
        503: described(Problem, "Too many look on already"),
    },
)
async def live(
    snapshot: Now,
    context: Context,
    request: Request,
    symbol: Annotated[
        str | None, Query(max_length=64, pattern=SYMBOL_PATTERN, description="Candles and trades too.")
    ] = None,
    interval: Annotated[str | None, Query(max_length=4, description="Of the candles; with `symbol`.")] = None,
) -> Response:
    """What happens, as Server-Sent Events: prices, state, completeness, and candles and trades of one symbol.

    A client that reads slowly gets the newest of everything and not what lies between.
    """
    if (rejection := context.policy.foreign(request)) is not None:
        return context.rejections.answer(rejection)
    focus = None
    name = None if symbol is None else symbol_of(snapshot, symbol)
    if name is not None and name in snapshot.symbols:
        focus = Focus(name, interval or next(iter(snapshot.intervals), "1m"))
    elif name is not None and snapshot.symbols:
        raise HTTPException(404, f"{name} is not collected; /status lists what is.")
    if focus is not None and focus.interval not in snapshot.intervals:
        raise HTTPException(404, f"The interval {focus.interval} is not collected; /status lists those that are.")
    return EventStream(context, snapshot, focus, context.policy.access(request))


async def _send(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
