"""A range of GET /klines and /trades as one answer: whole, cut, slowly read, and asked for too often."""

from __future__ import annotations

import csv
import http.client
import io
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import pyarrow
import pytest

from data_collector.api.series.streamed import STREAMS_MAX
from data_collector.model.sink import Batch
from data_collector.model.wire import open_time_text
from data_collector.sinks.redis.sink import RedisSink
from tests.contract import stores
from tests.contract.http_service import DEADLINE_S, SERVE, HttpService, running
from tests.contract.test_http_series import put_klines, put_trades, rows_of, snapshot_of, writer_of
from tests.integration.postgres_server import execute, rows
from tests.integration.waiting import until
from tests.market import MINUTE_MS, NOON_MS, SYMBOL, kline, trade

"""A fixture, which is used here too."""

SMALL_PIECES = f"""
from data_collector.api.series import stretches
stretches.COPIED_ROWS, stretches.PAGE_ROWS = 40, 15
{SERVE}"""

RANGE = f"/klines/{SYMBOL}?interval=1m&from=2020-01-01&format=csv"
LONG = 120_000
"""Minutes: 16 MB, more than what is read ahead and what buffers between a server and a client hold."""

FILL = f"""
insert into market_data_ohlcv (symbol, interval, "timestamp", open, high, low, close, volume)
select '{SYMBOL}', '1m', '2020-01-01 00:00:00+00'::timestamptz + make_interval(mins => minute), 45123.45000000,
  45200.00000000, 45100.00000000, 45180.50000000, 123.45600000
from generate_series(0, {LONG - 1}) as minute
"""

HANG_UP = "select pg_terminate_backend(pid) from pg_stat_activity where datname = '{}'"


@pytest.fixture(scope="module")
def one_service(address: str, dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpService]:
    snapshot = snapshot_of(address)
    snapshot.intervals = ["1h", "1m", "1d"]
    with running(tmp_path_factory.mktemp("http"), snapshot, script=SMALL_PIECES, DATABASE_URL=dsn) as service:
        yield service


@pytest.fixture
def service(one_service: HttpService, sink: RedisSink, dsn: str) -> HttpService:
    """On two empty stores; pieces are small."""
    execute(dsn, "truncate market_data_ohlcv, market_data_trades")
    return one_service


@pytest.fixture(scope="module")
def long_service(address: str, dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpService]:
    """With a long range in PostgreSQL."""
    execute(dsn, "truncate market_data_ohlcv")
    execute(dsn, FILL)
    with running(tmp_path_factory.mktemp("http"), snapshot_of(address), DATABASE_URL=dsn) as service:
        yield service


def ids(service: HttpService, query: str) -> list[int]:
    """Of an answer, and of those that its links lead to."""
    found: list[int] = []
    path: str | None = f"/trades/{SYMBOL}?{query}"
    while path is not None:
        answer = service.get(path)
        assert answer.status == 200, answer.text
        found += [int(row["trade_id"]) for row in csv.DictReader(io.StringIO(answer.text))]
        link = re.fullmatch('<(.*)>; rel="next"', answer.headers.get("Link", ""))
        path = None if link is None else link[1]
    return found


async def test_holes_of_either_store_are_filled_from_the_other(service: HttpService, sink: RedisSink, dsn: str) -> None:
    """PostgreSQL ends behind Redis' begin, and each lacks what the other has."""
    stored = [number for number in range(1, 400) if number not in {30, 250, *range(270, 300), 380}]
    await put_trades(dsn, stored)
    await sink.write(stores.trades(201, 450))

    found = ids(service, "from=1970-01-01&format=csv")

    assert found == [number for number in range(1, 451) if number != 30]
    assert ids(service, "from=1970-01-01&after=260&format=csv") == list(range(261, 451))
    assert ids(service, "from=1970-01-01&limit=23&format=csv") == found
    assert ids(service, "after=0&format=csv") == found


async def test_range_of_times_begins_and_ends_inside(service: HttpService, sink: RedisSink, dsn: str) -> None:
    times = {number: NOON_MS + 10 * number for number in range(300)}
    for number in range(0, 200, 40):
        await put_trades(dsn, [number], time_ms=times[number])
    runs = [stores.run_of([trade(number, time_ms=times[number]) for number in range(100, 300)])]
    await sink.write(Batch(trades=runs))

    assert ids(service, f"from={times[50]}&to={times[171]}&format=csv") == [80, *range(100, 171)]
    assert ids(service, f"from={times[110]}&format=csv") == list(range(110, 300))


async def test_lives_are_not_joined(service: HttpService, sink: RedisSink, dsn: str) -> None:
    async with writer_of(dsn) as writer:
        for epoch, until_id in ((0, 60), (1, 90)):
            await writer.put_trades([trade(number) for number in range(1, until_id)], source="rest", epoch=epoch)
    await sink.write(stores.trades(50, 55))

    for epoch, last in ((0, 59), (1, 89)):
        path = f"/trades/{SYMBOL}?from=1970-01-01&format=csv&epoch={epoch}"
        assert ids(service, path.partition("?")[2]) == list(range(1, last + 1))
        headers = service.get(path).headers
        assert (headers["X-Epoch"], headers["X-Epochs"]) == (str(epoch), "0, 1")
        assert ids(service, f"format=csv&limit=2&epoch={epoch}") == [last - 1, last]


async def test_what_postgresql_writes_is_what_the_pages_say(service: HttpService, sink: RedisSink, dsn: str) -> None:
    """Times with and without microseconds, what is not told, names that need quoting, words that are no rules."""
    odd: tuple[dict[str, object], ...] = (
        {"sub_ms_us": 456},
        {"sub_ms_us": 0},
        {"is_buyer_maker": None},
        {"buyer_order_id": 7, "is_buyer_maker": False},
        {"price": "0.12300000", "quantity": "123456789012.12345678"},
    )
    for number, changes in enumerate(odd):
        await put_trades(dsn, [number], **changes)
    await put_klines(dsn, range(3))
    await put_klines(dsn, [3], trades=None, quote_volume=None, taker_buy_base_volume=None)
    for table in ("market_data_trades", "market_data_ohlcv"):
        execute(dsn, f"update {table} set warnings = '{{cap,\"no rule, this\",floor}}', source = 'ws'")
    execute(
        dsn,
        "update market_data_ohlcv set source = 'somebody', warnings = null where extract(minute from timestamp) = 1",
    )

    for path in (f"/trades/{SYMBOL}?from=1970-01-01&meta=1", f"/klines/{SYMBOL}?from=1970-01-01&meta=1"):
        for form in ("csv", "arrow"):
            page, whole = (service.get(f"{path}&format={form}{limit}") for limit in ("&limit=100", ""))
            assert (page.status, whole.status) == (200, 200)
            assert ("Content-Length" in page.headers, "Content-Length" in whole.headers) == (True, False)
            if form == "csv":
                assert whole.text == page.text
            else:
                tables = [pyarrow.ipc.open_stream(answer.body).read_all() for answer in (page, whole)]
                assert tables[0].schema == tables[1].schema
                assert tables[0].to_pylist() == tables[1].to_pylist()


async def test_without_bounds_every_format_gives_the_newest(service: HttpService, sink: RedisSink, dsn: str) -> None:
    """Some are in PostgreSQL alone, some in Redis alone; the interval is the smallest collected."""
    await put_klines(dsn, range(7))
    await sink.write(stores.klines(*(kline(minute) for minute in range(5, 10)), kline(10, closed=False)))
    await put_trades(dsn, range(1, 8))
    await sink.write(stores.trades(6, 12))
    stamps = [open_time_text(NOON_MS + minute * MINUTE_MS) for minute in range(11)]

    for limit, first, first_id in ((3, 7, 10), (6, 4, 7), (100, 0, 1)):
        for path, name, expected in (
            (f"/klines/{SYMBOL}?limit={limit}", "timestamp", stamps[first:10]),
            (f"/trades/{SYMBOL}?limit={limit}", "trade_id", [*range(first_id, 13)]),
        ):
            page = service.get(path)
            assert [row[name] for row in rows_of(page.json)] == expected
            assert page.json["next"] is None
            text = service.get(f"{path}&format=csv").text
            assert [row[name] for row in csv.DictReader(io.StringIO(text))] == list(map(str, expected))
            arrow = pyarrow.ipc.open_stream(service.get(f"{path}&format=arrow").body).read_all()
            assert arrow.num_rows == len(expected)
    newest = service.get(f"/klines/{SYMBOL}?limit=3&open=1").json
    assert [row["timestamp"] for row in rows_of(newest)] == stamps[8:]


async def test_number_too_large_for_arrow_is_told_and_does_not_wrap_around(
    service: HttpService, sink: RedisSink, dsn: str
) -> None:
    path = f"/klines/{SYMBOL}?from=1970-01-01&format=arrow"
    for number, fits in (("99999999999999999999.5", True), ("400000000000000000000", False), ("NaN", False)):
        await put_klines(dsn, [0], volume=number)
        answer = service.get(path)
        assert answer.status == (200 if fits else 422)
        assert fits or "volume: a number has more than" in answer.text


@contextmanager
def reading(service: HttpService, path: str) -> Iterator[http.client.HTTPResponse]:
    """An answer of which little is read ahead."""
    place = urlsplit(service.url)
    connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=DEADLINE_S)
    connection.sock = socket.socket()
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    connection.sock.settimeout(DEADLINE_S)
    connection.sock.connect((place.hostname, place.port))
    connection.request("GET", path)
    try:
        yield connection.getresponse()
    finally:
        connection.close()


def until_free(service: HttpService) -> None:
    """What was read ahead for who has left is still read to its end."""
    until(lambda: service.get(f"{RANGE}&to=2020-01-02").status == 200 or None)


def test_slow_reader_holds_neither_connection_nor_transaction_and_gets_all(long_service: HttpService, dsn: str) -> None:
    with reading(long_service, RANGE) as answer:
        begin = answer.read(1000)
        until(lambda: not _under_way(dsn), "between two pieces nothing is asked")
        assert long_service.get(f"/klines/{SYMBOL}?interval=1m&limit=3").json["count"] == 3
        whole = begin + answer.read()

    assert whole.count(b"\n") == LONG + 1
    assert whole.endswith(b"\n")


def test_reader_that_goes_away_gives_its_place_back(long_service: HttpService, dsn: str) -> None:
    """However far it had come: PostgreSQL is not away because of that."""
    for number in range(2 * STREAMS_MAX):
        with reading(long_service, RANGE) as answer:
            assert (answer.status, answer.headers["X-Warning"]) == (200, None)
            answer.read(1000 + 1_000_000 * number)
        until_free(long_service)

    until(lambda: not _under_way(dsn))


def test_reader_beyond_the_places_is_told_to_come_back(long_service: HttpService) -> None:
    with ExitStack() as stack:
        for _ in range(STREAMS_MAX):
            until_free(long_service)
            assert stack.enter_context(reading(long_service, RANGE)).status == 200
        refused = long_service.get(RANGE)
        page = long_service.get(f"{RANGE}&limit=5")

    assert (refused.status, refused.headers["Retry-After"]) == (503, "10")
    assert "4 long answers are being read already" in refused.text
    assert page.status == 200


def test_head_of_a_range_ends_at_once(long_service: HttpService) -> None:
    for _ in range(STREAMS_MAX + 1):
        until_free(long_service)
        answer = long_service.request("HEAD", RANGE)
        assert (answer.status, answer.body) == (200, b"")


def test_postgresql_that_goes_away_cuts_the_answer_and_the_reader_can_tell(
    address: str, dsn: str, tmp_path_factory: pytest.TempPathFactory, sink: RedisSink
) -> None:
    name, other = dsn.rpartition("/")[2], dsn.rpartition("/")[0] + "/postgres"
    with running(tmp_path_factory.mktemp("http"), snapshot_of(address), DATABASE_URL=dsn) as service:
        execute(dsn, "truncate market_data_ohlcv")
        execute(dsn, FILL)
        with reading(service, RANGE) as answer:
            answer.read(1000)
            execute(other, f"alter database {name} allow_connections false", HANG_UP.format(name))
            try:
                with pytest.raises(http.client.IncompleteRead):
                    answer.read()
                again = service.get(RANGE)
            finally:
                execute(other, f"alter database {name} allow_connections true")
        log = (service.folder / "stderr").read_text()

    assert '"event": "answer_cut"' in log
    assert "Exception in ASGI" not in log
    assert "PostgreSQL is away" in again.headers["X-Warning"]


def test_reader_that_takes_nothing_is_cut_off(
    address: str, dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> None:  # fmt: skip
    execute(dsn, "truncate market_data_ohlcv")
    execute(dsn, FILL)
    script = f"from data_collector.api.series import streamed\nstreamed.SEND_TIMEOUT_S = 0.2\n{SERVE}"
    folder = tmp_path_factory.mktemp("http")
    with (
        running(folder, snapshot_of(address), script=script, DATABASE_URL=dsn) as service,
        reading(service, RANGE) as answer,
    ):
        log = folder / "stderr"
        until(lambda: "the client has not taken" in log.read_text() or None, "a line in the log")
        with pytest.raises(http.client.IncompleteRead):
            answer.read()


def test_stop_of_the_service_cuts_the_answer(address: str, dsn: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    execute(dsn, "truncate market_data_ohlcv")
    execute(dsn, FILL)
    with running(tmp_path_factory.mktemp("http"), snapshot_of(address), DATABASE_URL=dsn) as service:
        with reading(service, RANGE) as answer:
            answer.read(1000)
            service.process.terminate()
            with pytest.raises((http.client.IncompleteRead, ConnectionError)):
                answer.read()
        assert service.process.wait(DEADLINE_S) == 0
        log = (service.folder / "stderr").read_text()

    assert "the service stops" in log


def _under_way(dsn: str) -> int:
    """Transactions in this database."""
    query = "select pid from pg_stat_activity where datname = current_database() and xact_start is not null"
    return len(rows(dsn, f"{query} and pid <> pg_backend_pid()"))
