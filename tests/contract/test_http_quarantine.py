"""GET /validation/errors against a real store, with entries as the collector writes them."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from data_collector.embedded.binary import server_binary
from data_collector.model.status import Snapshot
from tests.contract.http_service import HttpService, running
from tests.integration.waiting import until

PASSWORD = "canary#/@: é"
WHY = json.dumps([{"rule": "price_sign", "message": "The price is not above zero."}])
RECORD = (
    '{"symbol": "BTCUSDT", "timestamp": "2024-01-01T12:00:00.123+00:00", "trade_id": 1,'
    ' "price": -123456789012.12345678, "quantity": 0.12300000}'
)
FRAME = '{"stream":"btcusdt@kline_1m","data":{"e":"kline","k":{"<img src=x onerror=alert(1)>":1}}}'
SYMBOLS = ["BTCUSDT", "ETHUSDT"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[redis.Redis]:
    folder = tmp_path_factory.mktemp("store")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [str(server_binary()), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with subprocess.Popen([*command, "--requirepass", PASSWORD], stdout=subprocess.DEVNULL) as server:
        client = redis.Redis(port=port, password=PASSWORD)

        def answers() -> bool:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False

        try:
            until(answers)
            yield client
        finally:
            client.close()
            server.terminate()


@pytest.fixture(scope="module")
def one_service(store: redis.Redis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpService]:
    port = store.connection_pool.connection_kwargs["port"]
    snapshot = Snapshot(
        condition="healthy",
        collector_running=True,
        symbols=SYMBOLS,
        store_url=f"redis://:canary%23%2F%40%3A%20%C3%A9@127.0.0.1:{port}/0",
        redis_url=f"redis://:***@127.0.0.1:{port}/0",
    )
    with running(tmp_path_factory.mktemp("http"), snapshot) as service:
        yield service


@pytest.fixture
def service(one_service: HttpService, store: redis.Redis) -> HttpService:
    store.flushall()
    return one_service


def refuse(store: redis.Redis, symbol: str, number: int, content: str = RECORD) -> None:
    at = f"2024-01-01T12:00:{number % 60:02d}+00:00"
    store.xadd(f"quarantine:{symbol}", {"data": content, "why": WHY, "at": at}, id=f"{number}-0")


def test_nothing_refused_is_an_empty_page(service: HttpService) -> None:
    assert service.get("/validation/errors").json == {"count": 0, "errors": []}


def test_record_keeps_its_digits_and_a_frame_stays_text(service: HttpService, store: redis.Redis) -> None:
    refuse(store, "BTCUSDT", 1)
    refuse(store, "unknown", 2, FRAME)

    answer = service.get("/validation/errors")

    assert answer.json == {
        "count": 2,
        "errors": [
            {
                "symbol": "unknown",
                "id": "2-0",
                "at": "2024-01-01T12:00:02+00:00",
                "reasons": json.loads(WHY),
                "record": None,
                "frame": FRAME,
            },
            {
                "symbol": "BTCUSDT",
                "id": "1-0",
                "at": "2024-01-01T12:00:01+00:00",
                "reasons": json.loads(WHY),
                "record": json.loads(RECORD),
                "frame": None,
            },
        ],
    }
    assert f'"record":{RECORD}' in answer.text
    assert answer.headers["Content-Type"] == "application/json"


def test_newest_of_all_symbols_come_first_across_pages(service: HttpService, store: redis.Redis) -> None:
    # More than one page of each stream, interleaved in runs, so that streams are asked again in the middle.
    places = [(number, (*SYMBOLS, "unknown")[number // 40 % 3]) for number in range(1, 401)]
    for number, symbol in places:
        refuse(store, symbol, number)

    everything = service.get("/validation/errors?limit=1000").json
    page = service.get("/validation/errors?limit=150").json
    default = service.get("/validation/errors").json

    errors = everything["errors"]
    assert isinstance(errors, list)
    assert [(int(e["id"][:-2]), e["symbol"]) for e in errors] == places[::-1]
    assert page == {"count": 150, "errors": errors[:150]}
    assert default["count"] == 50


def test_one_symbol_can_be_asked_for_in_any_case(service: HttpService, store: redis.Redis) -> None:
    refuse(store, "ETHUSDT", 1)
    refuse(store, "BTCUSDT", 2)

    assert [service.get(f"/validation/errors?symbol={s}").json["count"] for s in ("ethusdt", "unknown", "X")] == [
        1,
        0,
        0,
    ]


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "symbol=", "symbol=a%20b", "symbol=" + "x" * 65])
def test_impossible_questions_are_422_and_name_the_parameter(service: HttpService, query: str) -> None:
    answer = service.get(f"/validation/errors?{query}")

    assert answer.status == 422
    assert query.partition("=")[0] in str(answer.json["detail"])


def test_entries_of_another_shape_are_shown_and_do_no_harm(service: HttpService, store: redis.Redis) -> None:
    store.xadd("quarantine:BTCUSDT", {"data": b"\xff\xfe not text", "why": "no JSON"}, id="1-0")
    store.xadd("quarantine:BTCUSDT", {"other": "1"}, id="2-0")
    store.xadd("quarantine:ETHUSDT", {"data": "[" * 4000, "why": WHY, "at": ""}, id="3-0")

    answer = service.get("/validation/errors")

    assert answer.status == 200
    assert answer.json["count"] == 3
    assert "unreadable" in answer.text


def test_a_key_of_another_type_is_told_without_secrets(service: HttpService, store: redis.Redis) -> None:
    store.set("quarantine:BTCUSDT", "a string")

    answer = service.get("/validation/errors")

    assert answer.status == 503
    assert "WRONGTYPE" in str(answer.json["detail"])
    assert "canary" not in answer.text + str(answer.headers) + Path(service.folder / "stderr").read_text()
