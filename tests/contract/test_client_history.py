"""The client on real stores, PostgreSQL and the HTTP side: history, and live streams that history fills."""

from __future__ import annotations

import itertools
import random
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime

import pytest
from msgspec import structs

from data_collector.client import Client, GapFound, Item, Kline, Trade
from data_collector.client.answering import http
from data_collector.client.reading import stored
from data_collector.client.records import ms_of, time_of
from data_collector.model.gaps import GapReason
from data_collector.model.keys import Key
from data_collector.model.sink import Batch
from data_collector.sinks.redis.sink import RedisSink
from tests.contract import stores
from tests.contract.client_items import MINUTES, TRADES, told, trades_from
from tests.contract.http_service import HttpService, running
from tests.contract.stores import Reader
from tests.contract.test_http_series import put_klines, snapshot_of, writer_of
from tests.integration.postgres_server import execute
from tests.market import MINUTE_MS, NOON_MS, SYMBOL, kline

KILLS = 10


@pytest.fixture(scope="module")
def service(address: str, dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpService]:
    with running(tmp_path_factory.mktemp("http"), snapshot_of(address), DATABASE_URL=dsn) as service:
        yield service


@pytest.fixture(params=["http", "database", "auto"])
def client(request: pytest.FixtureRequest, address: str, reader: Reader, dsn: str) -> Iterator[Client]:
    """With history from each place, and from both."""
    execute(dsn, "truncate market_data_ohlcv, market_data_trades, market_data_gaps, market_data_epochs")
    api = "" if request.param == "database" else request.getfixturevalue("service").url
    with Client(address, api=api, database="" if request.param == "http" else dsn) as client:
        yield client


async def put_trades(dsn: str, first: int, last: int, **changes: object) -> None:
    async with writer_of(dsn) as writer:
        await writer.put_trades(trades_from(first, last, **changes), source="ws")


async def test_killed_reader_of_trimmed_streams_has_every_record_once(
    client: Client, sink: RedisSink, reader: Reader, dsn: str
) -> None:
    """Ten kills, each after some batches; meanwhile streams are trimmed, and once the store is emptied."""
    chance = random.Random(14)
    found: list[Item] = []
    position, start = None, "earliest"
    next_id, next_minute = 1, 0
    for kill in range(KILLS + 1):
        last_id, last_minute = next_id + chance.randint(20, 200), next_minute + chance.randint(2, 9)
        await put_trades(dsn, next_id, last_id)
        await put_klines(dsn, range(next_minute, last_minute + 1))
        if kill == KILLS // 2:
            reader.client.flushall()
        await sink.write(Batch(trades=[stores.run_of(trades_from(next_id, last_id))]))
        await sink.write(stores.klines(*(kline(minute) for minute in range(next_minute, last_minute + 1))))
        next_id, next_minute = last_id + 1, last_minute + 1
        if kill:
            reader.client.xtrim(f"trades:{SYMBOL}", maxlen=chance.randint(0, 30), approximate=False)
            reader.client.xtrim(f"stream:{SYMBOL}", maxlen=chance.randint(0, 2), approximate=False)
        with client.live(TRADES, MINUTES, start=start, position=position) as live:
            for batch in itertools.islice(live.batches(), chance.randint(1, 2) if kill < KILLS else None):
                found += batch.items
                position = batch.position
                if (next_id - 1, next_minute - 1) == ends(found):
                    break

    assert [item.trade_id for item in found if isinstance(item, Trade)] == list(range(1, next_id))
    assert [item for item in told(found) if isinstance(item, tuple)] == [("1m", each) for each in range(next_minute)]


def ends(items: Sequence[Item]) -> tuple[int, int]:
    """The newest trade and candle."""
    ids = [item.trade_id for item in items if isinstance(item, Trade)]
    minutes = [(ms_of(item.timestamp) - NOON_MS) // MINUTE_MS for item in items if isinstance(item, Kline)]
    return ids[-1] if ids else 0, minutes[-1] if minutes else -1


async def put_minutes(dsn: str, sink: RedisSink, *minutes: int, reason: GapReason | None = "absent") -> None:
    """Into both stores, as they come from the stream; what lies between is declared, or else known to nobody."""
    async with writer_of(dsn) as writer:
        await writer.put_klines([kline(minute) for minute in minutes], source="ws")
    last = minutes[0] - 1
    for minute in minutes:
        missing = [stores.minutes(last + 1, minute - 1, reason)] if reason is not None and minute > last + 1 else []
        if reason is not None:
            await sink.write(stores.klines(kline(minute), gaps=missing))
        last = minute


def at(minute: int) -> datetime:
    """After noon."""
    return time_of(NOON_MS + minute * MINUTE_MS)


async def test_candles_of_the_past_have_their_gaps_in_their_place(client: Client, sink: RedisSink, dsn: str) -> None:
    await put_minutes(dsn, sink, 0, 1, 4, 5, reason="refused")
    await put_minutes(dsn, sink, 8, 9, reason=None)

    records = client.klines(SYMBOL, "1m", start=at(0))

    gaps: list[object] = [(at(2), at(3), "refused"), (at(6), at(7), "unknown")]
    minutes: list[object] = [("1m", minute) for minute in (0, 1, 4, 5, 8, 9)]
    assert told(records) == [*minutes[:2], gaps[0], *minutes[2:4], gaps[1], *minutes[4:]]
    assert told(records.gaps) == gaps
    assert told(records.read()) == minutes
    assert records.spans() == [slice(0, 2), slice(2, 4), slice(4, 6)]
    with pytest.raises(GapFound, match=rf"2 1m klines of {SYMBOL} are missing \(refused\)"):
        records.require_whole()


async def test_policies_are_those_of_live_streams(client: Client, sink: RedisSink, dsn: str) -> None:
    await put_minutes(dsn, sink, 0, 2)
    found: list[Item] = []

    with pytest.raises(GapFound):
        found.extend(client.klines(SYMBOL, "1m", gaps="raise"))

    assert told(found) == [("1m", 0)]
    filled = client.klines(SYMBOL, "1m", gaps="fill")
    assert told(filled) == [("1m", 0), ("1m", 1), ("1m", 2)]
    assert filled.spans() == [slice(0, 3)]
    assert told(filled.gaps) == [(at(1), at(1), "absent")]
    skipped = client.klines(SYMBOL, "1m", gaps="skip")
    assert told(skipped) == [("1m", 0), ("1m", 2)]
    assert skipped.spans() == [slice(0, 1), slice(1, 2)]


async def test_pages_are_of_one_size_and_lose_no_gap(client: Client, sink: RedisSink, dsn: str) -> None:
    await put_minutes(dsn, sink, 0, 1, 4, 5, 6)

    pages = list(client.klines(SYMBOL, "1m").pages(2))

    assert [told(page) for page in pages] == [[("1m", 0), ("1m", 1)], [("1m", 4), ("1m", 5)], [("1m", 6)]]
    assert [told(page.gaps) for page in pages] == [[], [(at(2), at(3), "absent")], []]


async def test_lives_of_a_market_follow_each_other(client: Client, sink: RedisSink, dsn: str) -> None:
    old = trades_from(101, 103)
    new = [structs.replace(each, time_ms=each.time_ms + 3_600_000) for each in trades_from(1, 4)]
    async with writer_of(dsn) as writer:
        await writer.put_trades(old, source="ws")
        await writer.put_trades(new, source="ws", epoch=1)
    await sink.write(Batch(trades=[stores.run_of(old)]))
    await sink.write(Batch(trades=[structs.replace(stores.run_of(new), epoch=1, after_id=103)]))

    assert told(client.trades(SYMBOL)) == [101, 102, 103, "epoch 1", 1, 2, 3, 4]
    assert told(client.trades(SYMBOL, start=NOON_MS + 3_600_000)) == [1, 2, 3, 4]
    with client.live(TRADES, start=NOON_MS) as live:
        assert told(itertools.islice(live, 8)) == [101, 102, 103, "epoch 1", 1, 2, 3, 4]


async def test_reasons_that_the_database_keeps_outlive_the_store(
    client: Client, request: pytest.FixtureRequest, sink: RedisSink, reader: Reader, dsn: str
) -> None:
    await put_minutes(dsn, sink, 0, 2, reason="refused")
    async with writer_of(dsn) as writer:
        await writer.put_gaps(Key("kline", SYMBOL, "1m"), [stores.minutes(1, 1, "refused", "price_positive")])
    reader.client.delete(f"gaps:{SYMBOL}")

    (gap,) = client.klines(SYMBOL, "1m").gaps

    known = "unknown" if "-http]" in request.node.name else "refused"
    assert (gap.first, gap.reason) == (at(1), known)


async def test_start_behind_which_there_is_nothing_is_a_gap_up_to_now(client: Client, sink: RedisSink) -> None:
    """Five minutes of an interval that nobody collects, where a frame without a row would look whole."""
    await sink.write(stores.klines(kline(0)))

    records = client.klines(SYMBOL, "1m", start="-5m")

    (gap,) = records.gaps
    assert gap.count in (3, 4)
    assert gap.reason == "unknown"
    assert list(records) == records.gaps
    with pytest.raises(GapFound):
        client.klines(SYMBOL, "1m", start="-5m", gaps="raise").to_numpy()


def hang_up_ranges(client: Client) -> None:
    """As the HTTP side does with a slow reader."""
    api = client._answering._api
    assert api is not None
    for each in api._ranges.values():
        with suppress(OSError):
            if each.connection.sock is not None:
                each.connection.sock.shutdown(socket.SHUT_RDWR)


async def test_long_ranges_come_in_pieces_also_when_they_are_cut(
    address: str, service: HttpService, sink: RedisSink, reader: Reader, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More ranges at once than are kept open, and each of them cut in its midst: as a slow reader's is."""
    execute(dsn, "truncate market_data_ohlcv, market_data_trades")
    await put_minutes(dsn, sink, *range(30), 33, *range(35, 60))
    await put_trades(dsn, 1, 60)
    monkeypatch.setattr(stored, "API_PAGE_ROWS", 5)
    monkeypatch.setattr(http, "PIECE_BYTES", 1000)

    with Client(address, api=service.url, database="") as client:
        whole = told(client.klines(SYMBOL, "1m"))
        several = [iter(client.klines(SYMBOL, "1m")) for _ in range(http.RANGES_AT_ONCE + 1)]
        side_by_side = [told(items) for items in zip(*several, strict=True)]
        cut: list[Item] = []
        for item in client.trades(SYMBOL):
            cut.append(item)
            hang_up_ranges(client)

    expected: list[object] = [("1m", minute) for minute in (*range(30), 33, *range(35, 60))]
    expected[30:30] = [(at(30), at(32), "absent")]
    expected[32:32] = [(at(34), at(34), "absent")]
    assert whole == expected
    assert side_by_side == [[each] * len(several) for each in expected]
    assert told(cut) == list(range(1, 61))
