"""How many requests are answered at a time, so that liveness, health and writing never wait behind readers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from starlette.types import ASGIApp, Receive, Scope, Send

from data_collector.web.answers import Rejection, Rejections
from data_collector.web.bounds import HEALTH_PATHS, LIVENESS_PATH, client_of
from data_collector.web.guard import SAFE_METHODS

READERS_MAX = 100
"""Answers under way, before a further reader is refused. Who sends nothing or takes nothing is none of them."""

READERS_OF_ONE_MAX = 80
"""The same for one client: the rest is for others."""

RESERVED = 10
"""Places more, each, for writing, for health, and for liveness: what comes later in this list has those before too."""

ANSWERS_MAX = READERS_MAX + 3 * RESERVED


class Capacity:
    """ASGI: answers 503 where there is no place. A POST to one of `work_paths` reads."""

    def __init__(self, app: ASGIApp, rejections: Rejections, *, work_paths: Collection[str] = ()) -> None:
        self._app = app
        self._rejections = rejections
        self._work_paths = frozenset(work_paths)
        self._under_way = 0
        self._of: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        client, places = client_of(scope), self._places_for(scope)
        is_reader = places == READERS_MAX
        refusal = self._refusal(client, places, is_reader=is_reader)
        if refusal is not None:
            headers = {"Retry-After": "1", "Connection": "close"}
            await self._rejections.answer(Rejection(503, "connections", refusal), headers)(scope, receive, send)
            return
        self._under_way += 1
        self._of[client] += is_reader
        try:
            await self._app(scope, receive, send)
        finally:
            self._under_way -= 1
            self._of[client] -= is_reader
            if not self._of[client]:
                del self._of[client]

    def _places_for(self, scope: Scope) -> int:
        if scope["path"] == LIVENESS_PATH:
            return ANSWERS_MAX
        if scope["path"] in HEALTH_PATHS:
            return READERS_MAX + 2 * RESERVED
        reads = scope["method"] in SAFE_METHODS or (scope["method"] == "POST" and scope["path"] in self._work_paths)
        return READERS_MAX if reads else READERS_MAX + RESERVED

    def _refusal(self, client: str, places: int, *, is_reader: bool) -> str | None:
        if self._under_way >= places:
            return f"{self._under_way} requests are being answered already; come back in a moment."
        if is_reader and self._of[client] >= READERS_OF_ONE_MAX:
            return f"{READERS_OF_ONE_MAX} requests of this client are being answered already."
        return None
