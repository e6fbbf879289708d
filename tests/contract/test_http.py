"""Section 4 of the contract, line by line, over HTTP."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from data_collector.model.status import (
    AuditStatus,
    ConnectionStatus,
    RuleStatus,
    Sample,
    Snapshot,
    ValidationStatus,
)
from tests.contract.http_service import HttpService, running
from tests.integration.waiting import until

HEALTHY = Snapshot(
    condition="healthy",
    ready=True,
    collector_running=True,
    symbols=["BTCUSDT"],
    intervals=["1m", "5m"],
    messages_received=12_345,
    messages_validated=12_338,
    validation_errors=5,
    messages_in_flight=2,
    last_message_seconds_ago=1.2345,
    redis_url="redis://:***@localhost:6379/0",
    connections=[ConnectionStatus("A", "connected", 7, "2024-01-01T12:00:00+00:00", 0.5, 3, "closed by the exchange")],
    samples=[Sample("data_collector_records_stored_total", 7, {"channel": "trade"})],
)


@pytest.fixture(scope="module")
def one_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpService]:
    with running(tmp_path_factory.mktemp("http"), HEALTHY, ENVIRONMENT="development") as service:
        yield service


@pytest.fixture
def service(one_service: HttpService) -> HttpService:
    tell(one_service)
    return one_service


def tell(service: HttpService, **changes: object) -> None:
    """Let the collector answer HEALTHY with changes, and wait until the shared answer is no older one."""
    snapshot = Snapshot(**{name: getattr(HEALTHY, name) for name in HEALTHY.__struct_fields__} | changes)
    service.tell(snapshot)
    asked_before = service.questions()

    def has_asked_twice() -> bool:
        service.get("/health")
        return service.questions() >= asked_before + 2

    # Every test of this module asks so: more often, and together they would meet the limit of reads.
    until(has_asked_twice, poll_s=0.05)


def test_validation_tells_rules_audit_and_faults(service: HttpService) -> None:
    rule = RuleStatus("trade", "price_positive", "critical", "The price must be above zero.", "shipped", True, 3, 2)
    audit = AuditStatus(
        "running", None, 0.5, {"trade": 9}, 9, 1.5, {"trade": 0}, {"trade/x": 1}, {"trade/y": "why"},
        every_seconds=300.0, next_seconds=298.5, waiting_bytes=1_024, pairs=26, evaluated=26,
    )  # fmt: skip
    tell(service, validation=ValidationStatus({"trade": "0123"}, ["http://u:secret@host is refused"], [rule], audit))

    answer = service.get("/validation").json

    assert list(answer) == ["validation_service_url", "suites", "faults", "audit", "rules"]
    assert answer["faults"] == ["http://u:***@host is refused"]
    assert answer["audit"] == {
        "state": "running", "reason": None, "coverage": 0.5, "rows": {"trade": 9}, "waiting": 9, "oldest_seconds": 1.5,
        "skipped": {"trade": 0}, "disagreements": {"trade/x": 1}, "failures": {"trade/y": "why"},
        "every_seconds": 300.0, "next_seconds": 298.5, "waiting_bytes": 1_024, "pairs": 26, "evaluated": 26,
    }  # fmt: skip
    assert answer["rules"] == [
        {
            "kind": "trade", "rule": "price_positive", "severity": "critical", "source": "shipped", "gated": True,
            "message": "The price must be above zero.", "broken": 3, "broken_in_audit": 2,
        }
    ]  # fmt: skip


def test_health_has_the_keys_of_the_contract_in_order(service: HttpService) -> None:
    answer = service.get("/health")

    assert answer.status == 200
    assert list(answer.json.items())[:7] == [
        ("status", "healthy"),
        ("service", "data-collector"),
        ("environment", "development"),
        ("collector_running", True),
        ("messages_received", 12_345),
        ("messages_validated", 12_338),
        ("validation_errors", 5),
    ]
    assert answer.json["reasons"] == []


def test_degraded_is_200_and_says_why(service: HttpService) -> None:
    tell(service, condition="degraded", reasons=["A gap is being repaired."])

    answer = service.get("/health")

    assert (answer.status, answer.json["status"]) == (200, "degraded")
    assert answer.json["reasons"] == ["A gap is being repaired."]


def test_unhealthy_is_503_and_says_why(service: HttpService) -> None:
    tell(service, condition="unhealthy", ready=False, reasons=["Records can be neither stored nor spooled."])

    answer = service.get("/health")

    assert (answer.status, answer.json["status"]) == (503, "unhealthy")
    assert answer.json["reasons"] == ["Records can be neither stored nor spooled."]
    assert service.get("/health/live").status == 200


def test_ready_follows_the_streams(service: HttpService) -> None:
    assert service.get("/health/ready").status == 200

    tell(service, ready=False)

    assert service.get("/health/ready").status == 503
    assert service.get("/health/ready").json["reasons"]


def test_metrics_has_the_keys_of_the_contract_in_order(service: HttpService) -> None:
    answer = service.get("/metrics", Accept="*/*")

    assert answer.headers["Content-Type"] == "application/json"
    assert list(answer.json.items())[:8] == [
        ("messages_received", 12_345),
        ("messages_validated", 12_338),
        ("validation_errors", 5),
        ("validation_success_rate", 99.96),
        ("last_message_seconds_ago", 1.23),
        ("is_running", True),
        ("symbols", ["BTCUSDT"]),
        ("intervals", ["1m", "5m"]),
    ]
    assert 12_338 + 5 + int(str(answer.json["messages_in_flight"])) == 12_345


def test_metrics_before_the_first_message(service: HttpService) -> None:
    tell(service, messages_received=0, messages_validated=0, validation_errors=0, last_message_seconds_ago=None)

    answer = service.get("/metrics")

    assert answer.json["validation_success_rate"] == 100.0
    assert answer.json["last_message_seconds_ago"] is None


@pytest.mark.parametrize(
    ("accept", "is_text"),
    [
        ("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", True),
        ("text/plain;version=0.0.4", True),
        ("text/plain", True),
        ("*/*", False),
        ("application/json", False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
        ("application/json, text/plain, */*", False),
    ],
)
def test_metrics_speaks_prometheus_to_prometheus_only(service: HttpService, accept: str, is_text: bool) -> None:
    answer = service.get("/metrics", Accept=accept)

    assert answer.status == 200
    assert answer.headers["Vary"] == "Accept"
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4") == is_text
    assert answer.text.startswith("# HELP") == is_text


def test_prometheus_page_has_the_three_totals_without_labels(service: HttpService) -> None:
    text = service.get("/metrics/prometheus").text

    for name, value in [("messages_received", 12_345), ("messages_validated", 12_338), ("validation_errors", 5)]:
        metric = f"data_collector_{name}_total"
        assert re.search(rf"^# HELP {metric} \S.*\n# TYPE {metric} counter\n{metric} {value}\.0$", text, re.MULTILINE)
        assert f"{metric}{{" not in text
    assert "# HELP data_collector_messages_received_total Total messages received\n" in text
    assert "# HELP data_collector_messages_validated_total Total messages validated\n" in text
    assert 'data_collector_records_stored_total{channel="trade"} 7.0\n' in text


def test_status_has_the_keys_of_the_contract(service: HttpService) -> None:
    status = service.get("/status").json

    assert list(status) == [
        "running", "symbols", "intervals", "redis_url", "validation_service_url", "metrics", "connections",
        "history", "memory", "exchange",
    ]  # fmt: skip
    assert status["redis_url"] == "redis://:***@localhost:6379/0"
    assert status["validation_service_url"] == "embedded"
    assert status["metrics"] == service.get("/metrics").json
    assert status["connections"] == [
        {
            "line": "A",
            "state": "connected",
            "streams": 7,
            "connected_since": "2024-01-01T12:00:00+00:00",
            "last_message_seconds_ago": 0.5,
            "reconnects": 3,
            "last_error": "closed by the exchange",
        }
    ]


def test_status_masks_passwords_and_keys_even_where_the_collector_forgot(service: HttpService) -> None:
    lines = [ConnectionStatus("A", "waiting", 0, last_error="https://u:canary@h/x?apiKey=canary&symbol=A failed")]
    tell(service, redis_url="redis://me:can/ary@x@h:1/0", connections=lines, reasons=["rediss://:canary@h is away"])

    everything = "".join(service.get(path).text for path in ("/status", "/health", "/health/ready"))

    assert "canary" not in everything
    assert "can/ary" not in everything
    assert "redis://me:***@h:1/0" in everything


def test_stop_and_start_are_answered_and_shown(service: HttpService) -> None:
    assert service.control({"action": "stop"}).json == {"status": "stopped"}
    health = service.get("/health")
    assert (health.status, health.json["status"], health.json["collector_running"]) == (200, "degraded", False)
    assert health.json["reasons"] == ["stopped by operator"]

    assert service.control({"action": "start"}).json == {"status": "started"}
    assert service.get("/health").json["collector_running"] is True


def test_control_without_content_type_names_it(service: HttpService) -> None:
    answer = service.request("POST", "/control", body=b'{"action": "stop"}')

    assert answer.status == 422
    assert "Content-Type: application/json" in str(answer.json["detail"])


@pytest.mark.parametrize("body", [{}, {"action": "restart"}, {"action": "stop", "symbol": "BTCUSDT"}, []])
def test_control_names_what_is_wrong_with_the_body(service: HttpService, body: object) -> None:
    answer = service.control(body)

    assert answer.status == 422
    assert re.search("action|symbol|body", str(answer.json["detail"]))
    assert service.get("/health").json["collector_running"] is True


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("GET", "/control", 405), ("OPTIONS", "/control", 405), ("GET", "/assets/../x", 404)],
)
def test_errors_are_json(service: HttpService, method: str, path: str, status: int) -> None:
    answer = service.request(method, path)

    assert answer.status == status
    assert isinstance(answer.json["detail"], str)


def test_json_that_is_too_deep_to_be_read_is_as_wrong_as_other_json(service: HttpService) -> None:
    given = {"Content-Type": "application/json"}

    for body in (b"[" * 20_000, b"{", b"\xff"):
        answer = service.request("POST", "/control", headers=given, body=body)

        assert answer.status == 422
        assert isinstance(answer.json["detail"], str)


def test_options_name_every_method_of_a_path(service: HttpService) -> None:
    answer = service.request("OPTIONS", "/subscriptions")

    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD, PUT")


def test_path_with_a_slash_too_many_leads_nowhere(service: HttpService) -> None:
    """Not to the name that the request gave for ours."""
    answer = service.get("/health/", Host="evil.example")

    assert answer.status == 404
    assert answer.headers["Location"] is None


@pytest.mark.parametrize("path", ["/health", "/health/live", "/metrics", "/status", "/docs", "/"])
def test_head_is_answered_as_get_without_a_body(service: HttpService, path: str) -> None:
    answer = service.request("HEAD", path)

    assert (answer.status, answer.body) == (200, b"")


def test_reads_answer_any_host(service: HttpService) -> None:
    for path in ("/health", "/metrics", "/metrics/prometheus"):
        assert service.get(path, Host="collector.example:8001").status == 200


def test_many_requests_cost_the_collector_ten_answers_a_second(service: HttpService) -> None:
    asked_before, began = service.questions(), time.monotonic()

    for _ in range(50):
        service.get("/health")

    # Whatever the machine's speed: one answer per tenth of a second, and one at each end.
    assert service.questions() - asked_before <= 2 + (time.monotonic() - began) / 0.1


def test_validation_errors_waits_for_a_store(service: HttpService) -> None:
    answer = service.get("/validation/errors")

    assert answer.status == 503
    assert "not known yet" in str(answer.json["detail"])
