"""Shapes of memories in a real PostgreSQL with pgvector: kept in step, found again, and told where it cannot be."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec import structs

from data_collector.client import DatabaseAway, Kline, WrongQuestion
from data_collector.client.adapters.memory import Memory
from data_collector.client.adapters.pgvector import PgVectorStore, StoredHit
from data_collector.client.records import time_of
from data_collector.embedded.postgres import programs_for, server_user
from data_collector.sinks.postgres.migrate import migrate
from data_collector.sinks.postgres.pool import open_pool
from data_collector.sinks.postgres.writing import PostgresWriter
from tests.docs.tree import read
from tests.integration.postgres_server import database_named, execute, fresh_database, login, postgres_server, rows
from tests.market import MINUTE_MS, NOON_MS, SYMBOL
from tests.market import kline as stored_kline
from tests.unit.client.adapters.candles import feed, klines, walk

FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)

WINDOW = 16
COUNT = 4000


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The embedded one, which has pgvector."""
    with postgres_server(programs=programs_for(server_user())) as server:
        yield server.dsn


@pytest.fixture
def dsn(server: str) -> Iterator[str]:
    with fresh_database(server) as dsn:
        yield dsn


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory(tmp_path, SYMBOL, "1m", WINDOW) as memory:
        yield memory


@pytest.fixture
def store(dsn: str) -> Iterator[PgVectorStore]:
    with PgVectorStore(dsn) as store:
        yield store


def at(minute: int) -> datetime:
    return time_of(NOON_MS + minute * MINUTE_MS)


def of_symbol(symbol: str, seed: int, count: int = COUNT) -> list[Kline]:
    return [structs.replace(each, symbol=symbol) for each in klines(walk(count, seed))]


def stored(dsn: str) -> list[tuple[object, ...]]:
    return rows(dsn, "select symbol, begins, ends, shape::text from market_memory order by symbol, begins")


def starts(hits: list[StoredHit]) -> set[datetime]:
    return {hit.start for hit in hits}


def test_index_finds_what_the_exact_search_finds(memory: Memory, store: PgVectorStore) -> None:
    feed(memory, klines(walk(COUNT)))
    told = list[datetime]()
    assert store.sync(memory, tell=lambda _, reached: told.append(reached)) == COUNT - WINDOW + 1
    assert told == [at(COUNT - WINDOW)]

    found = expected = 0
    for minute in range(2000, COUNT, 100):
        exact = memory.similar(10, at(minute), horizons=(5,), scale=None)
        hits = store.similar(memory, 10, at(minute), horizon=5)
        expected += len(exact)
        found += len({hit.start for hit in exact} & starts(hits))
        similarities = {hit.start: hit.similarity for hit in exact}
        assert len(hits) == 10
        for hit in hits:
            assert hit.end == hit.start + WINDOW * (at(1) - at(0)) <= at(minute - WINDOW)
            assert hit.similarity == pytest.approx(similarities.get(hit.start, hit.similarity), abs=2e-3)

    assert found / expected >= 0.95


def test_condition_that_keeps_few_rows_gives_as_many_as_are_asked_for(
    tmp_path: Path, dsn: str, store: PgVectorStore
) -> None:
    """Without iterative scans the index would give one of ten."""
    with Memory(tmp_path, SYMBOL, "1m", WINDOW) as memory, Memory(tmp_path, "RAREUSDT", "1m", WINDOW) as rare:
        feed(memory, klines(walk(COUNT)))
        rare.take(of_symbol("RAREUSDT", seed=9, count=400))
        store.sync(memory, rare)

        hits = store.similar(memory, 10, symbols=["RAREUSDT"])

    assert [hit.symbol for hit in hits] == ["RAREUSDT"] * 10
    assert [hit.similarity for hit in hits] == sorted((hit.similarity for hit in hits), reverse=True)
    assert "hnsw" in str(rows(dsn, "select indexdef from pg_indexes where indexname = 'market_memory_shape'"))


def test_moments_of_other_series_are_found_and_their_outcomes_were_known(tmp_path: Path, store: PgVectorStore) -> None:
    """The other one is the same walk: its window of the same time is the most alike, and its outcome is not known."""
    with Memory(tmp_path, SYMBOL, "1m", WINDOW) as memory, Memory(tmp_path, "TWINUSDT", "1m", WINDOW) as twin:
        feed(memory, klines(walk(1000)))
        twin.take([structs.replace(each, symbol="TWINUSDT") for each in klines(walk(1000))])
        store.sync(memory, twin)

        hits = store.similar(memory, 2, at(900), horizon=30, exclusion=1)
        now = store.similar(memory, 1, at(900), horizon=0)

    assert max(hit.end for hit in hits) <= at(900 - 30)
    assert {hit.symbol for hit in hits} == {SYMBOL, "TWINUSDT"}, "both of the same moment"
    assert (now[0].symbol, now[0].end) == ("TWINUSDT", at(900))
    assert now[0].similarity == pytest.approx(1, abs=1e-3)


def test_sync_goes_on_where_the_table_ends(memory: Memory, dsn: str) -> None:
    candles = klines(walk(2000))
    feed(memory, candles[:1900])
    with PgVectorStore(dsn) as store:
        store.sync(memory)
        memory.take(candles[1900:1901])
        assert store.sync(memory) == 1
        assert store.sync(memory) == 0
    memory.take(candles[1901:])
    with PgVectorStore(dsn) as store:
        assert store.sync(memory) == 99
        assert store.sync(memory) == 0

    assert [begins for _, begins, _, _ in stored(dsn)] == [at(minute) for minute in range(2000 - WINDOW + 1)]


def test_corrected_and_late_candles_change_the_table_too(memory: Memory, tmp_path: Path, dsn: str) -> None:
    candles = klines(walk(600))
    corrected = structs.replace(candles[300], close=candles[300].close * Decimal("1.001"))
    flat = [structs.replace(each, close=candles[100].close) for each in candles[100 : 100 + WINDOW]]
    feed(memory, [*candles[:400], *candles[401:]])
    with PgVectorStore(dsn) as store:
        store.sync(memory)
        memory.take([corrected])
        assert store.sync(memory) == WINDOW
        memory.take([candles[400]])
        assert store.sync(memory) == WINDOW
        memory.take(flat)
        store.sync(memory)
    found = stored(dsn)
    execute(dsn, "drop table market_memory")
    with PgVectorStore(dsn) as store:
        store.sync(memory)

    assert found == stored(dsn)
    assert at(100) not in {begins for _, begins, _, _ in found}


def test_table_of_other_shapes_is_refused(memory: Memory, tmp_path: Path, dsn: str, store: PgVectorStore) -> None:
    feed(memory, klines(walk(100)))
    store.sync(memory)
    execute(dsn, "create table mine (id int)")

    with Memory(tmp_path, SYMBOL, "1m", 8) as other:
        with pytest.raises(WrongQuestion, match=r'holds shapes of "shape/1 window=16 .*give another name with table='):
            store.sync(other)
        with PgVectorStore(dsn, "shapes_of_8") as another:
            assert another.sync(other) == 93
        with PgVectorStore(dsn, "mine") as another, pytest.raises(WrongQuestion, match="nobody knows what"):
            another.sync(other)


@pytest.mark.parametrize(
    ("catalog", "words"),
    [
        ("pg_available_extensions as select 'other' as name, '1' as installed_version", "lacks the extension pgvector"),
        ("pg_extension as select 'vector' as extname, '0.7.4' as extversion", "pgvector 0.7.4 is too old"),
    ],
)
def test_extension_that_is_missing_or_old_is_told(memory: Memory, dsn: str, catalog: str, words: str) -> None:
    """As a server without it would say: its catalogue is hidden behind ours."""
    execute(dsn, f"create view {catalog}")
    feed(memory, klines(walk(100)))

    with PgVectorStore(f"{dsn}?search_path=public,pg_catalog") as store, pytest.raises(WrongQuestion, match=words):
        store.sync(memory)


def test_login_that_may_not_create_the_extension_is_told_who_may(memory: Memory, dsn: str) -> None:
    feed(memory, klines(walk(100)))

    with (
        login(dsn, "usage on schema public") as (_, limited),
        PgVectorStore(limited) as store,
        pytest.raises(WrongQuestion, match="let somebody who may run `create extension vector`"),
    ):
        store.sync(memory)


def test_database_that_is_away_or_no_address_is_told(memory: Memory, dsn: str) -> None:
    feed(memory, klines(walk(100)))

    with PgVectorStore(database_named(dsn, "nowhere")) as store, pytest.raises(DatabaseAway, match="cannot be used"):
        store.sync(memory)
    with PgVectorStore("http://example") as store, pytest.raises(WrongQuestion, match="write postgresql://"):
        store.sync(memory)
    with PgVectorStore(dsn, "drop table") as store, pytest.raises(WrongQuestion, match="is no name of a table"):
        store.sync(memory)


def test_window_that_is_too_long_for_an_index_is_told(tmp_path: Path, store: PgVectorStore) -> None:
    with Memory(tmp_path, SYMBOL, "1m", 1500) as memory, pytest.raises(WrongQuestion, match="take a shorter window"):
        store.sync(memory)


async def test_table_and_query_of_the_documents_are_those_that_work(tmp_path: Path, dsn: str) -> None:
    create, query = (text for language, text in FENCE.findall(read("docs/memory.md")) if language == "sql")
    pool = await open_pool(dsn, size=1)
    async with pool.acquire() as connection:
        await migrate(connection)
        await connection.execute("create extension vector")
        await connection.execute(create)
    await PostgresWriter(pool, "binance").put_klines(
        [stored_kline(minute, close=str(45000 + minute)) for minute in range(COUNT)], source="rest"
    )
    with Memory(tmp_path, SYMBOL, "1m") as memory, PgVectorStore(dsn) as store:
        feed(memory, klines(walk(COUNT)))
        store.sync(memory)
        async with pool.acquire() as connection:
            _, _, asked, _ = query.split(";", 3)
            found = await connection.fetch(asked)
    await pool.close()

    assert len(found) == 10
    begins, ends, later = (found[0][name] for name in ("begins", "ends", "an_hour_later"))
    assert isinstance(begins, datetime)
    assert ends == begins + 64 * (at(1) - at(0))
    minute = round((begins - at(0)).total_seconds() / 60) + 63
    assert later == pytest.approx(Decimal(45060 + minute) / Decimal(45000 + minute) - 1)


def test_history_that_came_later_is_in_the_table_too(memory: Memory, dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many windows at once, in front of all others and between them; pages are small."""
    candles = klines(walk(900))
    flat = [structs.replace(each, close=candles[100].close) for each in candles[100:140]]
    monkeypatch.setattr(Memory.vector_pages, "__defaults__", (None, None, 50))
    feed(memory, [*candles[500:600], *candles[700:]])
    with PgVectorStore(dsn) as store:
        store.sync(memory)
        memory.take(candles[:500])
        memory.take(candles[600:700])
        memory.take(flat)
        store.sync(memory)
    found = stored(dsn)

    assert [begins for _, begins, _, _ in found] == [
        at(minute) for minute in range(900 - WINDOW + 1) if not 100 <= minute <= 140 - WINDOW
    ]
