"""`GET /live`: what happens, as Server-Sent Events, for the dashboard and anybody else who wants to look on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from msgspec import Struct
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from data_collector.api.context import SYMBOL_PATTERN, Context, Now, contexts_of, symbol_of
from data_collector.api.live.events import KEEP_ALIVE, PRELUDE, Access, Focus
from data_collector.api.live.feed import VIEWERS_MAX, LiveFeed, Places, TooManyViewers
from data_collector.model.status import Snapshot
from data_collector.web.answers import Problem, Rejection, Rejections
from data_collector.web.openapi import INVALID, TOO_MANY, described

KEEP_ALIVE_S = 10.0

router = APIRouter(tags=["status"], responses={429: TOO_MANY})


class Look(Struct, frozen=True):
    """At an exchange, and at one series of it or none."""

    feed: LiveFeed
    snapshot: Snapshot
    focus: Focus | None


class EventStream(Response):
    """Writes what the feeds offer for as long as the client is there; a slow client is simply asked less often."""

    media_type = "text/event-stream"

    def __init__(self, places: Places, looks: Sequence[Look], access: Access, rejections: Rejections) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"})
        # Its length is not known.
        del self.headers["content-length"]
        self._places = places
        self._looks = looks
        self._access = access
        self._rejections = rejections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone, woken = asyncio.create_task(_gone(receive)), asyncio.Event()
        try:
            with self._places.taken(), ExitStack() as looking:
                viewers = [
                    looking.enter_context(look.feed.viewing(look.snapshot, look.focus, self._access, woken))
                    for look in self._looks
                ]
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                await _send(send, PRELUDE)
                while not any(viewer.is_over for viewer in viewers):
                    waiting = asyncio.create_task(woken.wait())
                    await asyncio.wait({gone, waiting}, timeout=KEEP_ALIVE_S, return_when=asyncio.FIRST_COMPLETED)
                    waiting.cancel()
                    if gone.done():
                        return
                    woken.clear()
                    await _send(send, b"".join(viewer.take() for viewer in viewers) or KEEP_ALIVE)
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

    Of several exchanges all are told, or the one that `exchange` names; each event says of which it is. A client that
    reads slowly gets the newest of everything and not what lies between.
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
    contexts = contexts_of(request)
    looks = [Look(context.live, snapshot, focus)]
    if "exchange" not in request.query_params:
        found = await asyncio.gather(*(each.collector.status() for each in contexts.of.values()))
        looks = [
            Look(each.live, told, focus if each is context else None)
            for each, told in zip(contexts.of.values(), found, strict=True)
        ]
    return EventStream(contexts.places, looks, context.policy.access(request), context.rejections)


async def _send(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
