"""GET /klines of intervals that are no fixed step from the epoch, and of klines whose keys have expired."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from msgspec import structs

from data_collector.model.calendar import DAY_MS, UtcCalendar
from data_collector.model.gaps import Gap
from data_collector.model.records import Kline
from data_collector.model.status import HistoryStatus
from data_collector.sinks.redis.sink import RedisSink
from tests.contract import stores
from tests.contract.http_service import HttpService, running
from tests.contract.stores import Reader
from tests.contract.test_http_series import ALWAYS, all_pages, page, snapshot_of, text_of, writer_of
from tests.integration.postgres_server import execute
from tests.market import SYMBOL, kline

"""A fixture, which is used here too."""

CALENDAR = UtcCalendar()
FIRSTS = {"1w": "2023-08-07", "3d": "2023-07-31", "1M": "2022-11-01"}
"""A Monday; a day whose number since 1970 is a multiple of three; a first of the month."""

NUMBER = 30
KEY_LIFE_S = 60
"""The shortest that the settings take."""


@pytest.fixture(scope="module")
def both(address: str, dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpService]:
    folder = tmp_path_factory.mktemp("http")
    with running(folder, snapshot_of(address), DATABASE_URL=dsn, KLINE_TTL_SECONDS=str(KEY_LIFE_S)) as service:
        yield service


@pytest.fixture(scope="module")
def redis_alone(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpService]:
    folder = tmp_path_factory.mktemp("http")
    with running(folder, snapshot_of(address), KLINE_TTL_SECONDS=str(KEY_LIFE_S)) as service:
        yield service


@pytest.fixture(autouse=True)
def empty_tables(dsn: str) -> None:
    execute(dsn, "truncate market_data_ohlcv, market_data_trades")


def series(interval: str, number: int = NUMBER) -> list[Kline]:
    """Closed klines from the interval's first on, without a hole."""
    made: list[Kline] = []
    open_ms = int(datetime.fromisoformat(FIRSTS[interval]).replace(tzinfo=UTC).timestamp()) * 1000
    for _ in range(number):
        following = CALENDAR.next_open_ms(interval, open_ms)
        changes = {"interval": interval, "open_ms": open_ms, "close_ms": following - 1, "event_ms": following}
        made.append(kline(**changes))
        open_ms = following
    return made


async def put(dsn: str, klines: Sequence[Kline]) -> None:
    async with writer_of(dsn) as writer:
        await writer.put_klines(klines, source="rest")


def expire(reader: Reader) -> None:
    """As if all of it had been written two hours ago: `stream:` has it, and its keys are gone."""
    client, stream = reader.client, f"stream:{SYMBOL}"
    entries = reader.entries(stream)
    client.delete(stream, *client.keys("kline:*"))
    for entry_id, fields in entries:
        ms, _, number = entry_id.partition("-")
        older = f"{int(ms) - 7_200_000}-{number}"
        client.xadd(stream, fields, id=older)  # type: ignore[arg-type]
        client.hset(f"collector:klines:{SYMBOL}", "entry", older)


def times(found: Sequence[str]) -> list[int]:
    stamps = [datetime.fromisoformat(json.loads(text)["timestamp"]) for text in found]
    return [int(stamp.timestamp()) * 1000 for stamp in stamps]


@pytest.mark.parametrize("interval", FIRSTS)
async def test_long_intervals_of_both_stores_are_one_series(
    both: HttpService, sink: RedisSink, dsn: str, interval: str
) -> None:
    made = series(interval)
    await put(dsn, made[:20])
    await sink.write(stores.klines(*made[15:]))

    found, pages = all_pages(both, f"/klines/{SYMBOL}?interval={interval}&{ALWAYS}&limit=7")

    assert times(found) == [one.open_ms for one in made]
    assert pages == 5


@pytest.mark.parametrize("interval", FIRSTS)
async def test_long_intervals_are_found_in_redis_alone_and_page_on_the_exchange_s_grid(
    redis_alone: HttpService, sink: RedisSink, interval: str
) -> None:
    made = series(interval)
    await sink.write(stores.klines(*made))
    inside = f"from={made[3].open_ms + 1}&to={made[9].open_ms}"

    found, _ = all_pages(redis_alone, f"/klines/{SYMBOL}?interval={interval}&{ALWAYS}&limit=7")
    part, _ = all_pages(redis_alone, f"/klines/{SYMBOL}?interval={interval}&limit=2&{inside}")

    assert times(found) == [one.open_ms for one in made]
    assert times(part) == [one.open_ms for one in made[4:9]]


@pytest.mark.parametrize("interval", ["1w", "3d"])
async def test_exchange_that_counts_from_another_midnight_is_followed(
    redis_alone: HttpService, sink: RedisSink, interval: str
) -> None:
    shifted = [
        kline(interval=interval, open_ms=one.open_ms + DAY_MS, close_ms=one.close_ms + DAY_MS)
        for one in series(interval)
    ]
    await sink.write(stores.klines(*shifted))

    found, _ = all_pages(redis_alone, f"/klines/{SYMBOL}?interval={interval}&{ALWAYS}")

    assert times(found) == [one.open_ms for one in shifted]


@pytest.mark.parametrize("interval", FIRSTS)
async def test_candle_that_is_not_closed_ends_a_long_interval(
    redis_alone: HttpService, sink: RedisSink, interval: str
) -> None:
    *closed, last = series(interval)
    running_one = kline(
        interval=interval, open_ms=last.open_ms, close_ms=last.close_ms, event_ms=last.open_ms + 1, closed=False
    )
    await sink.write(stores.klines(*closed, running_one))

    without = page(redis_alone, f"/klines/{SYMBOL}?interval={interval}&{ALWAYS}")
    found, _ = all_pages(redis_alone, f"/klines/{SYMBOL}?interval={interval}&{ALWAYS}&open=1&limit=10")

    assert without["count"] == len(closed)
    assert times(found) == [one.open_ms for one in (*closed, last)]


def test_last_day_that_can_be_named_is_an_empty_page(redis_alone: HttpService, sink: RedisSink) -> None:
    """There is no month after it."""
    for query in ("interval=1M&from=9999-12-31", "interval=1w&from=9999-12-31&format=csv"):
        answer = redis_alone.get(f"/klines/{SYMBOL}?{query}")
        assert (answer.status, '"records":[]' in answer.text or answer.text.count("\n") == 1) == (200, True)


@pytest.mark.parametrize("interval", FIRSTS)
async def test_expired_keys_leave_what_postgresql_holds(
    both: HttpService, sink: RedisSink, reader: Reader, dsn: str, interval: str
) -> None:
    made = series(interval)
    await put(dsn, made)
    await sink.write(stores.klines(*made[10:]))
    reader.client.delete(*reader.client.keys("kline:*"))

    found, _ = all_pages(both, f"/klines/{SYMBOL}?interval={interval}&{ALWAYS}&limit=7")

    assert times(found) == [one.open_ms for one in made]


@pytest.mark.parametrize("interval", FIRSTS)
async def test_expired_keys_without_postgresql_leave_what_the_stream_holds(
    redis_alone: HttpService, sink: RedisSink, reader: Reader, interval: str
) -> None:
    made = series(interval)
    await sink.write(stores.klines(*made[:-3]))
    expire(reader)
    await sink.write(stores.klines(*made[-3:]))

    first = page(redis_alone, f"/klines/{SYMBOL}?interval={interval}&{ALWAYS}&limit=7")
    found, pages = all_pages(redis_alone, f"/klines/{SYMBOL}?interval={interval}&{ALWAYS}&limit=7")

    assert times(found) == [one.open_ms for one in made]
    assert pages == 5
    assert datetime.fromisoformat(str(first["reaches_back_to"])).timestamp() * 1000 == made[0].open_ms


async def test_corrected_and_recovered_klines_outlive_their_keys(
    redis_alone: HttpService, sink: RedisSink, reader: Reader
) -> None:
    made = series("1w")
    corrected, recovered = structs.replace(made[4], close="1.50"), made[9]
    hole = Gap(recovered.open_ms, recovered.open_ms, 1, "lost")
    await sink.write(stores.klines(*made[:9]))
    await sink.write(stores.klines(made[10], gaps=[hole]))
    await sink.write(stores.klines(*made[11:]))
    expire(reader)
    for one in (recovered, made[4], corrected):
        reader.client.xadd(f"late:{SYMBOL}", {"data": text_of(one), "why": "revision"})

    found, _ = all_pages(redis_alone, f"/klines/{SYMBOL}?interval=1w&{ALWAYS}&limit=4")

    assert found == [text_of(corrected if one is made[4] else one) for one in made]


async def test_everything_expired_and_trimmed_is_an_empty_page_that_reaches_back_to_nothing(
    redis_alone: HttpService, sink: RedisSink, reader: Reader
) -> None:
    await sink.write(stores.klines(*series("1w")))
    reader.client.delete(f"stream:{SYMBOL}", *reader.client.keys("kline:*"))

    found = page(redis_alone, f"/klines/{SYMBOL}?interval=1w&{ALWAYS}")

    assert (found["records"], found["next"], found["reaches_back_to"], found["warnings"]) == ([], None, None, [])


async def test_embedded_postgresql_that_is_not_up_yet_is_a_warning(
    sink: RedisSink, address: str, tmp_path: Path
) -> None:
    await sink.write(stores.klines(*series("1w")))
    snapshot = snapshot_of(address)
    snapshot.history = HistoryStatus(state="down", reason="starting", database="embedded")

    with running(tmp_path, snapshot, DATABASE_URL="embedded") as service:
        found = page(service, f"/klines/{SYMBOL}?interval=1w&{ALWAYS}")

    assert (found["count"], found["stores"]) == (NUMBER, ["redis"])
    (warning,) = msgspec.convert(found["warnings"], list[str])
    assert warning.startswith(
        "Older records may be missing, PostgreSQL is away: The embedded PostgreSQL does not take "
    )
