"""Attacks on the HTTP side, each by its usual name; docs/threat-model.md lists them with what stops them."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
import redis

from data_collector.api.live.feed import VIEWERS_MAX
from data_collector.model.status import Snapshot
from data_collector.model.store_url import StoreAddress
from data_collector.web.answers import SECURITY_HEADERS
from data_collector.web.bounds import BODY_BYTES_MAX, WRITES
from data_collector.web.protocol import OPEN_MAX
from tests.contract.event_stream import looking_on
from tests.contract.http_service import SERVE, SERVE_BUSY_WRITERS, Answer, HttpService, running
from tests.contract.raw_http import connected, raw, received
from tests.integration.waiting import until

TOKEN = "canary-" + "0123456789abcdef" * 4
STOP = json.dumps({"action": "stop"}).encode()
JSON = b"Content-Type: application/json\r\n"
NOT_FOUND = (400, 404)

pytestmark = pytest.mark.parametrize("store_address", ["valkey"], indirect=True, scope="session")
"""What is attacked is not the store."""


@pytest.fixture(scope="module")
def snapshot(address: str) -> Snapshot:
    return Snapshot(
        condition="healthy", collector_running=True, symbols=["BTCUSDT"], intervals=["1m"], store_url=address,
        redis_url=address,
    )  # fmt: skip


@pytest.fixture(scope="module")
def development(snapshot: Snapshot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpService]:
    """As it starts on a developer's machine: writing is open to this machine."""
    with running(tmp_path_factory.mktemp("development"), snapshot, script=SERVE_BUSY_WRITERS) as service:
        yield service


@pytest.fixture(scope="module")
def production(snapshot: Snapshot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpService]:
    """As an image runs: any name, and a token."""
    settings = {"ENVIRONMENT": "production", "CONTROL_TOKEN": TOKEN, "ALLOWED_HOSTS": "*"}
    with running(tmp_path_factory.mktemp("production"), snapshot, script=SERVE_BUSY_WRITERS, **settings) as service:
        yield service


@pytest.fixture(autouse=True)
def _goes_on(development: HttpService, production: HttpService) -> Iterator[None]:
    """After each attack both services answer, and nothing was stopped."""
    yield
    for service in (development, production):
        health = service.get("/health")
        assert (health.status, health.json["collector_running"]) == (200, True)


def assert_refused(answer: Answer, *statuses: int) -> None:
    """Refused in the one shape of errors, which a browser takes for nothing else."""
    assert answer.status in statuses, answer.text
    assert list(answer.json) == ["detail"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_dns_rebinding_to_a_route_that_writes(development: HttpService) -> None:
    for host in ("rebound.example", "127.0.0.1.rebound.example", "localhost@rebound.example", "rebound.example:8001"):
        assert_refused(development.control({"action": "stop"}, Host=host), 403)


def test_dns_rebinding_to_the_live_events(development: HttpService) -> None:
    assert_refused(development.get("/live", Host="rebound.example"), 403)


def test_cross_site_request_forgery_by_a_form(development: HttpService) -> None:
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        answer = development.request("POST", "/control", headers={"Content-Type": media_type}, body=STOP)
        assert_refused(answer, 422)


def test_cross_site_request_forgery_by_a_script(development: HttpService) -> None:
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"}):
        assert_refused(development.control({"action": "stop"}, **headers), 403)


def test_preflight_of_another_origin_is_given_no_leave(development: HttpService) -> None:
    asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}

    names = [name.lower() for name in development.request("OPTIONS", "/control", headers=asked).headers]

    assert not [name for name in names if name.startswith("access-control")]


def test_clickjacking_and_sniffing(development: HttpService) -> None:
    for path in ("/", "/docs", "/health"):
        headers = development.get(path).headers
        assert {name: headers[name] for name in SECURITY_HEADERS if name != "Cache-Control"} == {
            name: value for name, value in SECURITY_HEADERS.items() if name != "Cache-Control"
        }
        assert "unsafe" not in headers["Content-Security-Policy"]


def test_oversized_body_declared_or_not(development: HttpService) -> None:
    body = b"x" * (BODY_BYTES_MAX + 1)

    declared = development.request("POST", "/control", headers={"Content-Type": "application/json"}, body=body)
    head = b"POST /control HTTP/1.1\r\nHost: localhost\r\n" + JSON + b"Transfer-Encoding: chunked\r\n\r\n"
    chunked = raw(development, head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))

    assert_refused(declared, 413)
    assert chunked.startswith(b"HTTP/1.1 413 ")


def test_length_that_overflows(development: HttpService) -> None:
    for length in (b"99999999999999999999999", b"-1", b"0x10", b"1e3"):
        request = b"POST /control HTTP/1.1\r\nHost: localhost\r\n" + JSON + b"Content-Length: " + length + b"\r\n\r\n"
        assert raw(development, request)[9:12] in {b"400", b"413"}


@pytest.mark.slow
def test_slow_body(development: HttpService) -> None:
    with connected(development) as client:
        client.sendall(b"POST /control HTTP/1.1\r\nHost: localhost\r\n" + JSON + b"Content-Length: 20\r\n\r\n{")

        assert received(client).startswith(b"HTTP/1.1 408 ")


def test_slow_head(development: HttpService) -> None:
    with connected(development) as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: loc")

        assert received(client).startswith(b"HTTP/1.1 408 ")


def test_oversized_url_and_headers(development: HttpService) -> None:
    many = b"".join(b"X-%d: 1\r\n" % number for number in range(70))

    assert_refused(development.get("/status?" + "x" * 5000), 414)
    assert raw(development, b"GET /status HTTP/1.1\r\nHost: localhost\r\n" + many + b"\r\n")[9:12] == b"431"


def test_request_smuggling_by_two_lengths(development: HttpService) -> None:
    hidden = b"POST /control HTTP/1.1\r\nHost: localhost\r\n" + JSON + b"Content-Length: %d\r\n\r\n" % len(STOP) + STOP
    request = (
        b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n" % (len(hidden) + 5)
        + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    )

    answer = raw(development, request + hidden)

    assert b"stopped" not in answer
    assert answer[9:12] == b"400"


def test_two_host_headers_and_an_absolute_target(development: HttpService) -> None:
    end = JSON + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(STOP) + STOP

    two = raw(development, b"POST /control HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n" + end)
    absolute = raw(development, b"POST http://evil.example/control HTTP/1.1\r\nHost: evil.example\r\n" + end)

    assert two[9:12] in {b"400", b"403"}
    assert absolute[9:12] in {b"403", b"404"}


def test_header_injection_by_a_parameter(development: HttpService) -> None:
    answer = development.get("/gaps/x%0d%0aSet-Cookie:%20a=b")

    assert answer.status in NOT_FOUND
    assert "Set-Cookie" not in answer.headers
    assert "\r" not in answer.text


def test_log_injection(development: HttpService) -> None:
    forged = '%0a{"level":"info","event":"forged"}%1b[2J%e2%80%a8'

    development.get(f"/klines/{forged}?interval=1m")
    development.control({"action": forged}, User_Agent=forged)

    lines = (development.folder / "stderr").read_text().splitlines()
    assert all("forged" not in str(json.loads(line).get("event")) for line in lines if line.startswith("{"))
    assert "\x1b" not in "".join(lines)


def test_path_tricks(development: HttpService) -> None:
    for path in (
        "/assets/../../app.py", "/assets/..%2f..%2fapp.py", "/assets/%2e%2e/%2e%2e/app.py", "/assets/..%5c..%5capp.py",
        "/assets//etc/passwd", "/vendored/swagger-ui/..%2f..%2fapp.py", "/assets/index.js%00.css", "/assets/",
    ):  # fmt: skip
        answer = raw(development, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        assert answer[9:12] in {b"400", b"404"}, path
        assert b"create_app" not in answer
        assert b"root:" not in answer


def test_token_in_the_url_or_in_part(production: HttpService) -> None:
    given = {"Content-Type": "application/json"}

    assert_refused(production.request("POST", f"/control?token={TOKEN}", headers=given, body=STOP), 403)
    for header in (f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer", "Bearer ö"):
        assert_refused(production.control({"action": "stop"}, Authorization=header.encode().decode("latin-1")), 403)


def test_token_guessing(snapshot: Snapshot, tmp_path_factory: pytest.TempPathFactory) -> None:
    with running(
        tmp_path_factory.mktemp("guessing"), snapshot, ENVIRONMENT="production", CONTROL_TOKEN=TOKEN, ALLOWED_HOSTS="*"
    ) as service:
        # Forged addresses make no new client.
        answers = [
            service.control({"action": "stop"}, Authorization=f"Bearer {n}", X_Forwarded_For=f"192.0.2.{n}").status
            for n in range(2 * WRITES.amount)
        ]

    assert set(answers) == {403, 429}
    assert answers.count(403) <= 2 * WRITES.amount - 1


def test_forged_address_of_this_machine(development: HttpService) -> None:
    for name in ("X_Forwarded_For", "Forwarded", "X_Real_Ip"):
        assert_refused(development.control({"action": "stop"}, **{name: "127.0.0.1"}), 403)


def test_method_tricks(production: HttpService) -> None:
    override = {"X-HTTP-Method-Override": "POST", "X-Method-Override": "POST", "Content-Type": "application/json"}

    assert_refused(production.request("GET", "/control", headers=override), 405)
    for method in ("TRACE", "PROPFIND", "DELETE", "PATCH"):
        assert production.request(method, "/control").status in {403, 405}


def test_websocket_upgrade_is_not_taken(development: HttpService) -> None:
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    key = b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"

    with connected(development) as client:
        client.sendall(b"GET /live HTTP/1.1\r\nHost: evil.example\r\n" + upgrade + key + b"\r\n")
        answer = client.recv(65536)

    assert answer[9:12] in {b"400", b"403"}


def test_events_exhaustion(development: HttpService) -> None:
    with ExitStack() as viewers:
        for _ in range(VIEWERS_MAX):
            viewers.enter_context(looking_on(development))

        assert_refused(development.get("/live"), 503)
        assert development.get("/health").status == 200


def test_deep_or_odd_json(development: HttpService) -> None:
    deep = b"[" * 30_000
    for body in (deep, b'{"action": "stop", "more": 1}', b'{"action": ["stop"]}', b"\xff\xfe", b"NaN", b""):
        answer = development.request("POST", "/control", headers={"Content-Type": "application/json"}, body=body)
        assert_refused(answer, 400, 422)


def test_script_in_a_name_is_never_markup(development: HttpService) -> None:
    answer = development.get("/completeness?symbol=%3Cscript%3Ealert(1)%3C/script%3E")

    assert_refused(answer, 404, 422)
    assert answer.headers["Content-Type"] == "application/json"


def test_commands_in_a_symbol_reach_no_store(development: HttpService, store_address: StoreAddress) -> None:
    with redis.Redis(unix_socket_path=store_address.unix_path, decode_responses=True) as client:
        client.set("canary", "alive")
        for symbol in ("X%0d%0aFLUSHALL", "*", "%7BX%7D", "..%2f", "BTCUSDT%00", "'%3Bdrop%20table%20x%3B--"):
            for path in (f"/trades/{symbol}", f"/klines/{symbol}?interval=1m", f"/validation/errors?symbol={symbol}"):
                assert development.get(path).status in {200, 400, 404, 422}, path
        assert client.get("canary") == "alive"


def test_numbers_beyond_all_bounds(development: HttpService) -> None:
    for query in ("limit=1000000000", "limit=-1", "limit=1e9", "limit=" + "9" * 400, "from=99999-01-01", "from=-1e400"):
        assert development.get(f"/klines/BTCUSDT?interval=1m&{query}").status == 422, query


def test_connections_that_say_nothing(development: HttpService) -> None:
    place = urlsplit(development.url)
    with ExitStack() as silent:
        for _ in range(2 * OPEN_MAX):
            silent.enter_context(socket.create_connection((str(place.hostname), place.port)))
        answers = [development.get(path).status for path in ("/health/live", "/health", "/status") * 20]
        answers.append(development.control({"action": "start"}).status)

    assert answers == [200] * 61


def test_garbage_behind_a_request_does_not_lose_its_answer(development: HttpService) -> None:
    request = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"

    answers = raw(development, request * 2 + b"\x00\x01 no http\r\n\r\n" * 3)

    assert [answers.count(b"HTTP/1.1 %d " % status) for status in (200, 400)] == [2, 1]
    assert answers.index(b"HTTP/1.1 400 ") > answers.rindex(b"HTTP/1.1 200 ")


def test_viewers_that_read_nothing_are_cut_off(snapshot: Snapshot, tmp_path_factory: pytest.TempPathFactory) -> None:
    impatient = (
        "from data_collector.web import protocol\nprotocol.WRITE_TIMEOUT_S, protocol.READING_LOOK_S = 2.0, 0.5\n"
    )
    with (
        running(tmp_path_factory.mktemp("unread"), snapshot, script=impatient + SERVE) as service,
        ExitStack() as others,
    ):
        for _ in range(VIEWERS_MAX - 1):
            unread = others.enter_context(connected(service))
            unread.sendall(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        until(lambda: viewers_of(service) > 1)
        # The last to come: from now on it reads.
        reader = others.enter_context(looking_on(service))
        until(lambda: reader.first("state") and viewers_of(service) == 1)
        assert reader.first("state")
        assert "request_failed" not in (service.folder / "stderr").read_text()


def viewers_of(service: HttpService) -> float:
    found = re.search(r"^data_collector_live_viewers\S* (\S+)$", service.get("/metrics/prometheus").text, re.MULTILINE)
    return float(found[1]) if found else 0.0
