"""GET /live against a real store: what viewers are told, and what they cannot do."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
import redis

from data_collector.api.live.feed import VIEWERS_MAX
from data_collector.model.records import Kline
from data_collector.model.status import SIMULATED_MARKET, Sample, Snapshot
from data_collector.model.wire import kline_json, trade_json
from tests.contract.event_stream import looking_on
from tests.contract.http_service import SERVE, HttpService, running, write_snapshot
from tests.integration.waiting import until
from tests.market import MINUTE_MS, NOON_MS, SYMBOL, kline, trade

pytestmark = pytest.mark.parametrize("store_address", ["valkey"], indirect=True, scope="session")
"""The commands are those of other readers, which are tested on every server."""

SYMBOLS = [SYMBOL, "ETHUSDT"]
AT = "2024-01-01T12:00:00.123+00:00"


def snapshot_of(address: str) -> Snapshot:
    return Snapshot(
        condition="healthy", collector_running=True, symbols=SYMBOLS, intervals=["1m", "5m"], store_url=address,
        redis_url="unix://:secret@here", samples=[Sample("data_collector_store_up", 1.0)],
    )  # fmt: skip


@pytest.fixture(scope="module")
def one_service(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpService]:
    with running(tmp_path_factory.mktemp("http"), snapshot_of(address)) as service:
        yield service


@pytest.fixture
def service(one_service: HttpService, store: redis.Redis, address: str) -> HttpService:
    write_snapshot(one_service.folder, snapshot_of(address))
    # A viewer of the test before may not have been missed yet.
    until(lambda: "data_collector_live_viewers 0.0" in one_service.get("/metrics/prometheus").text)
    return one_service


def put_price(store: redis.Redis, price: str, symbol: str = SYMBOL) -> None:
    store.hset(
        f"latest:{symbol}",
        mapping={
            "price": price,
            "volume": "12.50",
            "price_change_percent": "-0.3",
            "timestamp": AT,
        },
    )


def put_trades(store: redis.Redis, *ids: int) -> None:
    pipeline = store.pipeline()
    for trade_id in ids:
        content = trade_json(trade(trade_id, symbol=SYMBOL), json.dumps(SYMBOL))
        pipeline.xadd(f"trades:{SYMBOL}", {"data": content}, id=f"{NOON_MS}-{trade_id}")
    pipeline.execute()


def put_kline(store: redis.Redis, record: Kline) -> None:
    store.xadd(f"stream:{SYMBOL}", {"data": kline_json(record, json.dumps(SYMBOL))})


def test_hello_comes_first_and_says_what_is_collected(service: HttpService) -> None:
    with looking_on(service) as viewer:
        event = viewer.next()

    assert viewer.status == 200
    assert viewer.response.headers["Content-Type"].startswith("text/event-stream")
    assert viewer.response.headers["Cache-Control"] == "no-store"
    assert viewer.lines[0] == "retry: 2000"
    assert event.name == "hello"
    assert event.data["symbols"] == SYMBOLS
    assert (event.data["intervals"], event.data["control"]) == (["1m", "5m"], "open")
    assert (event.data["simulated"], event.data["address"]) == (False, None)


def test_hello_says_that_the_market_of_a_demo_is_simulated(service: HttpService, address: str) -> None:
    snapshot = snapshot_of(address)
    snapshot.source = f"{SIMULATED_MARKET} 1704110400000"
    with looking_on(service) as viewer:
        assert viewer.first("hello")["simulated"] is False
        write_snapshot(service.folder, snapshot)
        assert viewer.first("hello")["simulated"] is True


def test_prices_come_whole_and_then_as_they_change(service: HttpService, store: redis.Redis) -> None:
    put_price(store, "45180.50")
    put_price(store, "0.00000100", "ETHUSDT")
    with looking_on(service) as viewer:
        first = viewer.first("prices")
        put_price(store, "45181.00000000")
        second = viewer.first("prices")

    assert first["rows"] == [
        [SYMBOL, "45180.50", "-0.3", "12.50", NOON_MS + 123],
        ["ETHUSDT", "0.00000100", "-0.3", "12.50", NOON_MS + 123],
    ]
    assert second["rows"] == [[SYMBOL, "45181.00000000", "-0.3", "12.50", NOON_MS + 123]]


def test_state_says_what_the_endpoints_say_without_secrets(service: HttpService) -> None:
    with looking_on(service) as viewer:
        state = viewer.first("state")

    assert state["health"] == service.get("/health").json
    assert state["metrics"] == service.get("/metrics").json
    assert state["stores"] == [
        {"name": "Redis", "up": True, "detail": "unix://:***@here"},
        {"name": "PostgreSQL", "up": None, "detail": "not used: DATABASE_URL is not set"},
    ]
    assert "secret" not in "".join(viewer.lines)


def test_completeness_counts_in_the_store(service: HttpService, store: redis.Redis) -> None:
    put_trades(store, 100, 101, 103)
    with looking_on(service) as viewer:
        found = viewer.first("completeness")

    assert found["rows"] == [
        [SYMBOL, 75.0, False, 3, 4, 0, 0, 0],
        ["ETHUSDT", None, False, 0, 0, 0, 0, 0],
    ]


def test_focus_brings_its_candles_and_trades(service: HttpService, store: redis.Redis) -> None:
    put_trades(store, *range(1, 81))
    put_kline(store, kline(interval="5m"))
    put_kline(store, kline())
    with looking_on(service, f"symbol={SYMBOL.lower()}&interval=1m") as viewer:
        candle = viewer.first("candle")
        tape = viewer.first("tape")
        put_kline(store, kline(1, closed=False))
        put_trades(store, 81)
        following = viewer.first("candle")
        newer = viewer.first("tape")

    assert (candle["time"], candle["interval"], candle["closed"]) == (NOON_MS, "1m", True)
    assert [row[0] for row in rows(tape)] == list(range(31, 81))
    assert (following["time"], following["closed"]) == (NOON_MS + MINUTE_MS, False)
    assert ([row[0] for row in rows(newer)], newer["left_out"]) == ([81], 0)


def test_burst_leaves_out_the_oldest_trades_and_says_how_many(service: HttpService, store: redis.Redis) -> None:
    put_trades(store, 1)
    with looking_on(service, f"symbol={SYMBOL}") as viewer:
        viewer.first("tape")
        put_trades(store, *range(2, 202))
        tape = viewer.first("tape")

    assert [row[0] for row in rows(tape)] == list(range(152, 202))
    assert tape["left_out"] == 150


def test_second_viewer_of_a_focus_gets_what_the_first_has_seen(service: HttpService, store: redis.Redis) -> None:
    put_trades(store, 1, 2)
    with looking_on(service, f"symbol={SYMBOL}") as viewer:
        viewer.first("tape")
        with looking_on(service, f"symbol={SYMBOL}") as second:
            assert [row[0] for row in rows(second.first("tape"))] == [1, 2]


def test_focus_brings_the_best_bid_and_offer_where_there_are_quotes(service: HttpService, store: redis.Redis) -> None:
    best = {"bid": "25.35190000", "bid_quantity": "31.2", "ask": "25.36520000", "ask_quantity": "40.66"}
    for name, text in (best | {"update_id": "7", "timestamp": AT}).items():
        store.hset(f"quote:{SYMBOL}", name, text)
    with looking_on(service, f"symbol={SYMBOL}") as viewer:
        first = viewer.first("quote")
        with looking_on(service, f"symbol={SYMBOL}") as second:
            assert second.first("quote") == first
        store.hset(f"quote:{SYMBOL}", "bid", "25.36000000")
        newer = viewer.first("quote")

    assert first == {"symbol": SYMBOL, **best}
    assert newer == {"symbol": SYMBOL, **best, "bid": "25.36000000"}


def test_focus_brings_the_statistics_of_24_hours(service: HttpService, store: redis.Redis) -> None:
    """What the exchange does not tell is null, whether the field is missing or empty."""
    put_price(store, "45180.50")
    with looking_on(service, f"symbol={SYMBOL}") as viewer:
        viewer.first("prices")
        store.hset(f"latest:{SYMBOL}", mapping={"high_price": "45300.10", "low_price": "", "bid_price": "45180.49"})
        first = viewer.first("ticker")
        with looking_on(service, f"symbol={SYMBOL}") as second:
            assert second.first("ticker") == first
        store.hset(f"latest:{SYMBOL}", "ask_price", "45180.50")
        newer = viewer.first("ticker")

    told = {"symbol": SYMBOL, "high": "45300.10", "low": None, "quote_volume": None, "bid": "45180.49", "ask": None}
    assert first == told
    assert newer == {**told, "ask": "45180.50"}


def test_store_that_cannot_be_read_leaves_the_state(service: HttpService, tmp_path: object) -> None:
    write_snapshot(service.folder, snapshot_of("unix:///nowhere/s"))
    with looking_on(service) as viewer:
        for _ in range(2):
            assert viewer.first("state")["health"]


def test_key_of_another_type_keeps_nobody_elses_prices_nor_counts_back(
    service: HttpService, store: redis.Redis
) -> None:
    """`SET trades:BTCUSDT mine`: the last counts stood there as if they were new, and prices came once a second."""
    store.set(f"trades:{SYMBOL}", "mine")
    record = trade_json(trade(7, symbol="ETHUSDT"), json.dumps("ETHUSDT"))
    store.xadd("trades:ETHUSDT", {"data": record}, id=f"{NOON_MS}-7")
    put_price(store, "1")
    with ExitStack() as stack:
        foreign = stack.enter_context(looking_on(service, f"symbol={SYMBOL}&interval=1m"))
        other = stack.enter_context(looking_on(service, "symbol=ETHUSDT&interval=1m"))
        counted = {row[0]: row[1:3] for row in rows(foreign.first("completeness"))}
        seen = other.first("tape")

    assert counted == {SYMBOL: [0.0, False], "ETHUSDT": [100.0, True]}
    assert [row[0] for row in rows(seen)] == [7]


def test_unknown_symbol_or_interval_is_refused(service: HttpService) -> None:
    for query, said in (("symbol=XRPUSDT", "XRPUSDT is not collected"), (f"symbol={SYMBOL}&interval=3d", "3d")):
        answer = service.get(f"/live?{query}")
        assert answer.status == 404
        assert said in str(answer.json["detail"])


@pytest.mark.parametrize(
    ("headers", "reason"),
    [({"Host": "evil.example"}, "host"), ({"Origin": "http://evil.example"}, "origin"),
     ({"Sec_Fetch_Site": "cross-site"}, "origin")],
)  # fmt: skip
def test_pages_of_others_may_not_look_on(service: HttpService, headers: dict[str, str], reason: str) -> None:
    answer = service.get("/live", **headers)

    assert answer.status == 403
    assert f'data_collector_api_rejected_total{{reason="{reason}"}}' in service.get("/metrics/prometheus").text


def test_viewers_are_bounded_and_leave_room_for_health(service: HttpService) -> None:
    with ExitStack() as viewers:
        for _ in range(VIEWERS_MAX):
            assert viewers.enter_context(looking_on(service)).next().name == "hello"

        refused = service.get("/live")

        assert refused.status == 503
        assert refused.headers["Retry-After"] == "10"
        assert service.get("/health").status == 200


def test_head_is_answered_at_once_and_takes_no_place(service: HttpService) -> None:
    answers = [service.request("HEAD", f"/live?symbol={SYMBOL}") for _ in range(VIEWERS_MAX + 1)]

    assert {(answer.status, answer.body) for answer in answers} == {(200, b"")}


def test_viewer_that_does_not_read_holds_nobody_up(service: HttpService, store: redis.Redis) -> None:
    place = urlsplit(service.url)
    with socket.create_connection((str(place.hostname), place.port)) as sleeper:
        sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        sleeper.sendall(b"GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        with looking_on(service) as viewer:
            for price in range(1, 6):
                put_price(store, f"{price}.5")
                while not any(row[1] == f"{price}.5" for row in rows(viewer.first("prices"))):
                    pass


def test_streams_end_with_the_service(address: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    with running(tmp_path_factory.mktemp("http"), snapshot_of(address)) as service, looking_on(service) as viewer:
        viewer.next()

        os.kill(service.process.pid, signal.SIGTERM)

        assert viewer.ends()
        assert service.process.wait(20) == 0


def rows(data: dict[str, object]) -> list[list[object]]:
    found = data["rows"] if "rows" in data else data["trades"]
    assert isinstance(found, list)
    return found


def test_count_of_a_store_that_cannot_be_read_any_more_proves_nothing(
    store: redis.Redis, address: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The collector's own connections go on: it calls itself healthy."""
    impatient = "from data_collector.api.live import feed\nfeed.UNREAD_S, feed.COMPLETENESS_EVERY_S = 0.5, 0.2\n"
    put_trades(store, 1, 2, 3)
    with (
        running(tmp_path_factory.mktemp("http"), snapshot_of(address), script=impatient + SERVE) as service,
        looking_on(service) as viewer,
    ):
        assert rows(viewer.first("completeness"))[0][:4] == [SYMBOL, 100.0, True, 3]
        write_snapshot(service.folder, snapshot_of("unix:///nowhere/s"))
        while (row := rows(viewer.first("completeness"))[0])[2]:
            pass
        assert row[:4] == [SYMBOL, 100.0, False, 3]
        while "has not been able to read the store for" not in str(health := viewer.first("state")["health"]):
            pass
        assert '"degraded"' in json.dumps(health)
        with looking_on(service) as later:
            assert not rows(later.first("completeness"))[0][2]


def test_receiver_of_alerts_that_takes_nothing_is_told_on_the_page_as_in_health(
    address: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    failing = 'from data_collector.api import alerting\nalerting.Alerting.reasons = ["alerts: receiver 1 is down"]\n'
    with (
        running(tmp_path_factory.mktemp("http"), snapshot_of(address), script=failing + SERVE) as service,
        looking_on(service) as viewer,
    ):
        told = viewer.first("state")["health"]

        assert "alerts: receiver 1 is down" in json.dumps(told)
        assert "alerts: receiver 1 is down" in service.get("/health").text
