"""A collector that is held: its last word is no state of now, and nobody waits behind those who ask."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from data_collector.control import ANSWER_TIMEOUT_S
from data_collector.model.status import (
    AuditStatus,
    ConnectionStatus,
    GapsStatus,
    HistoryStatus,
    Sample,
    Snapshot,
    ValidationStatus,
)
from data_collector.model.subscriptions import ChangeStatus, Present
from tests.contract.event_stream import looking_on
from tests.contract.http_service import Answer, HttpService, running, running_several
from tests.integration.waiting import until

URL = "redis://127.0.0.1:1/0"
WELL = Snapshot(
    condition="healthy", ready=True, collector_running=True, symbols=["BTCUSDT"], store_url=URL, redis_url=URL,
    last_message_seconds_ago=0.01, exchange="binance",
    connections=[ConnectionStatus("A", "connected", 2, last_message_seconds_ago=0.01)],
    samples=[
        Sample("data_collector_store_up", 1), Sample("data_collector_history_lag_seconds", 0),
        Sample("data_collector_outlet_records_max", 50_000), Sample("data_collector_gap_filled_total", 3, {
            "channel": "trade", "source": "rest",
        }),
    ],
    history=HistoryStatus("running", rows={"kline": 1}, lag_entries=0),
    gaps=GapsStatus(1, 5, 2.0), validation=ValidationStatus(audit=AuditStatus("running", next_seconds=5.0)),
    subscriptions=ChangeStatus(Present([], [], [], [])),
)  # fmt: skip


@pytest.fixture
def service(tmp_path: Path) -> Iterator[HttpService]:
    with running(tmp_path, WELL) as service:
        yield service


@contextmanager
def held(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def age(service: HttpService) -> float:
    return msgspec.convert(service.get("/metrics").json["last_message_seconds_ago"], float)


def gauges(service: HttpService, of: str = "") -> dict[str, float]:
    """Every line of the Prometheus page."""
    lines = service.get(f"/metrics/prometheus{of}").text.splitlines()
    pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}


def test_ages_of_a_held_collector_grow_and_what_is_unknown_is_not_told(service: HttpService) -> None:
    assert gauges(service)["data_collector_store_up"] == 1
    with held(service.collector_pid()), looking_on(service) as viewer:
        until(lambda: service.get("/health").status == 503)
        until(lambda: age(service) > ANSWER_TIMEOUT_S)
        until(lambda: gauges(service)["data_collector_last_message_seconds_ago"] > 2 * ANSWER_TIMEOUT_S)

        told = gauges(service)
        assert "data_collector_store_up" not in told
        assert told["data_collector_history_lag_seconds"] > ANSWER_TIMEOUT_S
        assert told["data_collector_outlet_records_max"] == 50_000
        assert told['data_collector_gap_filled_total{channel="trade",source="rest"}'] == 3
        status = msgspec.convert(service.get("/status").json, dict[str, object])
        assert msgspec.convert(status["history"], dict[str, object])["state"] == "down"
        (line,) = msgspec.convert(status["connections"], list[dict[str, object]])
        assert msgspec.convert(line["last_message_seconds_ago"], float) > ANSWER_TIMEOUT_S

        while (state := viewer.first("state")).get("silent_seconds") is None:
            pass
        assert state["stores"] == [
            {"name": "Redis", "up": None, "detail": URL},
            {
                "name": "PostgreSQL",
                "up": None,
                "detail": f"The collector process has not answered for {ANSWER_TIMEOUT_S:g} s.",
            },
        ]
        assert state["buffers"] == []

    until(lambda: service.get("/health").status == 200)
    assert age(service) == 0.01
    assert gauges(service)["data_collector_store_up"] == 1


def test_of_several_only_the_held_one_is_unknown(tmp_path: Path) -> None:
    snapshots = {name: msgspec.structs.replace(WELL, exchange=name) for name in ("binance", "kraken")}
    with running_several(tmp_path, snapshots, REDIS_URL=URL, VAR_DIR=str(tmp_path)) as service:
        until(lambda: service.get("/health").status == 200)
        with held(int((tmp_path / "kraken" / "pid").read_text())):
            until(lambda: service.get("/health").status == 503)

            told = gauges(service)

            assert told['data_collector_store_up{exchange="binance"}'] == 1
            assert 'data_collector_store_up{exchange="kraken"}' not in told
            assert told['data_collector_last_message_seconds_ago{exchange="binance"}'] == 0.01
            assert told['data_collector_last_message_seconds_ago{exchange="kraken"}'] > ANSWER_TIMEOUT_S


def test_questions_about_subscriptions_of_a_held_collector_do_not_queue_up(service: HttpService) -> None:
    """All of them together wait for one answer, and health has the sentence meanwhile."""
    answers: list[Answer] = []
    assert service.get("/subscriptions").status == 200
    with held(service.collector_pid()):
        askers = [threading.Thread(target=lambda: answers.append(service.get("/subscriptions"))) for _ in range(40)]
        for asker in askers:
            asker.start()
        until(lambda: service.get("/health").status == 503)
        assert "has not answered" in str(service.get("/health").json["reasons"])
        for asker in askers:
            asker.join()
        questions = service.questions()
        refused = service.get("/subscriptions")

    assert (refused.status, "has not answered" in refused.text) == (503, True)
    assert {answer.status for answer in answers} <= {200, 503}
    until(lambda: service.get("/health").status == 200)
    assert service.get("/subscriptions").status == 200
    assert service.questions() - questions < 40


def test_held_collector_is_told_while_an_order_to_it_is_under_way(service: HttpService) -> None:
    answers: list[Answer] = []
    assert service.get("/health").status == 200
    with held(service.collector_pid()):
        order = threading.Thread(target=lambda: answers.append(service.control({"action": "start"})))
        order.start()
        until(lambda: service.get("/health").status == 503)
        assert "has not answered" in str(service.get("/health").json["reasons"])
        assert age(service) > ANSWER_TIMEOUT_S
        assert order.is_alive()
    order.join()

    assert [answer.status for answer in answers] == [200]
    assert service.get("/health").status == 200
