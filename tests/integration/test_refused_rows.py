"""A database that refuses what it is given of one series takes that of all others, and somebody is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec import structs

from data_collector.api.series.postgres import PostgresAway, PostgresReading
from data_collector.cli.doctor.check_database import check_database
from data_collector.model.gaps import Gap
from data_collector.model.keys import Key
from data_collector.model.wire import gap_json, json_text, kline_json, trade_json
from data_collector.service.history_writer import writer as history_writer
from data_collector.service.history_writer.messages import Orders
from data_collector.service.history_writer.writer import HistoryWriter
from data_collector.settings import load_settings
from tests.integration.past import PAST, past
from tests.integration.postgres_server import execute, fresh_database, rows
from tests.integration.store_reader import Store
from tests.integration.test_postgres_writing import KLINE, TRADE
from tests.integration.waiting import until_async

NAMED = "币安人生USDT"
SYMBOLS = ("BTCUSDT", NAMED, "1000SATSUSDT")


@pytest.fixture
def latin(database_server: str) -> Iterator[str]:
    """The DSN of an empty database whose encoding is LATIN1."""
    with fresh_database(database_server, "LATIN1") as dsn:
        yield dsn


@asynccontextmanager
async def writing(
    dsn: str, store: Store, *symbols: str, epochs: dict[str, int] | None = None
) -> AsyncIterator[HistoryWriter]:  # fmt: skip
    orders = Orders(
        dsn, store.url, "", "binance", symbols, klines=True, trades=True, tickers=True, epochs=epochs or {}
    )  # fmt: skip
    writer = HistoryWriter(orders)
    running = asyncio.create_task(writer.run())
    try:
        yield writer
    finally:
        running.cancel()
        await asyncio.wait([running])


async def test_symbol_that_the_encoding_cannot_hold_keeps_no_other_out_and_is_told(store: Store, latin: str) -> None:
    """LATIN1, and 币安人生USDT beside 1000SATSUSDT."""
    for symbol in SYMBOLS:
        store.ask("XADD", f"stream:{symbol}", "*", "data", kline_json(KLINE, json_text(symbol)))
        store.ask("XADD", f"trades:{symbol}", f"1000-{TRADE.trade_id}", "data", trade_json(TRADE, json_text(symbol)))
    async with writing(latin, store, *SYMBOLS) as writer:
        await until_async(lambda: writer.progress.rows["trade"] == writer.progress.rows["kline"] == 2, "the others")
        await until_async(lambda: writer.progress.refused != {}, "the refusal")
        progress = writer.progress
    with pytest.raises(PostgresAway, match="UTF8"):
        async with (reading := PostgresReading(latin, "binance")).turn() as reader:
            await reader.span(NAMED, "1m")
    async with reading.turn() as reader:
        assert await reader.span("1000SATSUSDT", "1m") is not None
    reading.close()

    assert list(progress.refused) == [NAMED]
    assert "ENCODING 'UTF8'" in progress.refused[NAMED]


async def test_epoch_of_a_symbol_that_the_encoding_cannot_hold_stops_no_other(store: Store, latin: str) -> None:
    """LATIN1, and 币安人生USDT in epoch 1."""
    store.ask("XADD", "trades:BTCUSDT", f"1000-{TRADE.trade_id}", "data", trade_json(TRADE, '"BTCUSDT"'))
    async with writing(latin, store, "BTCUSDT", NAMED, epochs={"BTCUSDT": 2, NAMED: 1}) as writer:
        await until_async(lambda: writer.progress.rows["trade"] == 1, "the trade of the other")
        await until_async(lambda: list(writer.progress.refused) == [NAMED], "the refusal")

    assert rows(latin, "select symbol, epoch from market_data_epochs") == [("BTCUSDT", 2)]


async def test_backfill_fills_the_series_that_the_encoding_can_hold(tmp_path: Path, latin: str) -> None:
    market = structs.replace(PAST, symbols=("BTCUSDT", NAMED))
    async with past(tmp_path, latin, market) as world:
        ended = await world.told(symbols=f"BTCUSDT,{NAMED}")

        outcomes = {report.series: (report.outcome, report.reason) for report in ended.reports}
        assert world.stored() != []
    assert outcomes["BTCUSDT 1m"] == ("complete", "")
    outcome, reason = outcomes[f"{NAMED} 1m"]
    assert (outcome, "UTF8" in str(reason)) == ("failed", True)


async def test_doctor_tells_an_encoding_that_cannot_hold_the_symbols(latin: str) -> None:
    found = {
        symbols: next(
            each for each in await check_database(load_settings({"DATABASE_URL": latin, "SYMBOLS": symbols}, None))
            if each.check == "database encoding"
        )
        for symbols in ("BTCUSDT", f"BTCUSDT,{NAMED}")
    }  # fmt: skip

    assert [each.state for each in found.values()] == ["warn", "fail"]
    assert NAMED in found[f"BTCUSDT,{NAMED}"].seen


async def test_rows_that_a_constraint_refuses_wait_in_the_store_until_it_is_gone(
    store: Store, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody's CHECK on the table of trades refuses those of one symbol."""
    monkeypatch.setattr(history_writer, "RETRY_REFUSED_S", 0.5)
    trades = "select symbol, count(*)::integer from market_data_trades group by 1 order by 1"
    async with writing(database, store, "BTCUSDT", "ETHUSDT") as writer:
        await until_async(lambda: writer.progress.down_reason is None, "the tables")
        execute(database, "alter table market_data_trades add constraint odd check (symbol <> 'ETHUSDT')")
        for number in range(1, 4):
            for symbol in ("BTCUSDT", "ETHUSDT"):
                text = trade_json(structs.replace(TRADE, trade_id=number), json_text(symbol))
                store.ask("XADD", f"trades:{symbol}", f"1000-{number}", "data", text)
        await until_async(lambda: "odd" in writer.progress.refused.get("ETHUSDT", ""), "the refusal")
        await until_async(lambda: rows(database, trades) == [("BTCUSDT", 3)], "the trades of the other")
        execute(database, "alter table market_data_trades drop constraint odd")

        await until_async(lambda: rows(database, trades) == [("BTCUSDT", 3), ("ETHUSDT", 3)], "all trades")
        await until_async(lambda: not writer.progress.refused, "nothing refused")


async def test_gap_with_rules_that_no_database_can_hold_is_recorded_without_them(store: Store, database: str) -> None:
    """Somebody's entry of `gaps:` with the rules "a, zero byte, b" and cap."""
    text = '{"symbol":"BTCUSDT","channel":"trade","interval":null,"first":3,"last":4,"count":2,"reason":"refused"'
    store.ask("XADD", "gaps:BTCUSDT", "*", "data", text + ',"rules":["a\\u0000b","cap"]}')
    store.ask("XADD", "trades:BTCUSDT", "1000-5", "data", trade_json(structs.replace(TRADE, trade_id=5), '"BTCUSDT"'))
    async with writing(database, store, "BTCUSDT") as writer:
        await until_async(lambda: writer.progress.rows["trade"] == 1, "the trade")

        assert not writer.progress.refused
    assert rows(database, "select first, last, rules from market_data_gaps") == [(3, 4, ["cap"])]


async def test_epoch_that_nobody_has_begun_is_not_taken_from_an_entry(store: Store, database: str) -> None:
    """Somebody's entries of epoch 999999999, x … beside honest ones of epoch 1 that just began."""

    def add(key: str, number: int, epoch: int) -> None:
        text = trade_json(structs.replace(TRADE, trade_id=number), json_text(key.partition(":")[2]))
        store.ask("XADD", key, f"{epoch + 1}000-{number}", "data", text, "epoch", str(epoch))

    store.ask("SET", "collector:epoch:BTCUSDT", "1")
    for key in ("late:BTCUSDT", "trades:BTCUSDT"):
        add(key, 7, 1)
        add(key, 8, 999_999_999)
    add("late:ETHUSDT", 9, 1)
    for number, epoch in enumerate(("1", "2", "999999999", "x", "²", "-1")):
        gap = gap_json(Key("trade", "BTCUSDT"), Gap(number, number, 1, "lost"), "2024-01-01T00:00:00.000+00:00")
        store.ask("XADD", "gaps:BTCUSDT", "*", "data", gap, "epoch", epoch)
    async with writing(database, store, "BTCUSDT", "ETHUSDT") as writer:
        await until_async(lambda: writer.progress.rows["trade"] == 1, "the trade")
        assert not writer.progress.refused
        await until_async(lambda: writer.progress.unreadable == 8, "the others")
        assert "epoch" in str(writer.progress.unreadable_reason)

    assert rows(database, "select epoch, first from market_data_gaps") == [(1, 0)]
    assert rows(database, "select symbol, epoch, trade_id from market_data_trades") == [("BTCUSDT", 1, 7)]
    assert rows(database, "select symbol, epoch from market_data_epochs") == [("BTCUSDT", 1)]


def add_trades(store: Store, symbol: str, count: int) -> None:
    """Ids from 1 on."""
    for number in range(1, count + 1):
        text = trade_json(structs.replace(TRADE, trade_id=number), json_text(symbol))
        store.ask("XADD", f"trades:{symbol}", f"1000-{number}", "data", text)


async def test_what_waits_of_a_refused_symbol_is_counted_and_told_when_it_is_trimmed(store: Store, latin: str) -> None:
    """LATIN1, five old trades of 币安人生USDT, and the store keeps two."""
    add_trades(store, NAMED, 5)
    async with writing(latin, store, NAMED) as writer:
        await until_async(lambda: writer.progress.lag_entries == 5, "the count")
        before = writer.progress
        store.ask("XTRIM", f"trades:{NAMED}", "MAXLEN", 2)
        await until_async(lambda: writer.progress.trimmed == [NAMED], "that they are gone")

    assert before.lag_seconds > 1_000_000
    assert before.trimmed == []


GAPS = "select symbol, first, last, reason from market_data_gaps order by 1, 2"


async def test_what_was_trimmed_of_trades_that_were_refused_from_the_first_on_is_recorded(
    store: Store, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody's CHECK refuses ETHUSDT, of whose five trades the store keeps two; the writer is started again."""
    monkeypatch.setattr(history_writer, "RETRY_REFUSED_S", 0.5)
    add_trades(store, "ETHUSDT", 5)
    async with writing(database, store, "BTCUSDT") as writer:
        await until_async(lambda: writer.progress.down_reason is None, "the tables")
    execute(database, "alter table market_data_trades add constraint odd check (symbol <> 'ETHUSDT')")
    async with writing(database, store, "ETHUSDT") as writer:
        await until_async(lambda: writer.progress.lag_entries == 5, "the count")
    store.ask("XTRIM", "trades:ETHUSDT", "MAXLEN", 2)
    execute(database, "alter table market_data_trades drop constraint odd")
    async with writing(database, store, "ETHUSDT") as writer:
        await until_async(lambda: writer.progress.rows["trade"] == 2, "what is left")

    assert rows(database, GAPS) == [("ETHUSDT", 1, 3, "skipped")]


async def test_what_was_trimmed_of_a_name_that_the_encoding_cannot_hold_is_recorded_in_ascii(
    store: Store, latin: str
) -> None:
    """LATIN1, five trades of 币安人生USDT; the store keeps two, and one while no writer runs."""
    add_trades(store, NAMED, 5)
    in_ascii = "\\u5e01\\u5b89\\u4eba\\u751fUSDT"
    async with writing(latin, store, NAMED) as writer:
        await until_async(lambda: writer.progress.lag_entries == 5, "the count")
        store.ask("XTRIM", f"trades:{NAMED}", "MAXLEN", 2)
        await until_async(lambda: rows(latin, GAPS) == [(in_ascii, 1, 3, "skipped")], "the gap")
    store.ask("XTRIM", f"trades:{NAMED}", "MAXLEN", 1)
    async with writing(latin, store, NAMED) as writer:
        await until_async(lambda: writer.progress.trimmed == [NAMED], "that they are gone")

    assert rows(latin, GAPS) == [(in_ascii, 1, 4, "skipped")]
