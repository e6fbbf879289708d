"""What the history writer does with a running collector, a real store and a real PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from msgspec import structs

from data_collector.facade import DataCollector
from data_collector.model.status import HistoryStatus
from data_collector.model.store_url import parse_store_url
from data_collector.model.wire import kline_json, trade_json
from data_collector.service.history_writer import reading as history_reading
from data_collector.service.history_writer.messages import Orders
from data_collector.service.history_writer.part import LATE_S
from data_collector.service.history_writer.reading import StreamReader
from data_collector.service.history_writer.writer import HistoryWriter
from data_collector.sinks.postgres.following import FollowedDatabase
from data_collector.sinks.postgres.writing import Written
from data_collector.sinks.redis.connection import StoreConnection
from tests.integration.postgres_server import execute, rows
from tests.integration.scene import Scene, playing
from tests.integration.store_reader import Store, parsed
from tests.integration.test_postgres_writing import KLINE, TRADE
from tests.integration.waiting import until_async

CANDLES = (
    "select symbol, interval, to_char(timestamp, 'YYYY-MM-DD\"T\"HH24:MI:SS+00:00'), close::text, volume::text, trades,"
    " source from market_data_ohlcv order by 1, 2, 3"
)


async def history(scene: Scene, holds: Callable[[HistoryStatus], bool], what: str) -> HistoryStatus:
    """The status, once it is so."""
    await until_async(lambda: holds(scene.status.history), what)
    return scene.status.history


def truth(scene: Scene) -> list[tuple[object, ...]]:
    """What CANDLES answers when every closed candle of the store is there once."""
    entries = [entry for symbol in scene.symbols for entry in scene.store.entries(f"stream:{symbol}")]
    return sorted(
        (r["symbol"], r["interval"], r["timestamp"], str(r["close"]), str(r["volume"]), r["trades"], source)
        for r, source in ((parsed(each["fields"]["data"]), each["fields"].get("src", "ws")) for each in entries)
        if r["is_closed"] and r["interval"] == "1m"
    )


def minutes(dsn: str) -> list[tuple[object, ...]]:
    """The 1m candles in PostgreSQL, if there are tables yet."""
    if rows(dsn, "select to_regclass('market_data_cursors')::text") == [(None,)]:
        return []
    return [row for row in rows(dsn, CANDLES) if row[1] == "1m"]


async def test_closed_candles_and_trades_are_in_postgresql_once_with_the_stores_digits(
    store: Store, folder: Path, database: str
) -> None:
    async with playing(store, folder, database_url=database, postgres_trades="1") as scene:
        await scene.subscribed()
        await scene.trade(20_000)
        await scene.klines_closed()
        await scene.klines_closed()

        await until_async(lambda: minutes(database) == truth(scene) != [], "all candles in PostgreSQL")
        for symbol in scene.symbols:
            records = store.records(f"trades:{symbol}")
            expected: list[tuple[object, ...]] = [(r["trade_id"], str(r["price"]), str(r["quantity"])) for r in records]
            query = f"select trade_id, price::text, quantity::text from market_data_trades where symbol = '{symbol}'"
            await until_async(partial(answers, database, f"{query} order by 1", expected), f"all trades of {symbol}")
        status = await history(scene, lambda found: found.state == "running" and found.rows["trade"] > 0, "rows")
        assert status.database is not None
        assert scene.status.condition == "healthy", scene.status.reasons


async def test_a_writer_that_is_held_is_told_and_one_that_is_killed_is_started_again_and_nothing_is_lost(
    store: Store, folder: Path, database: str
) -> None:
    async with playing(store, folder, database_url=database) as scene:
        await scene.subscribed()
        await scene.trade(5_000)
        await scene.klines_closed()
        await until_async(lambda: minutes(database) == truth(scene) != [], "the first candles")

        await history(scene, lambda found: found.lag_entries == 0, "no lag")
        os.kill(writer_pid(), signal.SIGSTOP)
        held = await history(scene, lambda found: found.lag_seconds > LATE_S, "the age of its last word")
        assert (held.state, held.lag_entries) == ("down", 0)
        assert any("the history writer has said nothing for" in reason for reason in scene.status.reasons)

        os.kill(writer_pid(), signal.SIGKILL)
        await scene.klines_closed()

        await history(scene, lambda found: found.restarts == 1 and found.state == "running", "a new writer")
        await until_async(lambda: minutes(database) == truth(scene), "the candles after it")


async def test_a_foreign_table_is_told_in_health_and_left_alone_until_it_is_gone(
    store: Store, folder: Path, database: str
) -> None:
    execute(database, "create table market_data_ohlcv (id integer)")
    async with playing(store, folder, database_url=database) as scene:
        await scene.subscribed()
        await scene.klines_closed()
        await until_async(lambda: any("not by us" in reason for reason in scene.status.reasons), "the reason")
        assert scene.status.condition == "degraded"

        execute(database, "drop table market_data_ohlcv")

        await until_async(lambda: minutes(database) == truth(scene) != [], "all candles, from the beginning")
        await until_async(lambda: scene.status.condition == "healthy", "health")


async def test_a_candle_in_the_stream_again_is_kept_as_a_revision(store: Store, folder: Path, database: str) -> None:
    async with playing(store, folder, database_url=database) as scene:
        await scene.subscribed()
        await scene.klines_closed()
        await until_async(lambda: minutes(database) == truth(scene) != [], "the candles")
        symbol, interval, opened = minutes(database)[0][:3]
        text = store.text(f"kline:{symbol}:{interval}:{opened}")
        assert text is not None

        store.ask("XADD", f"late:{symbol}", "*", "data", text.replace('"volume":', '"volume":1'), "why", "revision")

        await until_async(lambda: rows(database, "select 1 from market_data_ohlcv_revisions") == [(1,)], "a revision")


async def test_a_store_that_was_emptied_is_read_from_its_beginning_and_doubles_nothing(
    store: Store, folder: Path, database: str
) -> None:
    async with playing(store, folder, database_url=database) as scene:
        await scene.subscribed()
        await scene.klines_closed()
        await until_async(lambda: minutes(database) == truth(scene) != [], "the first candles")
        future = "99999999999999-0"
        execute(database, f"update market_data_cursors set position = '{future}'")

        os.kill(writer_pid(), signal.SIGKILL)
        await scene.klines_closed()

        await until_async(lambda: minutes(database) == truth(scene), "the candles after it")


FOREIGN = {
    "stream:BTCUSDT": [
        kline_json(structs.replace(KLINE, volume="1e300000"), '"BTCUSDT"'),
        kline_json(structs.replace(KLINE, volume="1" * 200_000), '"BTCUSDT"'),
        kline_json(structs.replace(KLINE, interval="1\\tm"), '"BTCUSDT"'),
        kline_json(structs.replace(KLINE, trades=2**63), '"BTCUSDT"'),
        kline_json(KLINE, '"BTC\\u0000"'),
    ],
    "trades:BTCUSDT": [trade_json(structs.replace(TRADE, trade_id=2**63), '"BTCUSDT"')],
    "gaps:BTCUSDT": [
        f'{{"symbol":"{symbol}","channel":"{channel}","interval":null,"first":{first},"last":{last},"count":1,'
        '"reason":"lost"}'
        for symbol, channel, first, last in (
            ("BTC\\u0000", "trade", 1, 2),
            ("BTCUSDT", "book", 1, 2),
            ("BTCUSDT", "trade", 2, 1),
            ("BTCUSDT", "trade", 1, 2**63),
            ("BTCUSDT", "trade", '"x"', '"y"'),
        )
    ],
}
"""What somebody with a login can put into the streams, and PostgreSQL cannot hold."""


async def test_entries_that_no_database_can_hold_are_counted_and_stop_nothing(store: Store, database: str) -> None:
    for key, texts in FOREIGN.items():
        for text in texts:
            store.ask("XADD", key, "*", "data", text)
    store.ask("XADD", "stream:BTCUSDT", "*", "data", kline_json(KLINE, '"BTCUSDT"'))
    writer = HistoryWriter(Orders(database, store.url, "", "binance", ("BTCUSDT",), klines=True, trades=True))
    running = asyncio.create_task(writer.run())

    await until_async(lambda: running.done() or writer.progress.rows["kline"] == 1, "the candle behind them")

    assert not running.done()
    assert writer.progress.unreadable == sum(map(len, FOREIGN.values()))
    running.cancel()
    await asyncio.wait([running])


async def test_rows_tell_where_entries_are_from_and_the_rules_that_mark_them(store: Store, database: str) -> None:
    marks: list[tuple[str, ...]] = [(), ("src", "rest"), ("src", "built", "check", "ok"), ("warnings", "cap,floor")]
    for number, fields in enumerate(marks):
        kline, trade = structs.replace(KLINE, open_ms=60_000 * number), structs.replace(TRADE, trade_id=number)
        store.ask("XADD", "stream:BTCUSDT", "*", "data", kline_json(kline, '"BTCUSDT"'), *fields)
        store.ask("XADD", "trades:BTCUSDT", f"1-{number}", "data", trade_json(trade, '"BTCUSDT"'), *fields)
    revised = kline_json(structs.replace(KLINE, open_ms=0, close="1"), '"BTCUSDT"')
    store.ask("XADD", "late:BTCUSDT", "*", "data", revised, "why", "revision", "src", "rest", "warnings", "cap")
    writer = HistoryWriter(Orders(database, store.url, "", "binance", ("BTCUSDT",), klines=True, trades=True))
    running = asyncio.create_task(writer.run())

    await until_async(lambda: (writer.progress.rows["kline"], writer.progress.rows["trade"]) == (4, 4), "the rows")

    running.cancel()
    await asyncio.wait([running])
    origins: list[tuple[object, ...]] = [("rest", None), ("built", None), ("ws", ["cap", "floor"])]
    columns = "select source, warnings from market_data"
    assert rows(database, f"{columns}_trades order by trade_id") == [("ws", None), *origins]
    assert rows(database, f'{columns}_ohlcv order by "timestamp"') == [("rest", ["cap"]), *origins]
    assert rows(database, f"{columns}_ohlcv_revisions") == [("ws", None)]


async def test_a_candle_that_rest_brought_into_the_stream_does_not_come_back_over_its_revision(
    store: Store, database: str
) -> None:
    told = kline_json(KLINE, '"BTCUSDT"')
    store.ask("XADD", "stream:BTCUSDT", "*", "data", told, "src", "rest")
    store.ask("XADD", "late:BTCUSDT", "*", "data", told.replace('"close":', '"close":1'), "why", "revision")
    orders = Orders(database, store.url, "", "binance", ("BTCUSDT",), klines=True, trades=False)
    connection = await StoreConnection.connect(parse_store_url(store.url))
    followed = await FollowedDatabase.open(database, "binance")
    for _ in range(2):
        batch = (await StreamReader(connection, orders, {}).read()).whole()
        written = await followed.put(batch.klines, batch.revised, batch.trades, [], batch.cursors)

    connection.close()
    followed.close()
    assert written[0] == Written(known=2)
    assert len(rows(database, "select 1 from market_data_ohlcv_revisions")) == 1


async def test_each_store_is_read_whole_into_one_database(store: Store, database: str) -> None:
    other = Store(store.url.removesuffix("/0") + "/1")
    texts = [kline_json(structs.replace(KLINE, open_ms=60_000 * number), '"BTCUSDT"') for number in range(3)]
    store.ask("XADD", "stream:BTCUSDT", "2000-0", "data", texts[0])
    other.ask("XADD", "stream:BTCUSDT", "1000-0", "data", texts[1])
    other.ask("XADD", "stream:BTCUSDT", "3000-0", "data", texts[2])

    for each, count in ((store, 1), (other, 2)):
        orders = Orders(database, each.url, "", "binance", ("BTCUSDT",), klines=True, trades=False)
        writer = HistoryWriter(orders)
        running = asyncio.create_task(writer.run())
        await until_async(lambda: writer.progress.rows["kline"] == count, "the candles of this store")  # noqa: B023
        running.cancel()
        await asyncio.wait([running])

    assert len(rows(database, "select 1 from market_data_ohlcv")) == 3
    other.close()


async def test_a_revision_waits_for_the_candle_that_it_revises(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_reading, "ENTRIES_PER_READ", 9)
    texts = [
        kline_json(kline, '"BTCUSDT"')
        for kline in (structs.replace(KLINE, open_ms=KLINE.open_ms + 60_000 * number) for number in range(4))
    ]
    for text in texts:
        store.ask("XADD", "stream:BTCUSDT", "*", "data", text)
    store.ask("XADD", "late:BTCUSDT", "*", "data", texts[3].replace('"volume":', '"volume":1'), "why", "revision")
    connection = await StoreConnection.connect(parse_store_url(store.url))
    orders = Orders("postgresql://h/d", store.url, "", "binance", ("BTCUSDT",), klines=True, trades=False)
    reader = StreamReader(connection, orders, {})

    batches = [await reader.read() for _ in range(3)]

    connection.close()
    rows = [batch.whole() for batch in batches]
    volumes = [[row.record.volume for row in (*whole.klines, *whole.revised)] for whole in rows]
    plain = KLINE.volume
    assert volumes == [[plain] * 3, [plain, f"1{plain}"], []]
    assert [batch.is_full for batch in batches] == [True, False, False]


async def test_entries_that_wait_are_counted_without_being_read(store: Store) -> None:
    for number in range(1, 101):
        store.ask("XADD", "trades:BTCUSDT", f"{number // 10 + 1}-{number}", "data", "{}")
        store.ask("XADD", "stream:BTCUSDT", f"{number}-0", "data", "{}")
    connection = await StoreConnection.connect(parse_store_url(store.url))
    orders = Orders("postgresql://h/d", store.url, "", "binance", ("BTCUSDT",), klines=True, trades=True)

    async def waiting(**cursors: str) -> int:
        return await StreamReader(connection, orders, {f"{kind}:BTCUSDT": at for kind, at in cursors.items()}).waiting()

    found = [
        await waiting(),
        await waiting(trades="6-57", stream="100-0"),
        await waiting(trades="11-100", stream="51-0"),
        await waiting(trades="99-999", stream="100-0"),
    ]

    connection.close()
    assert found[:2] == [200, 43], "exact: all of them, and trades by their ids"
    assert 45 <= found[2] <= 55, "an estimate: half of the stream's time"
    assert found[3] == 0


class Storing(DataCollector):
    """Stores klines itself, as the contract shows it."""

    async def store_in_postgres(self, data: dict[str, object]) -> None:
        assert self.pg_pool is not None, "DATABASE_URL is set"
        columns = ("symbol", "timestamp", "open", "high", "low", "close", "volume", "interval")
        async with self.pg_pool.acquire() as conn:
            await conn.execute(
                "INSERT INTO market_data_ohlcv (symbol, timestamp, open, high, low, close, volume, interval) "
                "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                *[data[column] for column in columns],
            )


async def test_a_subclass_that_stores_klines_itself_is_the_only_one_who_does(
    store: Store, folder: Path, database: str
) -> None:
    async with playing(store, folder, kind=Storing, database_url=database, postgres_trades="1") as scene:
        await scene.subscribed()
        await scene.klines_closed()
        await scene.klines_closed()

        # The eight columns of the contract, and neither trades nor source.
        without_trades = [(*row[:5], None, None) for row in truth(scene)]
        await until_async(lambda: minutes(database) == without_trades != [], "the klines of the subclass")
        trades = sum(store.length(f"trades:{symbol}") for symbol in scene.symbols)
        await until_async(
            partial(answers, database, "select count(*)::integer from market_data_trades", [(trades,)]), "all trades"
        )
        assert minutes(database) == without_trades


def answers(dsn: str, query: str, expected: list[tuple[object, ...]]) -> bool:
    """Whether that is what the query answers."""
    return rows(dsn, query) == expected


def writer_pid() -> int:
    """The only history writer that is a child of ours."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    found = [int(pid) for pid in children if b"history-writer" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert len(found) == 1, found
    return found[0]
