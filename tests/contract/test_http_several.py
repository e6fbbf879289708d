"""The routes of a service that collects from several exchanges: what each is about, and what is told of which."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator

import pytest
import redis
from msgspec import structs

from data_collector.client import AsyncClient, Client, Trade, WrongStore
from data_collector.model.gaps import Gap
from data_collector.model.keys import Key
from data_collector.model.status import AuditStatus, RuleStatus, Sample, Snapshot, ValidationStatus
from data_collector.model.subscriptions import ChangeStatus, Present
from data_collector.model.wire import gap_json, trade_json
from tests.contract.http_service import Answer, HttpService, running_several, write_snapshot
from tests.integration.waiting import until
from tests.market import NOON_MS, trade

AT = "2024-01-01T12:30:00.000+00:00"
SYMBOLS = {"binance": ["BTCUSDT", "ETHUSDT"], "coinbase": ["BTC-USD", "ETHUSDT"], "kraken": ["BTC/USD"]}
"""One name is that of a market at two of them."""

PREFIXES = {"binance": "", "coinbase": "coinbase:", "kraken": "kraken:"}
STATES = (
    "/health", "/health/live", "/health/ready", "/metrics", "/metrics/prometheus", "/status", "/validation",
    "/subscriptions",
)  # fmt: skip
OF_A_GAP = ("KRAKEN:btc/usd-trade-2", "kraken%3ABTC%2FUSD-trade-2", "BTC/USD-trade-2?exchange=Kraken")


def snapshots_of(address: str) -> dict[str, Snapshot]:
    """Of the n-th collector, n times what the first has counted."""
    usual = Snapshot(
        condition="healthy", ready=True, collector_running=True, intervals=["1m"], channels=["trade", "ticker"],
        store_url=address, redis_url=address, samples=[Sample("data_collector_store_up", 1)],
    )  # fmt: skip
    found = {}
    for number, (name, symbols) in enumerate(SYMBOLS.items(), start=1):
        rule = RuleStatus(
            "trade", "price_positive", "critical", "The price.", "shipped", gated=True, broken=number,
            broken_in_audit=2 * number,
        )  # fmt: skip
        audit = AuditStatus("running", rows={"trade": number}, waiting=number, next_seconds=float(number))
        suites = {"trade": "same", "kline": name}
        found[name] = structs.replace(
            usual, symbols=symbols, exchange=name, source=f"the market of {name}",
            key_prefix=PREFIXES[name], messages_received=10 * number,
            messages_validated=9 * number, messages_in_flight=number,
            subscriptions=ChangeStatus(present=Present(symbols, ["1m"], ["trade"], [], changed=False)),
            validation=ValidationStatus(suites, [f"a fault of {name}"], [rule], audit),
        )  # fmt: skip
    return found


@pytest.fixture(scope="module")
def one_service(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpService]:
    with running_several(tmp_path_factory.mktemp("http"), snapshots_of(address), REDIS_URL=address) as service:
        until(lambda: service.get("/health/ready").status == 200)
        yield service


@pytest.fixture
def service(one_service: HttpService, store: redis.Redis) -> HttpService:
    """Three trades of each symbol, of which the second is in quarantine and its gap."""
    for number, (name, symbols) in enumerate(SYMBOLS.items()):
        prefix = PREFIXES[name]
        for symbol in symbols:
            for trade_id in (1, 3):
                content = trade_json(trade(trade_id, symbol=symbol), json.dumps(symbol))
                store.xadd(f"{prefix}trades:{symbol}", {"data": content}, id=f"{NOON_MS}-{trade_id}")
            gap = gap_json(Key("trade", symbol), Gap(2, 2, 1, "refused", ()), f"2024-01-01T12:3{number}:00.000+00:00")
            store.xadd(f"{prefix}gaps:{symbol}", {"data": gap})
            store.hset(f"{prefix}latest:{symbol}", mapping={"price": f"{number}.10", "timestamp": AT})
        store.set(f"{prefix}collector:source", f"the market of {name}")
        store.xadd(f"{prefix}quarantine:{symbols[0]}", {"data": "{}", "at": AT, "why": "[]"}, id=f"{number + 1}-0")
        store.xadd(f"{prefix}quarantine:unknown", {"data": name, "at": AT, "why": "[]"}, id=f"{number + 1}-1")
    return one_service


def detail(answer: Answer) -> tuple[int, str]:
    return answer.status, str(answer.json["detail"])


def rows(answer: Answer, name: str) -> list[dict[str, object]]:
    assert answer.status == 200, answer.text
    found: list[dict[str, object]] = json.loads(answer.body)[name]
    return found


EVERY = [(name, symbol) for name, symbols in SYMBOLS.items() for symbol in symbols]
LISTS = [("/latest", "records"), ("/completeness", "symbols"), ("/gaps", "gaps"), ("/validation/errors", "errors")]


@pytest.mark.parametrize(("path", "name"), LISTS)
def test_without_an_exchange_lists_are_of_all_and_each_entry_names_its_own(
    service: HttpService, path: str, name: str
) -> None:
    told = [(row["exchange"], row["symbol"]) for row in rows(service.get(path), name)]

    if name == "errors":
        first = [(exchange, symbol) for exchange, (symbol, *_) in SYMBOLS.items()]
        assert told == [pair for e, s in reversed(first) for pair in ((e, "unknown"), (e, s))], "newest first"
    else:
        assert sorted(told) == sorted(EVERY)


@pytest.mark.parametrize(("path", "name"), LISTS)
def test_with_an_exchange_lists_are_as_where_it_is_alone(service: HttpService, path: str, name: str) -> None:
    for exchange in ("kraken", "KRAKEN"):
        found = rows(service.get(f"{path}?exchange={exchange}"), name)
        assert {row["symbol"] for row in found} <= {"BTC/USD", "unknown"}
        assert found
        assert not any("exchange" in row for row in found)
        assert all(str(row["id"])[:6] != "kraken" for row in found if "id" in row)


def test_pages_of_completeness_go_through_all(service: HttpService) -> None:
    """Two exchanges have a symbol of the same name."""
    more, told = "", []
    while True:
        page = service.get(f"/completeness?limit=1{more}")
        told += [(row["exchange"], row["symbol"]) for row in rows(page, "symbols")]
        if page.json["next_cursor"] is None:
            break
        more = f"&cursor={page.json['next_cursor']}"

    assert told == EVERY
    assert detail(service.get("/completeness?cursor=kraken:BTC/USD&exchange=kraken"))[0] == 422


def test_ids_of_gaps_lead_to_them(service: HttpService) -> None:
    found = rows(service.get("/gaps"), "gaps")

    assert [row["exchange"] for row in found] == ["kraken", *["coinbase"] * 2, *["binance"] * 2], "newest first"
    for row in found:
        story = service.get(f"/gaps/{row['id']}")
        assert story.status == 200, row["id"]
    ids = {str(row["id"]) for row in found}
    assert {"BTCUSDT-trade-2", "kraken:BTC%2FUSD-trade-2", "coinbase:ETHUSDT-trade-2"} <= ids
    assert [row["id"] for row in rows(service.get("/gaps?limit=1"), "gaps")] == ["kraken:BTC%2FUSD-trade-2"]


@pytest.mark.parametrize("gap_id", OF_A_GAP)
def test_gap_is_found_by_either_name_in_any_case(service: HttpService, gap_id: str) -> None:
    assert service.get(f"/gaps/{gap_id}").status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/trades/{}", "/klines/{}", "/latest/{}", "/gaps/{}-trade-2", "/completeness?symbol={}", "/gaps?symbol={}",
        "/validation/errors?symbol={}",
    ],
)  # fmt: skip
def test_each_route_knows_the_exchange_of_a_symbol_or_says_what_is_wrong(service: HttpService, path: str) -> None:
    with_exchange = "&" if "?" in path else "?"

    for name in ("kraken:BTC/USD", "Kraken:btc%2Fusd", "binance:btcusdt", "coinbase:ETHUSDT"):
        assert service.get(path.format(name)).status == 200, name
    assert detail(service.get(path.format("mtgox:BTC/USD"))) == (
        404, "mtgox is not collected here; these are: binance, coinbase, kraken.",
    )  # fmt: skip
    assert detail(service.get(f"{path.format('kraken:BTC/USD')}{with_exchange}exchange=binance")) == (
        422, "The request names binance and kraken: name one exchange.",
    )  # fmt: skip
    assert service.get(f"{path.format('kraken:BTC/USD')}{with_exchange}exchange=KRAKEN").status == 200
    if "trade-2" not in path:
        status, sentence = detail(service.get(path.format("BTC/USD")))
        assert (status, "kraken:BTC/USD" in sentence) == (404, True), sentence


def test_symbol_that_two_exchanges_have_is_the_first_ones_without_a_name(service: HttpService) -> None:
    found = {name: service.get(f"/latest/{name}ETHUSDT").json["price"] for name in ("", "binance:", "coinbase:")}

    assert found == {"": 0.1, "binance:": 0.1, "coinbase:": 1.1}
    assert service.get("/trades/ETHUSDT?exchange=coinbase").headers["Link"] is None


@pytest.mark.parametrize("path", STATES)
def test_two_exchanges_in_one_question_are_refused(service: HttpService, path: str) -> None:
    assert service.get(f"{path}?exchange=binance&exchange=kraken").status == 422
    assert service.get(f"{path}?exchange=mtgox").status == 404
    assert service.get(f"{path}?exchange=KRAKEN").status == 200


def test_validation_is_of_all_and_of_each(service: HttpService) -> None:
    whole, one = service.get("/validation").json, service.get("/validation?exchange=coinbase").json

    assert whole["suites"] == {
        "trade": "same", "kline": "binance", "coinbase:kline": "coinbase", "kraken:kline": "kraken",
    }  # fmt: skip
    assert whole["faults"] == [f"{name}: a fault of {name}" for name in SYMBOLS]
    (rule,) = rows(service.get("/validation"), "rules")
    assert (rule["broken"], rule["broken_in_audit"]) == (6, 12)
    audit = whole["audit"]
    assert isinstance(audit, dict)
    assert (audit["rows"], audit["waiting"], audit["next_seconds"]) == ({"trade": 6}, 6, 1.0)
    each = whole["exchanges"]
    assert isinstance(each, dict)
    assert list(each) == list(SYMBOLS)
    assert each["coinbase"] == one
    assert "exchanges" not in one


def counters(service: HttpService) -> tuple[int, ...]:
    """Received, validated, refused, in flight."""
    text = service.get("/metrics/prometheus").text
    (total,) = (line for line in text.splitlines() if line.startswith("data_collector_messages_received_total"))
    metrics = service.get("/metrics").json
    names = ("messages_received", "messages_validated", "validation_errors", "messages_in_flight")
    found = tuple(int(str(metrics[name])) for name in names)
    assert found[0] == sum(found[1:])
    assert int(float(total.split()[1])) <= found[0], "it never falls"
    return found


def test_counters_do_not_fall_when_a_collector_ends_with_messages_in_flight(service: HttpService, address: str) -> None:
    """It is started again, counts from nothing, and receives what it had lost."""
    folder, usual = service.folder / "kraken", snapshots_of(address)["kraken"]
    before = counters(service)
    assert before == (60, 54, 0, 6)
    begun = structs.replace(usual, messages_received=0, messages_validated=0, messages_in_flight=0)
    write_snapshot(folder, begun)
    pid = int((folder / "pid").read_text())

    os.kill(pid, signal.SIGKILL)

    until(lambda: service.get("/health?exchange=kraken").status == 503)
    assert counters(service) == before
    assert 'data_collector_health{exchange="kraken",status="unhealthy"} 1.0' in service.get("/metrics/prometheus").text
    until(lambda: service.get("/health").status == 200 and int((folder / "pid").read_text()) != pid)
    assert counters(service) == before
    write_snapshot(folder, structs.replace(begun, messages_received=2, messages_validated=1, messages_in_flight=1))
    until(lambda: counters(service) == (60, 55, 0, 5))
    write_snapshot(folder, structs.replace(begun, messages_received=9, messages_validated=7, validation_errors=2))
    until(lambda: counters(service) == (66, 61, 2, 3))
    write_snapshot(folder, usual)


def test_metrics_name_the_exchange_and_a_collector_that_has_ended_leaves_its_health_alone(
    service: HttpService, address: str
) -> None:
    def told() -> dict[str, float]:
        lines = service.get("/metrics/prometheus").text.splitlines()
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}

    folder = service.folder / "kraken"
    assert told()['data_collector_exchange_messages_received_total{exchange="coinbase"}'] == 20
    assert told()['data_collector_store_up{exchange="kraken"}'] == 1
    (folder / "exit").write_text("70")
    os.kill(int((folder / "pid").read_text()), signal.SIGKILL)

    until(lambda: 'data_collector_store_up{exchange="kraken"}' not in told())
    page = told()
    assert page['data_collector_health{exchange="kraken",status="unhealthy"}'] == 1
    assert page['data_collector_health{exchange="coinbase",status="unhealthy"}'] == 0
    assert page['data_collector_store_up{exchange="coinbase"}'] == 1
    whole, one = service.get("/health"), service.get("/health?exchange=kraken")
    assert (whole.status, one.status) == (503, 503)
    reasons = whole.json["reasons"]
    assert isinstance(reasons, list)
    assert all(reason.startswith("kraken: The collector process has ended") for reason in reasons)
    assert service.get("/trades/kraken:BTC/USD").json["count"] == 2, "the store has them"
    assert service.get("/completeness?exchange=kraken").status == 200
    for answer in (
        service.get("/subscriptions?exchange=kraken"),
        service.control({"action": "stop", "exchange": "kraken"}),
    ):
        assert detail(answer)[0] == 503
        assert "has ended with exit code" in detail(answer)[1]

    (folder / "exit").unlink()
    until(lambda: service.get("/health").json["reasons"] == ["kraken: stopped by operator"])
    assert service.control({"action": "start", "exchange": "kraken"}).status == 200
    assert service.get("/health").json["reasons"] == []


@pytest.mark.parametrize(
    ("exchange", "symbol"), [("kraken", "BTC/USD"), ("coinbase", "ETHUSDT"), ("binance", "ETHUSDT")]
)
async def test_client_reads_each_exchange_through_the_one_service(
    service: HttpService, address: str, exchange: str, symbol: str
) -> None:
    """History by HTTP was refused for all but the first, as of another collector."""
    with Client(address, api=service.url, database="") as client:
        found = [item.trade_id for item in client.trades(f"{exchange}:{symbol}").read() if isinstance(item, Trade)]
        assert found == [1, 3]
        with client.live(f"{exchange}:{symbol}:trades", start="earliest") as live:
            assert next(iter(live)) is not None
    with Client(address, api=service.url, database="", exchange=exchange) as client:
        assert symbol in client.symbols()
    async with AsyncClient(address, api=service.url, database="", exchange=exchange) as asking:
        assert await asking.symbols()


def test_client_of_an_exchange_that_is_not_collected_is_told_of_those_that_are(
    service: HttpService, address: str
) -> None:
    sentence = "collects binance, coinbase, kraken, and the client was asked for mtgox"
    with (
        Client(address, api=service.url, database="", exchange="mtgox") as client,
        pytest.raises(WrongStore, match=sentence),
    ):
        client.trades("BTCUSD").read()


def test_orders_name_their_exchange_once_and_the_answer_tells_it(service: HttpService) -> None:
    json_body = {"Content-Type": "application/json"}

    def put(path: str, body: object) -> Answer:
        return service.request("PUT", path, headers=json_body, body=json.dumps(body).encode())

    stop = {"action": "stop", "exchange": "Kraken"}
    assert service.control(stop).json == {"status": "stopped", "exchange": "kraken"}
    assert service.get("/health").json["reasons"] == ["kraken: stopped by operator"]
    assert service.control({"action": "start", "exchange": "kraken"}).json["exchange"] == "kraken"
    assert service.control({"action": "start"}).json == {"status": "started", "exchange": "binance"}
    for answer in (
        service.request("POST", "/control?exchange=binance", headers=json_body, body=json.dumps(stop).encode()),
        put("/subscriptions?exchange=binance", {"symbols": ["BTC/USD"], "exchange": "kraken"}),
    ):
        assert detail(answer) == (422, "The request names binance and kraken: name one exchange.")
    assert detail(put("/subscriptions", {"symbols": ["BTC"], "exchange": "mtgox"}))[0] == 404
    assert service.get("/subscriptions?exchange=coinbase").json["exchange"] == "coinbase"
    assert service.get("/subscriptions").json["exchange"] == "binance"
