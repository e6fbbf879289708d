"""Who asks for another protocol is answered in this one, and what he sends behind it is read as what it is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_collector.model.status import Snapshot
from tests.contract.http_service import SERVE, HttpService, running
from tests.contract.raw_http import connected, raw, received

RUNNING = Snapshot(condition="healthy", collector_running=True)
UPGRADE = b"Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
STOP = b'{"action": "stop"}'


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpService]:
    with running(tmp_path_factory.mktemp("upgrade"), RUNNING) as service:
        yield service


def head(start: bytes, *fields: bytes, length: int | None = None) -> bytes:
    told = () if length is None else (b"Content-Type: application/json", b"Content-Length: %d" % length)
    lines = (start + b" HTTP/1.1", b"Host: localhost", *fields, *told)
    return b"".join(line.rstrip() + b"\r\n" for line in lines) + b"\r\n"


def statuses(answers: bytes) -> list[int]:
    return [int(part[:3]) for part in answers.split(b"HTTP/1.1 ")[1:]]


@pytest.mark.parametrize("pause_s", [0, 0.2], ids=["together", "apart"])
@pytest.mark.parametrize("upgrade", [b"h2c", b"websocket"])
def test_body_of_a_request_for_another_protocol_is_no_request(
    service: HttpService, upgrade: bytes, pause_s: float
) -> None:
    """As a proxy forwards it for a stranger, whose own requests it marks."""
    inner = head(b"POST /control", length=len(STOP)) + STOP
    fields = b"X-Forwarded-For: 203.0.113.9", b"Connection: upgrade", b"Upgrade: " + upgrade
    with connected(service) as link:
        link.sendall(head(b"POST /nowhere", *fields, length=len(inner)))
        time.sleep(pause_s)
        link.sendall(inner + head(b"GET /health", b"Connection: close"))
        answers = received(link)

    assert statuses(answers) == [403, 200]
    assert b"stopped" not in answers
    assert service.get("/status").json["running"] is True


@pytest.mark.parametrize("pause_s", [0, 0.2], ids=["together", "apart"])
def test_body_and_what_follows_are_read_in_this_protocol(service: HttpService, pause_s: float) -> None:
    body = b'{"action": "start"}'
    fields = UPGRADE.removesuffix(b"\r\n")
    with connected(service) as link:
        link.sendall(head(b"GET /health/live", fields))
        for _ in range(2):
            link.sendall(head(b"POST /control", fields, length=len(body)))
            time.sleep(pause_s)
            link.sendall(body)
        chunked = head(b"POST /control", fields, b"Content-Type: application/json", b"Transfer-Encoding: chunked")
        link.sendall(chunked + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        link.sendall(head(b"GET /status", b"Connection: close"))
        answers = received(link)

    assert statuses(answers) == [200] * 5
    assert answers.count(b'"started"') == 3


def test_thousands_that_ask_for_another_protocol_at_once(service: HttpService) -> None:
    answers = raw(service, head(b"GET /health/live", UPGRADE.removesuffix(b"\r\n")) * 500)

    assert set(statuses(answers)) == {200}


@pytest.mark.parametrize("target", [b"localhost:1", b"/health"])
def test_tunnel_is_refused_with_what_is_in_it(service: HttpService, target: bytes) -> None:
    answers = raw(service, head(b"GET /health/live") + head(b"CONNECT " + target) + head(b"GET /health"))

    assert statuses(answers) == [200, 400]


def test_late_head_is_not_answered_in_the_midst_of_an_answer(tmp_path: Path) -> None:
    """The events of a viewer, who sends what is no whole request."""
    impatient = "from data_collector.web import protocol\nprotocol.HEAD_TIMEOUT_S = 0.3\n"
    with running(tmp_path, RUNNING, script=impatient + SERVE) as service, connected(service) as link:
        link.sendall(head(b"GET /live") + b"GET /health HTTP/1.1\r\nHost: localhost")
        answers = b""
        while answers.count(b"event: state") < 3:
            answers += link.recv(65536)

    assert statuses(answers) == [200]
