"""`/subscriptions` over HTTP: what the collector says of a change becomes an answer."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from data_collector.model.status import Snapshot
from data_collector.model.subscriptions import (
    Change,
    ChangeRefusal,
    ChangeStatus,
    ConnectionChange,
    GroupStreams,
    Present,
    RefusalKind,
)
from tests.contract.http_service import Answer, HttpService, running
from tests.integration.waiting import until

PRESENT = Present(["BTCUSDT"], ["1m"], ["trade"], [GroupStreams(["1"], ["btcusdt@trade"])])

DONE = Change(
    ["BTCUSDT"], ["1m"], ["trade"], ["btcusdt@trade"], [], 0,
    [ConnectionChange("1", is_new=False, subscribe=1, unsubscribe=0, streams=1, control_messages=2, seconds=0.0)],
    0, 2, 0.0, 100, 200, 22, ["a note"],
)  # fmt: skip


def snapshot(status: ChangeStatus | None) -> Snapshot:
    return Snapshot(condition="healthy", collector_running=True, subscriptions=status)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpService]:
    with running(tmp_path_factory.mktemp("http"), snapshot(ChangeStatus(PRESENT))) as service:
        yield service


def put(service: HttpService, body: object, **headers: str) -> Answer:
    given = {"Content-Type": "application/json"} | {n.replace("_", "-"): v for n, v in headers.items()}
    return service.request("PUT", "/subscriptions", headers=given, body=json.dumps(body).encode())


def test_present_subscriptions_are_told_with_what_shares_a_connection(service: HttpService) -> None:
    service.tell(snapshot(ChangeStatus(PRESENT)))

    def told() -> dict[str, object]:
        return service.get("/subscriptions").json

    until(lambda: told().get("changing") is False)
    assert told() == {
        "symbols": ["BTCUSDT"], "intervals": ["1m"], "channels": ["trade"],
        "groups": [{"lines": ["1"], "streams": ["btcusdt@trade"]}], "changing": False, "changed": False,
        "until": "restart",
    }  # fmt: skip


def test_change_is_answered_with_what_it_did(service: HttpService) -> None:
    service.tell(snapshot(ChangeStatus(PRESENT, 1, done=DONE)))

    answer = put(service, {"symbols": ["BTCUSDT"]})

    assert answer.status == 200
    assert answer.json["added"] == ["btcusdt@trade"]
    assert answer.json["connections"] == [
        {
            "line": "1", "is_new": False, "subscribe": 1, "unsubscribe": 0, "streams": 1, "control_messages": 2,
            "seconds": 0.0,
        }
    ]  # fmt: skip
    assert (answer.json["notes"], answer.json["until"]) == (["a note"], "restart")


@pytest.mark.parametrize(("kind", "status"), [("impossible", 422), ("conflict", 409), ("unavailable", 503)])
def test_refusal_is_told_with_all_its_reasons(service: HttpService, kind: RefusalKind, status: int) -> None:
    service.tell(snapshot(ChangeStatus(PRESENT, refusal=ChangeRefusal(kind, ["One reason.", "Another one."]))))

    answer = put(service, {"symbols": ["BTCUSDT"]})

    assert (answer.status, answer.json) == (status, {"detail": "One reason. Another one."})


@pytest.mark.parametrize("body", [{"symbol": ["BTCUSDT"]}, {"symbols": []}, {"symbols": [1]}])
def test_body_of_another_shape_is_refused(service: HttpService, body: object) -> None:
    assert put(service, body).status == 422


def test_form_or_page_of_another_site_changes_nothing(service: HttpService) -> None:
    assert put(service, {"symbols": ["BTCUSDT"]}, Content_Type="text/plain").status == 422
    assert put(service, {"symbols": ["BTCUSDT"]}, Origin="http://elsewhere.example").status == 403
