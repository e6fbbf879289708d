"""The Data Validation Service in the test's own process, with or without the real worker behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI
from starlette.types import Message, Scope

from data_collector.model.errors import Transient
from data_collector.validation.auditing import proof
from data_collector.validation.auditing.audit_worker import AuditWorker
from data_collector.validation.auditing.messages import Answer, CheckReport, CheckSuite, Request
from data_collector.validation.service import Options, create_app
from data_collector.validation.service.app import context_of_app
from data_collector.validation.service.context import ServiceContext
from tests.integration.waiting import until_async

TOKEN = "a token of the tests"
JSON = {"content-type": "application/json"}
MSGPACK = {"content-type": "application/msgpack"}
WITH_TOKEN = {**JSON, "authorization": f"Bearer {TOKEN}"}
GOOD = {
    "symbol": "BTCUSDT", "timestamp": "2024-01-01T12:00:00+00:00", "interval": "1m", "open": 45123.45, "high": 45200.00,
    "low": 45100.00, "close": 45180.50, "volume": 123.456, "trades": 1234, "is_closed": True,
    "quote_volume": 5567890.12, "taker_buy_base_volume": 61.728, "taker_buy_quote_volume": 2783945.06,
}  # fmt: skip
"""The contract's example of a kline."""

BAD = {**GOOD, "high": 45000.00}


@dataclass
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        content = json.loads(self.body)
        assert isinstance(content, dict)
        return content

    @property
    def detail(self) -> str:
        return str(self.json["detail"])


class ScriptedWorker(AuditWorker):
    """A worker of the tests: answers with what `answer` says."""

    def __init__(self, answer: Callable[[Request], Answer] | None = None) -> None:
        super().__init__()
        self._answer = answer
        self.asked: list[Request] = []
        self.free = asyncio.Event()
        self.free.set()
        self.running = False

    @property
    def pid(self) -> int | None:
        return None

    @property
    def alive(self) -> bool:
        return self.running

    async def start(self) -> None:
        self.running = True

    async def close(self) -> None:
        self.running = False

    async def ask(self, request: Request, timeout_s: float) -> Answer:
        self.asked.append(request)
        await self.free.wait()
        if not self.running:
            raise Transient("The worker is gone.")
        if isinstance(request, CheckSuite) and self._answer is None:
            return CheckReport([])
        assert self._answer is not None
        return self._answer(request)


class AbsentWorker(ScriptedWorker):
    """One that cannot be started."""

    async def start(self) -> None:
        raise Transient("Great Expectations is not installed.")


@dataclass
class App:
    """The application while it is served."""

    app: FastAPI
    folder: Path

    @property
    def around(self) -> ServiceContext:
        return context_of_app(self.app)

    async def get(self, path: str, **headers: str) -> Reply:
        """Names of headers are written with underscores."""
        return await self.ask("GET", path, {name.replace("_", "-"): value for name, value in headers.items()})

    async def validate(self, body: object, query: str = "") -> Reply:
        """Post JSON."""
        return await self.ask("POST", "/validate", JSON, json.dumps(body).encode(), query)

    async def put(self, kind: str, document: object, **headers: str) -> Reply:
        """As one who has the token."""
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.ask("PUT", f"/suites/{kind}", WITH_TOKEN | more, json.dumps(document).encode())

    async def audit(self, body: bytes) -> Reply:
        """As a collector that has the token."""
        return await self.ask(
            "POST", "/audit", MSGPACK | {proof.HEADER.lower(): await proof.proof_of(body, TOKEN)}, body
        )

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b"", query: str = ""
    ) -> Reply:
        """One request."""
        given = {"host": "localhost:8000", "content-length": str(len(body)), **(headers or {})}
        scope: Scope = {
            "type": "http", "http_version": "1.1", "method": method, "scheme": "http", "path": path,
            "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
            "client": ("127.0.0.1", 50_000), "server": ("127.0.0.1", 8000),
        }  # fmt: skip
        sent: list[Message] = []
        pieces = [body]

        async def receive() -> Message:
            if not pieces:
                await asyncio.Event().wait()
            return {"type": "http.request", "body": pieces.pop(), "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        start, *rest = sent
        answered = {name.decode().lower(): value.decode() for name, value in start["headers"]}
        return Reply(start["status"], answered, b"".join(message.get("body", b"") for message in rest))


@asynccontextmanager
async def serving(
    folder: Path, make_worker: Callable[[], AuditWorker], *, token: str | None = TOKEN, docs_every_s: float = 300.0
) -> AsyncIterator[App]:
    """The application for the length of the block."""
    options = Options(folder=folder / "state", suites_dir=folder / "suites", token=token, docs_every_s=docs_every_s)
    app = create_app(options, make_worker)
    async with app.router.lifespan_context(app):
        yield App(app, folder)


async def until_up(app: App) -> None:
    """Wait for the worker."""
    await until_async(lambda: app.around.worker.state == "up", "the worker", deadline_s=60)


def rule(rule_id: str = "price_cap", **changes: object) -> dict[str, object]:
    """A user's rule."""
    return {
        "type": "expect_column_values_to_be_between",
        "kwargs": {"column": "close", "max_value": 40_000},
        "severity": "critical",
        "description": "The close is at most 40,000.",
        "meta": {"rule_id": rule_id},
        **changes,
    }


def suite(*rules: dict[str, object], kind: str = "kline") -> dict[str, object]:
    """A user's document."""
    return {"name": kind, "expectations": list(rules)}
