"""Trade ids that begin anew, from the exchange to both stores and to who reads them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from msgspec import structs

from data_collector.model.gaps import Gap
from data_collector.model.keys import Key
from data_collector.model.status import Snapshot
from data_collector.model.wire import trade_json
from data_collector.service.epochs import EpochHome
from data_collector.service.part import spawner
from data_collector.settings import load_settings
from data_collector.sinks.postgres.reading import PostgresReader
from data_collector.sinks.postgres.statements import PUT_EPOCH
from data_collector.sinks.postgres.writing import PostgresWriter, Written
from tests.faults.service import Api, api_over
from tests.integration.postgres_server import rows
from tests.integration.processes import Exchange, variables
from tests.integration.store_reader import Store
from tests.integration.test_quarantine_command import write_rule
from tests.integration.test_refused_rows import writing
from tests.integration.waiting import until, until_async
from tests.market import trade
from tests.proxy import Proxy

SYMBOL = "BTCUSDT"
EPOCH = f"collector:epoch:{SYMBOL}"
PLACES = "select epoch, trade_id from market_data_trades where symbol = 'BTCUSDT' order by 1, 2"


async def test_trades_of_two_epochs_with_the_same_ids_stand_side_by_side(pool: asyncpg.Pool) -> None:
    """Ids begin anew: old trades are neither replaced nor mixed with new ones."""
    writer = PostgresWriter(pool, "binance")
    old = [trade(number) for number in range(600)]
    new = [structs.replace(each, price="7.5", time_ms=each.time_ms + 60_000) for each in old[:550]]
    await writer.put_trades(old, source="ws")
    written = [await writer.put_trades(new, source="ws", epoch=1) for _ in range(2)]
    written.append(await writer.put_trades(new[:3], source="ws", epoch=1))
    await writer.put_gaps(Key("trade", "BTCUSDT"), [Gap(3, 4, 2, "absent")], epoch=1)

    first, second = PostgresReader(pool, "binance").in_epoch(0), PostgresReader(pool, "binance")
    assert written == [Written(added=550), Written(known=550), Written(known=3)]
    assert [await first.epochs("BTCUSDT"), await first.epochs("ETHUSDT")] == [[0, 1], [0]]
    assert [await first.trade_span("BTCUSDT"), await second.trade_span("BTCUSDT")] == [(0, 599), (0, 549)]
    assert [each.price for each in await first.trades_by_id("BTCUSDT", 0, 2, 9)] == [old[0].price] * 3
    assert [each.price for each in await second.trades_by_id("BTCUSDT", 0, 2, 9)] == ["7.5"] * 3
    assert [len(await each.gaps(Key("trade", "BTCUSDT"))) for each in (first, second)] == [0, 1]


def stored(store: Store) -> list[tuple[int, int]]:
    """Epoch and id of every trade in the store."""
    entries = store.entries(f"trades:{SYMBOL}")
    return [(int(each["fields"].get("epoch", "0")), int(each["id"].partition("-")[2])) for each in entries]


def in_database(dsn: str) -> list[tuple[object, ...]]:
    """Epoch and id of every trade in PostgreSQL, if there is a table yet."""
    is_there = rows(dsn, "select to_regclass('market_data_epochs')::text") != [(None,)]
    return rows(dsn, PLACES) if is_there else []


def page(api: Api, query: str = "") -> dict[str, object]:
    """What `/trades` answers."""
    status, text = api.ask("GET", f"/trades/{SYMBOL}?limit=5000{query}")
    assert status == 200, text
    found: dict[str, object] = json.loads(text)
    return found


def ids(found: dict[str, object]) -> list[int]:
    records = found["records"]
    assert isinstance(records, list)
    return [record["trade_id"] for record in records]


def burst(market: Exchange, trades: int = 300) -> int:
    """Make trades, then stand still; the id of the last one."""
    stood_ms = market.now_ms()
    market.act("resume")
    # Its time stood still: what is traded at once would have the time of what was traded last.
    until(lambda: market.now_ms() > stood_ms, "the market to go on")
    market.act("burst", symbol=SYMBOL, trades=trades)
    market.act("pause")
    return market.last_id(SYMBOL)


def two_lives(first: list[tuple[int, int]], last_id: int) -> list[tuple[int, int]]:
    """What both stores hold when the second life is whole."""
    return first + [(1, number) for number in range(last_id + 1)]


async def test_trades_that_were_trimmed_across_two_epochs_are_declared_in_the_new_one(
    store: Store, database: str
) -> None:
    """Read up to 694 of epoch 0, epoch 1 begins, and the store is trimmed to 900 of it; then to 904 of the same."""
    texts = {number: trade_json(trade(number), '"BTCUSDT"') for number in (694, 900, 904)}
    gaps = "select epoch, first, last, reason from market_data_gaps order by 1, 2"
    expected: list[tuple[object, ...]] = [(1, 0, 899, "skipped"), (1, 901, 903, "skipped")]
    for epoch, number in ((0, 694), (1, 900), (1, 904)):
        store.ask("DEL", f"trades:{SYMBOL}")
        store.ask("XADD", f"trades:{SYMBOL}", f"{number}000-{number}", "data", texts[number], "epoch", str(epoch))
        async with writing(database, store, SYMBOL, epochs={SYMBOL: epoch}) as writer:
            await until_async(lambda: writer.progress.rows["trade"] == 1, "the trade")

    assert rows(database, gaps) == expected


async def test_newer_epochs_of_postgresql_count_beside_those_in_the_data_folder(
    pool: asyncpg.Pool, database: str, tmp_path: Path
) -> None:
    """The folder is an old copy, or another collector has begun epochs since."""
    await pool.executemany(PUT_EPOCH, [("binance", SYMBOL, 3), ("binance", "ETHUSDT", 1), ("binance", "BNBUSDT", 1)])
    (tmp_path / "epochs.json").write_text(json.dumps({SYMBOL: 1, "ETHUSDT": 2}))
    home = EpochHome(load_settings({"DATABASE_URL": database}, None), tmp_path, "binance", empty=False)

    await home.open()

    assert home.known == {SYMBOL: 3, "ETHUSDT": 2, "BNBUSDT": 1}


@pytest.mark.slow
def test_market_whose_ids_begin_anew_goes_on_by_itself_and_both_lives_stand_whole(
    market: Exchange, folder: Path, store: Store, database: str
) -> None:
    """Ids begin anew at 0 with POSTGRES_TRADES=1; then the store is flushed, and the collector killed."""
    with api_over(folder, market, store, database_url=database, postgres_trades="1") as api:
        last_id = burst(market)
        until(lambda: store.tail_id(SYMBOL) >= last_id, "the first life", output=api.told)
        first = stored(store)
        market.act("restart_ids", symbol=SYMBOL, first_id=0)
        last_id = burst(market)
        until(lambda: store.ask("GET", EPOCH) == "1", "the next epoch", output=api.told)
        last_id = burst(market)

        whole = two_lives(first, last_id)
        until(lambda: stored(store) == whole, "both lives in the store", output=api.told)
        until(lambda: in_database(database) == whole, "both lives in PostgreSQL", output=api.told)
        newest, oldest = page(api), page(api, "&epoch=0")
        assert (newest["epoch"], newest["epochs"], oldest["epoch"]) == (1, [0, 1], 0)
        assert ids(newest) == ids(page(api, "&epoch=1")) == list(range(last_id + 1))
        assert ids(oldest) == [number for _, number in first]

        store.ask("FLUSHALL")
        last_id = burst(market)
        until(lambda: (1, last_id) in stored(store), "the store filled again", output=api.told)
        until(lambda: stored(store) == two_lives(first, last_id), "both lives from the spool", output=api.told)
        assert store.ask("GET", EPOCH) == "1"

    # PostgreSQL alone knows the number now.
    store.ask("FLUSHALL")
    for kept in (*folder.rglob("epochs.json"), *folder.rglob("*.spool")):
        kept.unlink()
    with api_over(folder, market, store, database_url=database, postgres_trades="1") as api:
        last_id = burst(market)
        until(lambda: (1, last_id) in stored(store), "the store filled after a restart", output=api.told)
        assert {epoch for epoch, _ in stored(store)} == {1}
        until(lambda: in_database(database) == two_lives(first, last_id), "all rows", output=api.told)


def test_ids_that_began_anew_and_ran_past_the_stored_tail_while_nothing_was_collected_begin_an_epoch(
    market: Exchange, folder: Path, store: Store
) -> None:
    """A testnet's reset over a weekend: at the start the ids are far beyond the stored ones."""
    with api_over(folder, market, store) as api:
        last_id = burst(market)
        until(lambda: store.tail_id(SYMBOL) >= last_id, "the first life", output=api.told)
    first, first_id = stored(store), last_id - 150
    market.act("restart_ids", symbol=SYMBOL, first_id=first_id)
    burst(market)

    with api_over(folder, market, store) as api:
        last_id = burst(market)
        until(lambda: (1, last_id) in stored(store), "the next epoch", output=api.told)
        assert stored(store) == first + [(1, number) for number in range(first_id, last_id + 1)]
        assert "this is epoch 1" in api.ask("GET", "/health")[1]


def test_new_life_whose_first_ids_are_just_below_ours_and_in_part_refused_is_whole_in_its_epoch(
    market: Exchange, folder: Path, store: Store
) -> None:
    """A rule of the user's own refuses a quarter of all trades."""
    quantities = sorted(float(each.quantity) for each in market.trades(SYMBOL))
    write_rule(folder, "trade", "quantity", max_value=quantities[len(quantities) * 3 // 4])
    with api_over(folder, market, store, suites_dir=str(folder / "suites")) as api:
        last_id = burst(market)
        until(lambda: store.tail_id(SYMBOL) >= last_id, "the first life", output=api.told)
        first = stored(store)
        market.act("restart_ids", symbol=SYMBOL, first_id=last_id - 50)
        newest_id = burst(market)
        until(lambda: (1, newest_id) in told(store), "the next epoch", output=api.told)

        assert stored(store)[: len(first)] == first
        assert [place for place in told(store) if place[0]] == [
            (1, number) for number in range(last_id - 50, newest_id + 1)
        ]
        assert "this is epoch 1" in api.ask("GET", "/health")[1]


def told(store: Store) -> list[tuple[int, int]]:
    """Epoch and id of every trade in the store and in quarantine, each once."""
    refused = [entry["fields"] for entry in store.entries(f"quarantine:{SYMBOL}")]
    ids = [(int(each.get("epoch", "0")), int(json.loads(each["data"])["trade_id"])) for each in refused]
    return sorted(stored(store) + ids)


def test_operator_who_decides_is_told_the_command_and_it_begins_the_epoch(
    market: Exchange, folder: Path, store: Store
) -> None:
    with api_over(folder, market, store, auto_epoch="0") as api:
        last_id = burst(market)
        until(lambda: store.tail_id(SYMBOL) >= last_id, "the first life", output=api.told)
        first = stored(store)
        market.act("restart_ids", symbol=SYMBOL, first_id=0)
        burst(market)
        command = f"data-collector epoch {SYMBOL} --new"
        until(lambda: command in api.ask("GET", "/health")[1], "the cure", output=api.told)
        last_id = burst(market)
        assert stored(store) == first

        environment = variables(folder, market, redis_url=store.url)
        words = [sys.executable, "-m", "data_collector", "epoch", SYMBOL, "--new"]
        done = subprocess.run(words, env=environment, cwd=folder, capture_output=True, text=True, check=False)

        assert (done.returncode, "epoch 1 has begun" in done.stdout) == (0, True), done.stderr
        until(lambda: stored(store) == two_lives(first, last_id), "both lives", output=api.told)


async def test_collector_that_knows_no_epoch_asks_postgresql_until_it_tells_and_says_so(
    pool: asyncpg.Pool, database: str, tmp_path: Path
) -> None:
    """A new folder and an empty store, and PostgreSQL comes up later than the collector."""
    await pool.execute(PUT_EPOCH, "binance", SYMBOL, 3)
    async with Proxy(urlsplit(database).port or 0) as proxy:
        proxy.refuses = True
        dsn = database.replace(f":{proxy.target}/", f":{proxy.port}/")
        settings = load_settings({"DATABASE_URL": dsn, "POSTGRES_TRADES": "1"}, None)
        home = EpochHome(settings, tmp_path, "binance", empty=False)
        await home.open()
        async with asyncio.TaskGroup() as group:
            tasks: list[asyncio.Task[None]] = []
            home.start(spawner(group, tasks))
            told = home.report(Snapshot()).reasons
            reason = home.needs([SYMBOL])
            assert reason is not None
            assert "POSTGRES_TRADES=1" in reason
            known = group.create_task(home.wait(reason))
            await until_async(lambda: home.waiting_for == reason, "what is waited for")
            assert home.needs([]) is None
            proxy.refuses = False

            await known
            assert home.known[SYMBOL] == 3
            assert (home.waiting_for, home.report(Snapshot()).reasons) == (None, ())
            assert home.needs(["BNBUSDT"]) is None
            for task in tasks:
                task.cancel()
    assert "epochs in PostgreSQL are not known" in told[0]


async def test_login_that_postgresql_refuses_is_told_and_keeps_no_trade_waiting(database: str, tmp_path: Path) -> None:
    dsn = database.rpartition("/")[0] + "/nowhere"
    settings = load_settings({"DATABASE_URL": dsn, "POSTGRES_TRADES": "1"}, None)
    home = EpochHome(settings, tmp_path, "binance", empty=False)
    await home.open()

    assert home.needs([SYMBOL]) is None
    assert "nowhere" in home.report(Snapshot()).reasons[0]
