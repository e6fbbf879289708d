"""Several exchanges under one HTTP process: what `/live` tells of each, and what `/spread` makes of their prices."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest
import redis
from msgspec import structs

from data_collector.api.live.feed import VIEWERS_MAX
from data_collector.model.keys import Channel
from data_collector.model.status import Snapshot
from data_collector.model.wire import trade_json
from tests.contract.event_stream import EventClient, looking_on
from tests.contract.http_service import HttpService, running_several, write_snapshot
from tests.integration.waiting import until
from tests.market import trade

pytestmark = pytest.mark.parametrize("store_address", ["valkey"], indirect=True, scope="session")
"""The commands are those of other readers, which are tested on every server."""

SYMBOLS = {"binance": ["BTCUSDT", "BTCUSD"], "kraken": ["BTC/USD", "ETH/USD"], "coinbase": ["BTC-USD"]}
PREFIXES = {"binance": "", "kraken": "kraken:", "coinbase": "coinbase:"}
CHANNELS: list[Channel] = ["trade", "ticker"]


def snapshot_of(exchange: str, address: str) -> Snapshot:
    return Snapshot(
        condition="healthy", collector_running=True, symbols=SYMBOLS[exchange], intervals=["1m"], channels=CHANNELS,
        store_url=address, exchange=exchange, key_prefix=PREFIXES[exchange],
    )  # fmt: skip


@pytest.fixture(scope="module")
def one_service(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpService]:
    snapshots = {exchange: snapshot_of(exchange, address) for exchange in SYMBOLS}
    folder = tmp_path_factory.mktemp("several")
    with running_several(folder, snapshots, REDIS_URL=address, VAR_DIR=str(folder / "var")) as service:
        until(lambda: service.get("/health").json["status"] == "healthy", "three collectors")
        yield service


@pytest.fixture
def service(one_service: HttpService, store: redis.Redis, address: str) -> HttpService:
    for exchange in SYMBOLS:
        write_snapshot(one_service.folder / exchange, snapshot_of(exchange, address))
    # A viewer of the test before may not have been missed yet.
    until(lambda: one_service.get("/metrics/prometheus").text.count("data_collector_live_viewers{") == 3)
    return one_service


def put_latest(store: redis.Redis, key: str, price: str, age_s: float = 0.0, **more: str) -> None:
    """As the collector writes it; `age_s` is of the price."""
    for name, text in ({"price": price, "timestamp": before(age_s), "volume": "1.5"} | more).items():
        store.hset(key, name, text)


def before(age_s: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=age_s)).isoformat(timespec="milliseconds")


def ms_before(age_s: float) -> str:
    return str(round((datetime.now(UTC).timestamp() - age_s) * 1000))


def events_of(viewer: EventClient, count: int) -> list[tuple[str, object]]:
    """Name and exchange of the next ones."""
    found = []
    for _ in range(count):
        event = viewer.next()
        found.append((event.name, event.data["exchange"]))
    return found


def spread(service: HttpService, query: str = "base=btc&quote=usd") -> dict[str, dict[str, object]]:
    """Its rows by symbol."""
    answer = service.get(f"/spread?{query}")
    assert answer.status == 200, answer.text
    rows = json.loads(answer.text, parse_float=str)["rows"]
    return {row["symbol"]: row for row in rows}


def test_one_connection_tells_of_all_and_every_event_of_which(service: HttpService, store: redis.Redis) -> None:
    put_latest(store, "latest:BTCUSDT", "45180.50")
    put_latest(store, "kraken:latest:BTC/USD", "45181.1")
    with looking_on(service) as viewer:
        hellos = [viewer.first("hello") for _ in SYMBOLS]
        told = set(events_of(viewer, 12))

    assert [(hello["exchange"], hello["symbols"]) for hello in hellos] == list(SYMBOLS.items())
    assert all(hello["exchanges"] == list(SYMBOLS) for hello in hellos)
    assert told >= {("state", exchange) for exchange in SYMBOLS} | {("prices", "binance"), ("prices", "kraken")}


def test_connection_of_one_exchange_tells_of_no_other(service: HttpService, store: redis.Redis) -> None:
    put_latest(store, "latest:BTCUSDT", "45180.50")
    put_latest(store, "kraken:latest:BTC/USD", "45181.1")
    with looking_on(service, "exchange=kraken") as viewer:
        prices = viewer.first("prices")
        others = {exchange for _, exchange in events_of(viewer, 6)}

    assert prices["exchange"] == "kraken"
    assert str(prices["rows"]).startswith("[['BTC/USD', '45181.1'")
    assert others == {"kraken"}


def test_symbol_with_its_exchange_brings_its_trades_on_the_connection_of_all(
    service: HttpService, store: redis.Redis
) -> None:
    for number in (7, 8):
        content = trade_json(trade(number, symbol="BTC/USD"), json.dumps("BTC/USD"))
        store.xadd("kraken:trades:BTC/USD", {"data": content}, id=f"{ms_before(1)}-{number}")
    with looking_on(service, "symbol=kraken:BTC/USD&interval=1m") as viewer:
        tape = viewer.first("tape")
        told = {exchange for _, exchange in events_of(viewer, 9)}
    assert (tape["exchange"], tape["symbol"]) == ("kraken", "BTC/USD")
    assert told == set(SYMBOLS)
    assert service.get("/live?symbol=kraken:BTCUSDT").status == 404
    assert service.get("/live?symbol=kraken:BTC/USD&exchange=binance").status == 422


def test_viewers_of_all_exchanges_share_the_places(service: HttpService) -> None:
    with ExitStack() as viewers:
        for number in range(VIEWERS_MAX):
            query = f"exchange={list(SYMBOLS)[number % 3]}"
            assert viewers.enter_context(looking_on(service, query)).next().name == "hello"

        assert service.get("/live?exchange=kraken").status == 503
        assert service.get("/health").status == 200


def test_spread_is_of_the_first_that_is_fresh_with_the_digits_of_each(service: HttpService, store: redis.Redis) -> None:
    put_latest(store, "latest:BTCUSD", "45000.10000000", bid_price="45000.00000000", event_ms=ms_before(2))
    put_latest(store, "kraken:latest:BTC/USD", "45004.5")
    put_latest(store, "coinbase:latest:BTC-USD", "44995.59")

    page = service.get("/spread?base=BTC&quote=USD")
    rows = spread(service)

    assert list(rows) == ["BTCUSD", "BTC/USD", "BTC-USD"]
    assert (page.json["reference"], page.json["reference_symbol"]) == ("binance", "BTCUSD")
    assert [row["last"] for row in rows.values()] == ["45000.10000000", "45004.5", "44995.59"]
    assert [row["difference_bp"] for row in rows.values()] == ["0.0", "0.98", "-1.0"]
    assert (rows["BTCUSD"]["bid"], rows["BTCUSD"]["ask"]) == ("45000.00000000", None)
    assert 2 <= float(str(rows["BTCUSD"]["quoted_seconds_ago"])) < 60
    assert rows["BTC/USD"]["quoted_seconds_ago"] is None


@pytest.mark.parametrize("age_s", [31.0, -31.0], ids=["old", "ahead of our clock"])
def test_price_of_another_time_is_stale_and_no_reference(
    service: HttpService, store: redis.Redis, age_s: float
) -> None:
    put_latest(store, "latest:BTCUSD", "45000.1", age_s)
    put_latest(store, "kraken:latest:BTC/USD", "45004.5")

    rows = spread(service)

    assert [(row["stale"], row["difference_bp"]) for row in rows.values()] == [
        (True, None), (False, "0.0"), (True, None),
    ]  # fmt: skip
    assert rows["BTCUSD"]["last"] == "45000.1"
    assert service.get("/spread?base=BTC&quote=USD").json["reference"] == "kraken"
    assert (float(str(rows["BTCUSD"]["age_seconds"])) > 0) == (age_s > 0)


def test_price_of_an_exchange_that_is_not_collected_now_is_stale(
    service: HttpService, store: redis.Redis, address: str
) -> None:
    put_latest(store, "latest:BTCUSD", "45000.1")
    put_latest(store, "kraken:latest:BTC/USD", "45004.5")
    stopped = structs.replace(snapshot_of("binance", address), collector_running=False)
    write_snapshot(service.folder / "binance", stopped)

    until(lambda: spread(service)["BTCUSD"]["stale"] is True, "a stale row")

    assert spread(service)["BTC/USD"]["difference_bp"] == "0.0"


def test_market_without_a_ticker_is_told_by_its_newest_trade(service: HttpService, store: redis.Redis) -> None:
    """`latest:` is kept by tickers: without them nothing writes it, and one that was left is of another time."""
    now_ms = int(ms_before(0))
    for key, symbol in (("kraken:trades:BTC/USD", "BTC/USD"), ("coinbase:trades:BTC-USD", "BTC-USD")):
        content = trade_json(trade(9, symbol=symbol, price="45010.70", time_ms=now_ms), json.dumps(symbol))
        store.xadd(key, {"data": content}, id=f"{now_ms}-9")
    store.hset("coinbase:latest:BTC-USD", mapping={"price": "1.5", "timestamp": before(3600), "bid_price": "1.4"})

    rows = spread(service)

    for symbol in ("BTC/USD", "BTC-USD"):
        assert (rows[symbol]["last"], rows[symbol]["stale"], rows[symbol]["difference_bp"]) == (
            "45010.70", False, "0.0",
        )  # fmt: skip


def test_bid_and_ask_are_of_the_newer_of_quote_and_ticker(service: HttpService, store: redis.Redis) -> None:
    put_latest(store, "latest:BTCUSD", "45000.1", bid_price="44999.0", ask_price="45001.0", event_ms=ms_before(20))
    store.hset("quote:BTCUSD", mapping={"bid": "45000.00", "ask": "45000.20", "timestamp": before(10)})
    put_latest(store, "kraken:latest:BTC/USD", "45004.5", bid_price="45004.4", event_ms=ms_before(10))
    store.hset("kraken:quote:BTC/USD", mapping={"bid": "1.0", "ask": "2.0", "timestamp": before(3600)})

    rows = spread(service)

    assert (rows["BTCUSD"]["bid"], rows["BTCUSD"]["ask"]) == ("45000.00", "45000.20")
    assert (rows["BTC/USD"]["bid"], rows["BTC/USD"]["ask"]) == ("45004.4", None)
    for row in (rows["BTCUSD"], rows["BTC/USD"]):
        assert 10 <= float(str(row["quoted_seconds_ago"])) < 20


@pytest.mark.parametrize("event_ms", ["²", "9" * 400, "-1", "1e3"])
def test_time_that_is_no_time_leaves_the_row(service: HttpService, store: redis.Redis, event_ms: str) -> None:
    put_latest(store, "latest:BTCUSD", "45000.1", bid_price="44999.0", event_ms=event_ms)

    row = spread(service)["BTCUSD"]

    assert (row["last"], row["bid"], row["quoted_seconds_ago"]) == ("45000.1", "44999.0", None)


def test_what_is_no_price_leaves_the_others(service: HttpService, store: redis.Redis) -> None:
    store.set("latest:BTCUSD", "a stranger's")
    put_latest(store, "kraken:latest:BTC/USD", "NaN")
    put_latest(store, "coinbase:latest:BTC-USD", "44995.59")

    rows = spread(service)

    assert [(row["last"], row["stale"]) for row in rows.values()] == [
        (None, True), (None, True), ("44995.59", False),
    ]  # fmt: skip


def test_quotes_are_different_moneys_unless_asked(service: HttpService, store: redis.Redis) -> None:
    assert list(spread(service, "base=BTC&quote=USDT")) == ["BTCUSDT"]
    assert list(spread(service, "base=BTC&quote=USD,USDT")) == ["BTCUSDT", "BTCUSD", "BTC/USD", "BTC-USD"]
    assert list(spread(service, "base=BTC&quote=USD,USDT&exchange=kraken")) == ["BTC/USD"]
    assert service.get("/spread?base=BTC&quote=EUR").status == 404
