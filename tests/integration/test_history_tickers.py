"""Samples of `latest:` in PostgreSQL: with a running collector, and the sampler alone on a real store."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import pytest
from msgspec import structs

from data_collector.model.store_url import parse_store_url
from data_collector.model.wire import TICKER_FIELDS, ticker_fields, trade_time_text
from data_collector.service.history_writer import sampling as history_sampling
from data_collector.service.history_writer.messages import Orders
from data_collector.service.history_writer.sampling import TickerSampler
from data_collector.sinks.postgres import forgetting
from data_collector.sinks.postgres.following import FollowedDatabase
from data_collector.sinks.redis.connection import StoreConnection
from tests.integration.postgres_server import execute, rows
from tests.integration.scene import playing
from tests.integration.store_reader import Store
from tests.integration.test_history_writer import answers, history, writer_pid
from tests.integration.waiting import until_async
from tests.market import NOON_MS, sparse_ticker, ticker, untraded_ticker

TIMES = ("open_time", "close_time")
TEXTS = tuple(name for name in TICKER_FIELDS[1:] if name not in TIMES)
TIME = "to_char({}, 'YYYY-MM-DD\"T\"HH24:MI:SS.MS+00:00')"
COLUMNS = ", ".join([TIME.format("timestamp"), *map(TIME.format, TIMES), *(f"{name}::text" for name in TEXTS)])
NEWEST = f"select distinct on (symbol) symbol, {COLUMNS} from market_data_tickers order by symbol, timestamp desc"
COUNT = "select count(*)::integer from market_data_tickers"


def newest_of(store: Store, *symbols: str) -> list[tuple[object, ...]]:
    """What NEWEST answers when the newest ticker of the store is there, digit for digit."""
    found = [(symbol, store.hash(f"latest:{symbol}")) for symbol in symbols]
    return [
        (symbol, *(trade_time_text(int(fields[name])) for name in ("event_ms", *TIMES)), *map(fields.get, TEXTS))
        for symbol, fields in found
    ]


def put(store: Store, symbol: str, event_ms: int = NOON_MS, /, **changes: object) -> None:
    """The ticker that the store holds from now on."""
    made = structs.replace(ticker(event_ms), symbol=symbol, **changes)
    store.ask("HSET", f"latest:{symbol}", "event_ms", event_ms, *ticker_fields(made))


def orders_for(store: Store, *symbols: str) -> Orders:
    return Orders("postgresql://h/d", store.url, "", "binance", symbols, klines=True, trades=False, tickers=True)


async def test_tickers_are_sampled_each_event_time_once_with_the_stores_digits(
    store: Store, folder: Path, database: str
) -> None:
    async with playing(store, folder, database_url=database, postgres_tickers="1") as scene:
        await scene.subscribed()
        for _ in range(2):
            await scene.trade(20_000)
            in_table = partial(answers, database, NEWEST, newest_of(store, *scene.symbols))
            await until_async(in_table, "the newest tickers")
        # What a writer has written and not told yet when it is killed is not counted.
        await history(scene, lambda found: (found.rows["ticker"],) == rows(database, COUNT)[0], "the count of rows")

        os.kill(writer_pid(), signal.SIGKILL)
        await history(scene, lambda found: found.restarts == 1 and found.state == "running", "a new writer")
        await scene.trade(20_000)
        newest = newest_of(store, *scene.symbols)
        await until_async(partial(answers, database, NEWEST, newest), "the tickers after it")

        await history(scene, lambda found: (found.rows["ticker"],) == rows(database, COUNT)[0], "the new rows alone")
        assert scene.status.history.rows["ticker"] >= 3 * len(scene.symbols)
        assert scene.counted("history_rows_total", channel="ticker") == scene.status.history.rows["ticker"]
        assert scene.status.condition == "healthy", scene.status.reasons


async def test_while_postgresql_refuses_health_tells_and_afterwards_the_newest_ticker_comes(
    store: Store, folder: Path, database: str
) -> None:
    async with playing(store, folder, database_url=database, postgres_tickers="1") as scene:
        await scene.subscribed()
        await scene.trade(5_000)
        await history(scene, lambda found: found.rows["ticker"] > 0, "the first samples")

        execute(database, "alter table market_data_tickers rename to elsewhere")
        await scene.trade(5_000)
        await until_async(lambda: any("market_data_tickers" in reason for reason in scene.status.reasons), "the reason")
        await scene.trade(5_000)
        execute(database, "alter table elsewhere rename to market_data_tickers")

        newest = newest_of(store, *scene.symbols)
        await until_async(partial(answers, database, NEWEST, newest), "the newest tickers")
        await until_async(lambda: scene.status.condition == "healthy", "health")


async def test_symbols_take_turns_and_only_what_moved_on_is_read_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_sampling, "SYMBOLS_PER_ROUND", 2)
    monkeypatch.setattr(history_sampling, "ROUND_S", 0.0)
    symbols = ("AUSDT", "BUSDT", "CUSDT", "DUSDT", "EUSDT")
    for symbol in symbols[:4]:
        put(store, symbol)
    # A price of trades alone, before the first ticker.
    store.ask("HSET", "latest:EUSDT", "symbol", "EUSDT", "price", "1")
    connection = await StoreConnection.connect(parse_store_url(store.url))
    sampler = TickerSampler(connection, orders_for(store, *symbols))

    async def round_of_all() -> list[list[str]]:
        looks = [await sampler.read() for _ in range(3)]
        for found in looks:
            sampler.take(found)
        return [[each.symbol for each in found] for found in looks]

    first = await round_of_all()
    put(store, "BUSDT", NOON_MS + 1_000)
    # A store that a fail-over took back.
    put(store, "DUSDT", NOON_MS - 1_000)
    second = await round_of_all()
    third = await round_of_all()
    connection.close()

    assert first == [["AUSDT", "BUSDT"], ["CUSDT", "DUSDT"], []]
    assert second == [["BUSDT"], ["DUSDT"], []]
    assert third == [[], [], []]


async def test_what_was_read_and_not_written_is_read_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_sampling, "ROUND_S", 0.0)
    put(store, "BTCUSDT")
    connection = await StoreConnection.connect(parse_store_url(store.url))
    sampler = TickerSampler(connection, orders_for(store, "BTCUSDT"))

    looks = [await sampler.read(), await sampler.read()]
    connection.close()

    assert [[each.event_ms for each in found] for found in looks] == [[NOON_MS]] * 2


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("last_price", "NaN"),
        ("volume", ""),
        ("bid_qty", "1e9999"),
        ("count", "many"),
        ("close_time", "999999999999999"),
        ("last_id", "9223372036854775808"),
    ],
)
async def test_a_hash_that_holds_no_ticker_is_passed_over(
    store: Store, monkeypatch: pytest.MonkeyPatch, field: str, text: str
) -> None:
    monkeypatch.setattr(history_sampling, "ROUND_S", 0.0)
    for symbol in ("AUSDT", "CUSDT"):
        put(store, symbol)
    store.ask("HSET", "latest:AUSDT", field, text)
    store.ask("SET", "latest:BUSDT", "somebody else's")
    connection = await StoreConnection.connect(parse_store_url(store.url))
    sampler = TickerSampler(connection, orders_for(store, "AUSDT", "BUSDT", "CUSDT"))

    spoiled = await sampler.read()
    put(store, "AUSDT", NOON_MS + 1_000)
    mended = await sampler.read()
    connection.close()

    assert [each.symbol for each in spoiled] == ["CUSDT"]
    assert [each.symbol for each in mended] == ["AUSDT", "CUSDT"]


async def test_a_ticker_of_a_known_time_changes_nothing_and_no_digit_is_lost(database: str) -> None:
    followed = await FollowedDatabase.open(database, "binance")
    long = structs.replace(ticker(NOON_MS + 7), volume="123456789012.12345678", last_price="0.12300000")

    added = [await followed.put_tickers([structs.replace(long, count=count)]) for count in (500, 501)]
    followed.close()

    assert added == [1, 0]
    query = f"select {TIME.format('timestamp')}, volume::text, last_price::text, count from market_data_tickers"
    assert rows(database, query) == [("2024-01-01T12:00:00.007+00:00", "123456789012.12345678", "0.12300000", 500)]


async def test_day_without_a_trade_has_null_for_its_prices(
    store: Store, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Zeros and -1 on the wire; `latest:` has left the prices out."""
    monkeypatch.setattr(history_sampling, "ROUND_S", 0.0)
    untraded = untraded_ticker(bid_price="0.00000000", bid_qty="0.00000000")
    fields = dict(zip(ticker_fields(untraded)[::2], ticker_fields(untraded)[1::2], strict=True))
    there = [text for field in fields.items() if field[1] for text in field]
    store.ask("HSET", "latest:BTCUSDT", "event_ms", NOON_MS, "price", "0.00467300", *there)
    connection = await StoreConnection.connect(parse_store_url(store.url))
    followed = await FollowedDatabase.open(database, "binance")

    added = await followed.put_tickers(await TickerSampler(connection, orders_for(store, "BTCUSDT")).read())
    connection.close()
    followed.close()

    names = "last_price, high_price, price_change, bid_price, prev_close_price::text, bid_qty::text, count, last_id"
    assert added == 1
    assert rows(database, f"select {names} from market_data_tickers") == [
        (None, None, None, None, "0.00467300", "0.00000000", 0, -1)
    ]


async def test_what_an_exchange_does_not_tell_is_null(
    store: Store, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_sampling, "ROUND_S", 0.0)
    fields = dict(zip(ticker_fields(sparse_ticker())[::2], ticker_fields(sparse_ticker())[1::2], strict=True))
    there = [text for field in fields.items() if field[1] for text in field]
    store.ask("HSET", "latest:BTCUSDT", "event_ms", NOON_MS, *there)
    connection = await StoreConnection.connect(parse_store_url(store.url))
    followed = await FollowedDatabase.open(database, "binance")

    added = await followed.put_tickers(await TickerSampler(connection, orders_for(store, "BTCUSDT")).read())
    connection.close()
    followed.close()

    names = "last_price::text, last_qty, quote_volume, open_time, close_time, first_id, last_id, count"
    assert added == 1
    assert rows(database, f"select {names} from market_data_tickers") == [("45180.50", *[None] * 7)]


async def test_tickers_that_are_too_old_go_a_few_at_a_time(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "ROWS_PER_STATEMENT", 2)
    followed = await FollowedDatabase.open(database, "binance")
    now_ms = int(str(rows(database, "select (extract(epoch from now()) * 1000)::bigint")[0][0]))
    ages_days = (0, 5, 11, 12, 400)
    await followed.put_tickers([ticker(now_ms - days * 86_400_000) for days in ages_days])

    (series,) = await followed.old_series("market_data_tickers", 10)
    gone = [await followed.delete_oldest(series) for _ in range(3)]
    none_left = await followed.old_series("market_data_tickers", 10)
    followed.close()

    assert (gone, none_left) == ([2, 1, 0], [])
    left = rows(database, "select (extract(epoch from now() - timestamp) / 86400)::int from market_data_tickers")
    assert sorted(left) == [(0,), (5,)]
