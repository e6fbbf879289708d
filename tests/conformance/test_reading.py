"""From the store to readers: HTTP, the client, tables, bars and memories give what the market said, of every venue."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from data_collector.client import Client, Gap, Item, Kline, Live, Trade
from data_collector.client.adapters.feeding.asked import asked_of
from data_collector.client.adapters.feeding.feeds import RecordsFeed
from data_collector.client.adapters.memory import Memory
from data_collector.client.records import ms_of
from data_collector.model.venue import Venue
from tests.conformance.worlds import MINUTE_MS, klines_settled, market_of, symbols_of
from tests.contract.backtrader_runs import UTCNOW, feed_of, run
from tests.contract.http_service import HttpService, running
from tests.integration.postgres_server import rows
from tests.integration.scene import Scene, playing
from tests.integration.store_reader import Store
from tests.integration.test_history_writer import Storing
from tests.integration.waiting import until_async

KEPT = 20
"""Trades that the store is left with: older ones are history alone."""

Told = tuple[object, ...]


@asynccontextmanager
async def served(
    venue: Venue, store: Store, folder: Path, database: str
) -> AsyncIterator[tuple[Scene, HttpService, list[Told], list[Told]]]:  # fmt: skip
    """Some minutes of a market in PostgreSQL and partly in the store, what serves them; its trades, its candles.

    Candles are put into PostgreSQL by a subclass, which does not say of which exchange they are.
    """
    async with playing(
        store, folder, exchange=venue, symbols=symbols_of(venue), simulator=market_of(venue), database_url=database,
        postgres_trades="1", kind=Storing,
    ) as scene:  # fmt: skip
        await scene.subscribed()
        for _ in range(2):
            await scene.trade(MINUTE_MS)
        await klines_settled(scene, venue)
        symbol = scene.symbols[0]
        trades, candles = store.records(f"trades:{symbol}"), store.records(f"stream:{symbol}")
        closed = [row for row in candles if row["is_closed"] and row["interval"] == "1m"]
        for table, count, more in (
            ("market_data_trades", len(trades), ""), ("market_data_ohlcv", len(closed), "and interval = '1m'"),
        ):  # fmt: skip
            of_market = f"where exchange = '{venue.name}' and symbol = '{symbol}' {more}"
            counted = f"select count(*)::integer from {table} {of_market}"
            await until_async(lambda: rows(database, counted) == [(count,)], f"{count} rows of {table}")  # noqa: B023
        store.ask("XTRIM", f"{venue.key_prefix}trades:{symbol}", "MAXLEN", "=", KEPT)
        first = trades[0]["trade_id"]
        assert isinstance(first, int)
        said: list[Told] = [
            (trade.trade_id, Decimal(trade.price), Decimal(trade.quantity))
            for trade in scene.simulator.tape(symbol)
            if trade.trade_id >= first
        ]
        begin = ms_of(datetime.fromisoformat(str(closed[0]["timestamp"])))
        lasted = [
            (kline.open_ms, *map(Decimal, (kline.open, kline.high, kline.low, kline.close, kline.volume)))
            for kline in scene.simulator.closed_klines(symbol, "1m")
            if begin <= kline.open_ms
        ]
        (folder / "http").mkdir()
        with running(folder / "http", scene.status, DATABASE_URL=database, EXCHANGES=venue.name) as service:
            yield scene, service, said, lasted


def told(items: Iterable[Item]) -> list[Told]:
    """Numbers of trades and candles; all of anything else."""
    return [_told(item) for item in items]


def _told(item: Item) -> Told:
    match item:
        case Trade():
            return item.trade_id, item.price, item.quantity
        case Kline():
            return ms_of(item.timestamp), item.open, item.high, item.low, item.close, item.volume
        case _:
            return (item,)


def read_all(
    name: str, store: str, service: HttpService, database: str, folder: Path, said: list[Told], lasted: list[Told]
) -> str:  # fmt: skip
    """Every way to read; returns the position of a live stream that has come to the present."""
    answer = service.get(f"/trades/{name}?from=1970-01-01&limit=5000")
    rows_of = json.loads(answer.text, parse_float=Decimal)["records"]
    assert [(row["trade_id"], Decimal(row["price"]), Decimal(row["quantity"])) for row in rows_of] == said
    position, begin = "", int(str(lasted[0][0]))
    for places in ({"api": service.url, "database": ""}, {"api": "", "database": database}):
        with Client(store, **places) as client:
            assert told(client.trades(name)) == said
            candles = told(client.klines(name, "1m", start=begin))
            # The market makes none of a minute without trades.
            assert [candle for candle in candles if candle[-1] != 0] == lasted
            with client.live(f"{name}:trades", start="2020-01-01") as live:
                came, position = polled(live, len(said))
            assert came == said
            seen = run(feed_of(client, symbol=name, start=begin))
            assert [bar["close"] for bar in seen.bars] == [float(str(candle[4])) for candle in candles]
    exchange = name.partition(":")[0]
    with (
        Memory(folder / "memory", name, "1m") as memory,
        Client(store, api=service.url, database="", exchange=exchange) as client,
    ):
        assert memory.fill(client, start=begin) == len(candles)
    return position


def polled(live: Live, count: int) -> tuple[list[Told], str]:
    """So many items, and how far that is."""
    found: list[Told] = []
    position = ""
    while len(found) < count and (batch := live.poll(1.0)) is not None:
        found += told(batch.items)
        position = batch.position
    return found, position


def read_tables(prefix: str, symbol: str, store: str, api: str) -> list[Told]:
    """Those of Pathway, without its engine."""
    feed = RecordsFeed(
        asked_of(store, f"{prefix}trades:{symbol}", "2020-01-01", closed_only=False, revisions=False, api=api), None
    )
    found: list[Told] = []
    while not feed.is_caught_up:
        found += told(record for record in feed.poll(0).records if isinstance(record, Trade))
    feed.close()
    return found


@UTCNOW
async def test_readers_give_what_the_market_said(
    store: Store, folder: Path, venue: Venue, database: str, tmp_path: Path
) -> None:
    """History, live, the seam between both and what is missing; positions go on, and nothing is another exchange's."""
    async with served(venue, store, folder, database) as (scene, service, said, lasted):
        symbol = scene.symbols[0]
        name = f"{venue.name}:{symbol}"
        position = await asyncio.to_thread(
            read_all, name, store.url, service, database, tmp_path, said, lasted
        )  # fmt: skip
        tables = await asyncio.to_thread(read_tables, venue.key_prefix, symbol, store.url, service.url)
        await scene.trade(5_000)
        last = int(str(said[-1][0]))
        newer = scene.simulator.tape(symbol)[-1].trade_id - last
        with Client(store.url, api="", database="") as client:
            with client.live(f"{name}:trades", position=position) as live:
                after, _ = await asyncio.to_thread(polled, live, newer)
            early = json.dumps({"v": 1, f"{venue.key_prefix}trades:{symbol}": [0, said[0][0], "0-0"]})
            with client.live(f"{name}:trades", position=early) as live:
                gap = await asyncio.to_thread(lambda: next(iter(live)))

    assert tables == said
    assert [number for number, *_ in after] == list(range(last + 1, last + newer + 1))
    assert isinstance(gap, Gap)
    assert (gap.symbol, gap.first, gap.reason) == (symbol, said[1][0], "unknown")
