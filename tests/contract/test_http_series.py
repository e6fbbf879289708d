"""GET /klines and /trades: PostgreSQL and Redis as one series, in three formats, also while a store is away."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

import msgspec
import pytest
from msgspec import structs

from data_collector.embedded.peer import free_port
from data_collector.model.records import Kline, Trade
from data_collector.model.sink import Batch
from data_collector.model.status import Snapshot
from data_collector.model.wire import json_text, kline_json, trade_json
from data_collector.sinks.postgres.pool import open_pool
from data_collector.sinks.postgres.writing import PostgresWriter
from data_collector.sinks.redis.sink import RedisSink
from tests.contract import stores
from tests.contract.http_service import Answer, HttpService, running, write_snapshot
from tests.integration.postgres_server import execute
from tests.integration.waiting import until
from tests.market import EXCHANGE, MINUTE_MS, NOON_MS, PREFIX, SYMBOL, kline, trade

ALWAYS = "from=1970-01-01"
MINUTES = f"/klines/{SYMBOL}?interval=1m&{ALWAYS}"
TRADES = f"/trades/{SYMBOL}?{ALWAYS}"


@pytest.fixture(scope="module")
def one_service(address: str, dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpService]:
    with running(tmp_path_factory.mktemp("http"), snapshot_of(address), DATABASE_URL=dsn) as service:
        yield service


@pytest.fixture
def service(one_service: HttpService, sink: RedisSink, dsn: str) -> HttpService:
    """On two empty stores."""
    execute(dsn, "truncate market_data_ohlcv, market_data_trades")
    return one_service


def snapshot_of(address: str | None) -> Snapshot:
    return Snapshot(
        condition="healthy", collector_running=True, symbols=[SYMBOL, "ETHUSDT"], store_url=address, redis_url=address,
        exchange=EXCHANGE, key_prefix=PREFIX,
    )  # fmt: skip


@contextmanager
def told(service: HttpService, address: str, snapshot: Snapshot) -> Iterator[None]:
    """The collector says this of itself meanwhile."""
    usual = snapshot_of(address)
    write_snapshot(service.folder, snapshot)
    until(lambda: says(service, snapshot))
    try:
        yield
    finally:
        write_snapshot(service.folder, usual)
        until(lambda: says(service, usual))


def says(service: HttpService, snapshot: Snapshot) -> bool | None:
    """Whether the service has heard of it; None while it has not."""
    status = service.get("/status").json
    return (status["redis_url"], status["exchange"]) == (snapshot.redis_url, snapshot.exchange or EXCHANGE) or None


@asynccontextmanager
async def writer_of(dsn: str, exchange: str = EXCHANGE) -> AsyncIterator[PostgresWriter]:
    pool = await open_pool(dsn, size=1)
    try:
        yield PostgresWriter(pool, exchange)
    finally:
        await pool.close()


async def put_klines(dsn: str, minutes: Sequence[int], **changes: object) -> None:
    async with writer_of(dsn) as writer:
        await writer.put_klines([kline(minute, **changes) for minute in minutes], source="rest")


async def put_trades(dsn: str, ids: Sequence[int], **changes: object) -> None:
    async with writer_of(dsn) as writer:
        await writer.put_trades([trade(number, **changes) for number in ids], source="rest")


def text_of(record: Kline | Trade) -> str:
    if isinstance(record, Kline):
        return kline_json(record, json_text(record.symbol))
    return trade_json(record, json_text(record.symbol))


def page(service: HttpService, path: str) -> dict[str, object]:
    answer = service.get(path)
    assert answer.status == 200, answer.text
    return answer.json


def records(answer: Answer) -> list[str]:
    """The records as they are written."""
    inner = answer.text.partition('"records":[')[2].partition('],"next"')[0]
    return re.findall(r"\{[^}]*\}", inner)


def all_pages(service: HttpService, path: str) -> tuple[list[str], int]:
    """All records, following the links; and how many pages there were. The range as one answer has the same ones."""
    found: list[str] = []
    pages = 0
    following: str | None = path
    while following is not None:
        answer = service.get(following)
        assert answer.status == 200, answer.text
        found += records(answer)
        pages += 1
        link = re.fullmatch('<(.*)>; rel="next"', answer.headers.get("Link", ""))
        following = None if link is None else link[1]
        assert (following is None) == (answer.json["next"] is None)
    whole = service.get(re.sub(r"&limit=\d+", "", path) + "&format=csv")
    rows = [json.loads(text, parse_float=str, parse_int=str) for text in found]
    assert list(csv.reader(io.StringIO(whole.text)))[1:] == [[cell(value) for value in row.values()] for row in rows]
    assert "Content-Length" not in whole.headers
    return found, pages


async def test_klines_of_both_stores_are_one_series(service: HttpService, sink: RedisSink, dsn: str) -> None:
    await put_klines(dsn, range(60))
    await sink.write(stores.klines(*(kline(minute) for minute in range(40, 100))))

    found, pages = all_pages(service, f"{MINUTES}&limit=17")

    assert found == [text_of(kline(minute)) for minute in range(100)]
    assert pages == 6


async def test_kline_that_one_store_lacks_comes_from_the_other(service: HttpService, sink: RedisSink, dsn: str) -> None:
    await put_klines(dsn, [0, 1, 2, 5, 6, 9])
    await sink.write(stores.klines(*(kline(minute) for minute in (3, 4, 5)), begins=True))
    await sink.write(stores.klines(kline(7), kline(8), gaps=[]))

    found, _ = all_pages(service, f"{MINUTES}&limit=4")

    assert [json.loads(text)["timestamp"][14:16] for text in found][:7] == ["00", "01", "02", "03", "04", "05", "06"]


async def test_corrected_kline_is_taken_from_postgresql(service: HttpService, sink: RedisSink, dsn: str) -> None:
    await put_klines(dsn, [0], close="1.50")
    await sink.write(stores.klines(kline(0), kline(1)))

    found, _ = all_pages(service, MINUTES)

    assert found == [text_of(kline(0, close="1.50")), text_of(kline(1))]


async def test_trades_of_both_stores_are_one_series(service: HttpService, sink: RedisSink, dsn: str) -> None:
    await put_trades(dsn, range(100, 200))
    await sink.write(stores.trades(150, 260))

    found, pages = all_pages(service, f"{TRADES}&limit=23")

    assert found == [text_of(trade(number)) for number in range(100, 261)]
    assert pages == 7


async def test_range_of_times_is_a_part_of_the_series(service: HttpService, sink: RedisSink, dsn: str) -> None:
    await put_klines(dsn, range(10))
    await sink.write(stores.klines(*(kline(minute) for minute in range(5, 20))))
    start, end = "2024-01-01T12:04:30Z", NOON_MS + 8 * MINUTE_MS

    found, _ = all_pages(service, f"/klines/{SYMBOL}?interval=1m&from={start}&to={end}&limit=2")

    assert found == [text_of(kline(minute)) for minute in (5, 6, 7)]


async def test_trades_of_a_range_go_on_behind_the_cursor(service: HttpService, sink: RedisSink, dsn: str) -> None:
    times = {number: NOON_MS + 10 * number for number in range(100)}
    for number in range(60):
        await put_trades(dsn, [number], time_ms=times[number]) if number % 20 == 0 else None
    await sink.write(Batch(trades=[stores.run_of([trade(n, time_ms=times[n]) for n in range(100)])]))

    found, _ = all_pages(service, f"/trades/{SYMBOL}?from={times[30]}&to={times[71]}&limit=7")
    behind = page(service, f"/trades/{SYMBOL}?after=97")

    assert [json.loads(text)["trade_id"] for text in found] == list(range(30, 71))
    assert [row["trade_id"] for row in rows_of(behind)] == [98, 99]


async def test_open_kline_comes_last_and_only_when_asked_for(service: HttpService, sink: RedisSink, dsn: str) -> None:
    await put_klines(dsn, range(3))
    await sink.write(stores.klines(kline(2), kline(3, closed=False)))

    without = rows_of(page(service, MINUTES))
    found, pages = all_pages(service, f"{MINUTES}&open=1&limit=3")

    assert [row["is_closed"] for row in without] == [True, True, True]
    assert found == [text_of(kline(minute)) for minute in range(3)] + [text_of(kline(3, closed=False))]
    assert pages == 2


async def test_digits_stay_as_the_exchange_sent_them(service: HttpService, sink: RedisSink, dsn: str) -> None:
    await put_trades(dsn, [1], price="123456789012.12345678", quantity="0.00000001")
    await sink.write(Batch(trades=[stores.run_of([trade(2, price="0.12300000", quantity="1e3")])]))

    found, _ = all_pages(service, TRADES)

    assert '"price":123456789012.12345678,"quantity":0.00000001' in found[0]
    assert '"price":0.12300000,"quantity":1e3' in found[1]


async def test_rows_that_a_program_put_anywhere_leave_the_series_readable(
    service: HttpService, sink: RedisSink, dsn: str
) -> None:
    await put_klines(dsn, range(2))
    rows = [f"('{SYMBOL}', '{when}', 'NaN', 'Infinity', '-Infinity', 1, 1, '1m')" for when in (
        "2024-01-01 00:00Z", "infinity", "-infinity", "0044-03-15 BC", "12000-01-01 00:00Z",
    )]  # fmt: skip
    columns = "symbol, timestamp, open, high, low, close, volume, interval"
    execute(dsn, f"insert into market_data_ohlcv ({columns}) values {', '.join(rows)}")

    answer = service.get(MINUTES)

    found = json.loads(answer.text, parse_constant=pytest.fail)
    assert (found["count"], found["warnings"]) == (3, [])
    assert found["reaches_back_to"] == "2024-01-01T00:00:00+00:00"
    assert [found["records"][0][name] for name in ("open", "high", "low", "close")] == [None, None, None, 1]


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        (f"/klines/{SYMBOL}", "interval: none is collected here"),
        (f"/klines/{SYMBOL}?interval=", "interval"),
        (f"/klines/{SYMBOL}?interval=7m", "interval"),
        (f"{MINUTES}&limit=0", "limit"),
        (f"{MINUTES}&limit=5001", "limit"),
        (f"/klines/{SYMBOL}?interval=1m&from=yesterday", "from"),
        (f"/klines/{SYMBOL}?interval=1m&to=10000-01-01", "to"),
        (f"/klines/{SYMBOL}?interval=1m&from=2024-01-02&to=2024-01-01", "from"),
        (f"{MINUTES}&format=xml", "format"),
        (f"/trades/{SYMBOL}?after=-1", "after"),
    ],
)
def test_wrong_parameter_is_named(service: HttpService, path: str, parameter: str) -> None:
    answer = service.get(path)

    assert (answer.status, parameter in answer.text) == (422, True), answer.text


def test_symbol_that_nobody_knows_is_not_found(service: HttpService) -> None:
    answers = [service.get("/klines/NOSUCH?interval=1m"), service.get("/trades/nosuch")]

    assert [answer.status for answer in answers] == [404, 404]
    assert answers[1].json == {"detail": "NOSUCH is not collected, and nothing of it is stored."}


async def test_symbol_that_is_collected_no_more_is_still_read(service: HttpService, dsn: str) -> None:
    await put_klines(dsn, [0], symbol="OLDUSDT")

    assert page(service, "/klines/oldusdt?interval=1m")["count"] == 1


def test_symbol_without_records_yet_is_empty(service: HttpService) -> None:
    found = page(service, "/trades/ETHUSDT")

    assert (found["records"], found["next"], found["reaches_back_to"], found["warnings"]) == ([], None, None, [])


async def test_redis_away_leaves_what_postgresql_holds(service: HttpService, dsn: str, address: str) -> None:
    await put_klines(dsn, range(3))

    with told(service, address, snapshot_of("unix:///nowhere/s")):
        answer = service.get(MINUTES)

    assert (answer.json["count"], answer.json["stores"]) == (3, ["postgresql"])
    assert answer.headers["X-Warning"].startswith("The newest records may be missing, Redis is away:")


async def test_postgresql_away_leaves_what_redis_holds(
    sink: RedisSink, address: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    await sink.write(stores.klines(*(kline(minute) for minute in range(3))))
    await sink.write(stores.trades(7, 9))
    dead = f"postgresql://somebody:secret@127.0.0.1:{free_port()}/nothing"

    with running(tmp_path_factory.mktemp("http"), snapshot_of(address), DATABASE_URL=dead) as service:
        until(lambda: service.get("/health").json["status"] == "degraded" or None, "a look before anybody asks")
        health = service.get("/health")
        answers = [service.get(MINUTES), service.get(TRADES)]
        unknown = service.get("/klines/OLDUSDT?interval=1m")
        with told(service, address, snapshot_of(None)):
            neither = service.get(MINUTES)

    assert [(answer.json["count"], answer.json["stores"]) for answer in answers] == [(3, ["redis"]), (3, ["redis"])]
    assert all("PostgreSQL is away" in answer.headers["X-Warning"] for answer in answers)
    assert (unknown.status, neither.status) == (503, 503)
    assert "Older records may be missing" in unknown.text
    assert "not known yet" in neither.text
    assert "PostgreSQL" in neither.text
    assert "/klines and /trades lack what PostgreSQL holds" in health.text
    assert "secret" not in neither.text + answers[0].text + health.text


def rows_of(found: dict[str, object]) -> list[dict[str, object]]:
    rows = found["records"]
    assert isinstance(rows, list)
    return rows


def cell(value: object) -> str:
    """As CSV writes what JSON has."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


async def test_stretches_that_touch_hold_each_trade_once(service: HttpService, sink: RedisSink, dsn: str) -> None:
    """By its own time, which goes back a little now and then, also at the cut; in pages and as one range."""
    made = [trade(number, time_ms=NOON_MS + ms) for number, ms in enumerate((0, 1, 2, 10, 9, 11, 10, 12, 9, 13), 1)]
    async with writer_of(dsn) as writer:
        await writer.put_trades(made[:8], source="rest")
    await sink.write(Batch(trades=[stores.run_of(made[4:])]))

    for cut in (2, 9, 10, 11, 12, 13, 14):
        at = f"{NOON_MS + cut}"
        before, _ = all_pages(service, f"{TRADES}&to={at}&limit=3")
        behind, _ = all_pages(service, f"/trades/{SYMBOL}?from={at}&limit=3")
        assert before == [text_of(each) for each in made if each.time_ms < NOON_MS + cut]
        assert behind == [text_of(each) for each in made if each.time_ms >= NOON_MS + cut]


@pytest.mark.parametrize("exchange", ["binance", "kraken"])
async def test_rows_of_two_exchanges_are_not_mixed(
    service: HttpService, sink: RedisSink, dsn: str, address: str, exchange: str
) -> None:
    """The same symbol in one database; one of them has a second epoch."""
    symbol = "BTC/USD"
    for name, close in (("binance", "45180.10"), ("kraken", "45180.20")):
        async with writer_of(dsn, name) as writer:
            await writer.put_klines([kline(minute, symbol=symbol, close=close) for minute in range(3)], source="rest")
            epoch = 0 if name == "binance" else 1
            trades = [trade(number, symbol=symbol, price=close) for number in range(5)]
            await writer.put_trades(trades, source="rest", epoch=epoch)
    prefix = "" if exchange == "binance" else f"{exchange}:"
    state = structs.replace(snapshot_of(address), exchange=exchange, key_prefix=prefix, symbols=[symbol])

    with told(service, address, state):
        candles, trades_of = page(service, f"/klines/{symbol}?{ALWAYS}&interval=1m"), page(service, f"/trades/{symbol}")
        other = service.get(f"/klines/nowhere:{symbol}?{ALWAYS}&interval=1m")
        forms = [
            service.get(f"/klines/{path}?{ALWAYS}&interval=1m").body
            for path in (symbol, "btc%2Fusd", f"{exchange}:{symbol}", f"{exchange}%3ABTC%2FUSD")
        ]
        copied = service.get(f"/trades/{exchange}:{symbol}?{ALWAYS}&format=csv").text
        orders = [
            service.control({"action": "stop", "exchange": "nowhere"}),
            service.request(
                "PUT", "/subscriptions", headers={"Content-Type": "application/json"},
                body=b'{"symbols": ["BTC/USD"], "exchange": "nowhere"}',
            ),
        ]  # fmt: skip
        counted = service.get("/metrics/prometheus").text
        health, status, metrics = (service.get(path).json for path in ("/health", "/status", "/metrics"))

    close = "45180.10" if exchange == "binance" else "45180.20"
    assert [str(row["close"]) for row in msgspec.convert(candles["records"], list[dict[str, object]])] == [
        str(float(close))
    ] * 3
    assert (trades_of["epochs"], copied.count(close), len(copied.splitlines())) == (
        [0] if exchange == "binance" else [0, 1], 5, 6,
    )  # fmt: skip
    assert len(set(forms)) == 1
    assert (other.status, other.json["detail"]) == (
        404, f"{exchange} is collected here, and not nowhere.",
    )  # fmt: skip
    assert [order.status for order in orders] == [404, 404]
    assert (health["exchange"], status["exchange"], status["symbols"]) == (exchange, exchange, [symbol])
    assert metrics["symbols"] == [f"{prefix}{symbol}"]
    assert f'data_collector_exchange_info{{exchange="{exchange}"}} 1.0' in counted
