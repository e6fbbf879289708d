"""Who may write, how much a request may be, and that no secret leaves by any door."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from starlette.routing import BaseRoute, Route

from data_collector.api import create_app
from data_collector.model.status import Snapshot
from data_collector.settings import load_settings
from data_collector.web.bounds import BODY_BYTES_MAX, READS, URL_BYTES_MAX
from data_collector.web.guard import SAFE_METHODS
from tests.contract.event_stream import looking_on
from tests.contract.http_service import HttpService, running
from tests.contract.raw_http import connected, is_cut_off, raw, received

RUNNING = Snapshot(condition="healthy", collector_running=True)
TOKEN = "canary-" + "0123456789abcdef" * 4
BEARER = {"Authorization": f"Bearer {TOKEN}"}
STATUS = b"GET /status HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def development(folder: Path) -> Iterator[HttpService]:
    with running(folder, RUNNING) as service:
        yield service


@pytest.fixture
def production(folder: Path) -> Iterator[HttpService]:
    with running(folder, RUNNING, ENVIRONMENT="production") as service:
        yield service


@pytest.fixture
def with_token(folder: Path) -> Iterator[HttpService]:
    with running(folder, RUNNING, ENVIRONMENT="production", CONTROL_TOKEN=TOKEN, ALLOWED_HOSTS="*") as service:
        yield service


def all_routes(routes: Iterable[BaseRoute] | None = None) -> Iterator[Route]:
    """Every path that the application answers; FastAPI keeps included routers as they are."""
    for route in create_app(load_settings({}, env_file=None)).routes if routes is None else routes:
        if isinstance(route, Route):
            yield route
        else:
            inner = getattr(route, "original_router", route)
            yield from all_routes(getattr(inner, "routes", ()))


def writing_routes() -> list[tuple[str, str]]:
    return [(method, route.path) for route in all_routes() for method in (route.methods or set()) - SAFE_METHODS]


def test_the_route_table_holds_the_route_that_writes() -> None:
    assert ("POST", "/control") in writing_routes()
    assert {"/", "/docs", "/openapi.json", "/health", "/validation/errors"} <= {route.path for route in all_routes()}


def test_production_without_token_closes_every_writing_route(production: HttpService) -> None:
    json_type = {"Content-Type": "application/json"}

    for method, path in writing_routes():
        answer = production.request(method, path, headers=json_type, body=b'{"action": "stop"}')
        assert answer.status == 403
        assert "CONTROL_TOKEN" in str(answer.json["detail"])
    assert production.get("/health").json["collector_running"] is True


def test_the_token_opens_and_nothing_else_does(with_token: HttpService) -> None:
    stop = {"action": "stop"}

    assert with_token.control(stop).status == 403
    assert with_token.control(stop, Authorization=f"Bearer {TOKEN[:-1]}").status == 403
    assert with_token.control(stop, Authorization=f"Basic {TOKEN}").status == 403
    assert with_token.request("POST", f"/control?token={TOKEN}").status == 403
    assert with_token.get("/health").json["collector_running"] is True
    assert with_token.control(stop, Host="collector.example", **BEARER).json == {"status": "stopped"}


def test_development_is_open_to_this_machine_only_as_itself(development: HttpService) -> None:
    stop = {"action": "stop"}
    port = urlsplit(development.url).port

    assert development.control(stop, Host="rebound.example").status == 403
    assert development.control(stop, Host=f"localhost.rebound.example:{port}").status == 403
    assert development.control(stop, Origin="http://elsewhere.example").status == 403
    assert development.control(stop, Origin="null").status == 403
    assert development.control(stop, Sec_Fetch_Site="cross-site").status == 403
    assert development.control(stop, X_Forwarded_For="203.0.113.7").status == 403
    assert development.get("/health").json["collector_running"] is True
    assert development.control(stop, Host=f"localhost:{port}", Origin=f"http://localhost:{port}").status == 200


def test_nobody_is_told_that_other_origins_are_welcome(development: HttpService) -> None:
    asked = {"Origin": "http://elsewhere.example", "Access-Control-Request-Method": "POST"}

    for method, path in [("OPTIONS", "/control"), ("GET", "/status")]:
        names = [name.lower() for name in development.request(method, path, headers=asked).headers]
        assert not [name for name in names if name.startswith("access-control")]


def test_a_body_too_large_is_refused_told_or_not(development: HttpService) -> None:
    body = b"x" * (BODY_BYTES_MAX + 1)

    told = development.request("POST", "/control", headers={"Content-Type": "application/json"}, body=body)
    head = b"POST /control HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    untold = raw(development, head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))

    assert told.status == 413
    assert str(BODY_BYTES_MAX) in str(told.json["detail"])
    assert untold.startswith(b"HTTP/1.1 413 ")


def test_a_url_or_head_too_large_is_refused(development: HttpService) -> None:
    many = b"".join(b"X-%d: 1\r\n" % number for number in range(70))

    assert development.get("/status?" + "x" * URL_BYTES_MAX).status == 414
    assert raw(development, STATUS + many + b"\r\n").startswith(b"HTTP/1.1 431 ")
    assert is_cut_off(development, STATUS + b"X-Long: " + b"x" * 4_000_000)


def test_a_head_that_does_not_come_is_given_up(development: HttpService) -> None:
    with connected(development) as half, connected(development) as silent:
        half.sendall(STATUS)

        assert received(half).startswith(b"HTTP/1.1 408 ")
        assert received(silent) == b""


def test_what_is_no_http_is_refused_in_json(development: HttpService) -> None:
    answer = raw(development, b"\x16\x03\x01 hello\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'{"detail": ' in answer


def test_a_client_that_comes_too_often_is_told_when_to_come_back(development: HttpService) -> None:
    # The exact number within a window depends on the clock; twice a burst is too much in any case at this pace.
    request, tries = STATUS + b"\r\n", 2 * READS.amount
    with connected(development) as connection:
        connection.sendall(request * tries + STATUS + b"Connection: close\r\n\r\n")
        answers = received(connection)

    assert answers.count(b"HTTP/1.1 200 ") >= READS.amount // 2
    assert b"HTTP/1.1 429 " in answers
    assert b"retry-after: " in answers.lower()
    assert development.control({"action": "stop"}).status == 200


def test_guessing_tokens_is_slow(with_token: HttpService) -> None:
    answers = [with_token.control({}, Authorization=f"Bearer guess{number}").status for number in range(30)]

    assert answers[0] == 403
    assert 429 in answers
    assert 200 not in answers


def test_rejections_are_counted(development: HttpService) -> None:
    development.control({"action": "stop"}, Host="rebound.example")
    development.get("/status?" + "x" * URL_BYTES_MAX)

    text = development.get("/metrics/prometheus").text

    assert 'data_collector_api_rejected_total{reason="host"} 1.0\n' in text
    assert 'data_collector_api_rejected_total{reason="url"} 1.0\n' in text


def test_every_answer_has_the_security_headers(development: HttpService) -> None:
    for answer in [development.get("/health"), development.get("/nothing"), development.get("/?" + "x" * 5000)]:
        policy = answer.headers["Content-Security-Policy"]
        for rule in ("default-src 'self'", "script-src 'self'", "object-src 'none'", "base-uri 'none'"):
            assert rule in policy.split("; ")
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"


def test_no_secret_leaves_by_any_door(folder: Path) -> None:
    secrets = {
        "CONTROL_TOKEN": TOKEN,
        "REDIS_URL": "redis://:canary#/pass@127.0.0.1:1/0",
        "BINANCE_API_KEY": "canary-key",
        "BINANCE_API_SECRET": "canary-secret",
        "DATABASE_URL": "postgresql://me:canary@h/d",
    }
    snapshot = Snapshot(
        condition="healthy", collector_running=True, symbols=["BTCUSDT"],
        store_url="redis://:canary%23pass@127.0.0.1:1/0", redis_url="redis://:***@127.0.0.1:1/0",
    )  # fmt: skip
    with running(folder, snapshot, **secrets) as service:
        # One answer has no end.
        answers = [service.get(route.path) for route in all_routes() if route.path != "/live"]
        with looking_on(service, Authorization=BEARER["Authorization"]) as viewer:
            viewer.first("state")
        answers += [service.control({"action": "x"}), service.control({TOKEN: "x"}, **BEARER)]
        answers += [service.control({"action": "canary-value"}, **BEARER), service.get("/validation/errors")]
    everything = b"".join(answer.body + str(answer.headers).encode() for answer in answers)
    everything += "".join(viewer.lines).encode()

    assert b"The store at 127.0.0.1:1 does not answer" in everything
    # A body's own field names are told back to who sent them; nothing that we hold is.
    assert everything.replace(f"body.{TOKEN}".encode(), b"").count(b"canary") == 0
    assert "canary" not in (folder / "stderr").read_text()
