"""Counting requests by route and status."""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from data_collector.observe.counters import Counters

ROUTES: Final = frozenset({"validate", "audit", "suites", "health", "metrics", "docs-site"})


class CountRequests:
    """ASGI: the first thing that a request meets, so that what others refuse is counted too."""

    def __init__(self, app: ASGIApp, counters: Counters) -> None:
        self._app = app
        self._counters = counters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        first = scope["path"].split("/")[1] if scope["path"].startswith("/") else ""
        route = first if first in ROUTES else "other"

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._counters.add("data_validation_requests_total", route=route, status=str(message["status"]))
            await send(message)

        await self._app(scope, receive, counted)
