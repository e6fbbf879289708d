"""One request to an ASGI application without a server, and an application to ask."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fastapi import FastAPI, Request
from starlette.types import ASGIApp, Message, Scope


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    json: object

    @property
    def detail(self) -> object:
        assert isinstance(self.json, dict)
        return self.json["detail"]


def counting_app() -> FastAPI:
    """Takes every method on every path, and answers how many bytes the body had."""
    app = FastAPI()

    @app.api_route("/{path:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    async def count(request: Request) -> int:
        return len(await request.body())

    return app


async def ask(
    app: ASGIApp,
    method: str,
    path: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: Sequence[bytes] = (b"",),
    address: str = "127.0.0.1",
) -> Answer:
    """Send `body` in these pieces and read the answer; both ends of the connection have `address`."""
    scope: Scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in (headers or {}).items()],
        "client": (address, 50_000),
        "server": (address, 8000),
    }
    pieces = list(body)
    sent: list[Message] = []

    async def receive() -> Message:
        # Gives way once, as a socket does: a time limit that has passed is noticed here.
        await asyncio.sleep(0)
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start, *rest = sent
    content = b"".join(message.get("body", b"") for message in rest)
    given = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], given, json.loads(content))
