"""The exchange's trade ids began anew, and the database still holds the life before."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from data_collector.cli.history.audit import audited
from data_collector.cli.history.backfill import BackfillOptions
from data_collector.history.events import FileRefused
from data_collector.model.keys import Key
from data_collector.settings import load_settings
from data_collector.venues.binance.bulk_names import month_file
from tests.bulk_archives import laid_out, published
from tests.integration.past import Past, past
from tests.integration.postgres_server import execute, rows

FROM = "2025-12-31T12:00"
DECEMBER = datetime(2025, 12, 1, tzinfo=UTC)
ALL = 'select epoch, trade_id, price, "timestamp" from market_data_trades order by 1, 2'


@pytest.fixture
async def world(tmp_path: Path, database: str) -> AsyncIterator[Past]:
    """Old trades have the exchange's ids, and are of another year and price; one of them is gone."""
    async with past(tmp_path, database) as made:
        await made.told(FROM, intervals="", with_trades=True)
        execute(
            database,
            'update market_data_trades set "timestamp" = "timestamp" - interval \'1 hour\', price = 1',
            "delete from market_data_trades where trade_id = (select max(trade_id) - 5 from market_data_trades)",
        )
        yield made


async def test_backfill_adds_nothing_of_another_life_and_tells_the_command(world: Past) -> None:
    before = rows(world.dsn, ALL)

    ended = await world.told(FROM, intervals="", with_trades=True)

    assert ended.outcome == "failed"
    assert "Run `data-collector epoch BTCUSDT --new`" in str(ended.reports[0].reason)
    assert rows(world.dsn, ALL) == before


@pytest.mark.parametrize("against_exchange", [False, True])
async def test_repair_puts_no_trade_of_another_life_in_the_place_of_ours(world: Past, against_exchange: bool) -> None:
    before = rows(world.dsn, ALL)
    wish = BackfillOptions("BTCUSDT", "", "2025-12-30", with_trades=True)

    verdict = await audited(load_settings(world.variables, None), wish, against_exchange=against_exchange, repair=True)

    assert not verdict.equal
    assert verdict.repair is not None
    assert (verdict.repair.added, verdict.repair.changed) == (0, 0)
    assert "began anew" in str(verdict.repair.reports[0].reason)
    assert rows(world.dsn, ALL) == before


@pytest.fixture
async def listed_anew(tmp_path: Path, database: str) -> AsyncIterator[Past]:
    """The newest life, which lacks 40 ids, is epoch 1; of the one before, some weeks older, ids 0 to 9 are here."""
    async with past(tmp_path, database) as made:
        await made.told(FROM, intervals="", with_trades=True)
        execute(
            database,
            "update market_data_trades set epoch = 1",
            "insert into market_data_epochs (exchange, symbol, epoch) values ('binance', 'BTCUSDT', 1)",
            'insert into market_data_trades (exchange, symbol, epoch, trade_id, "timestamp", price, quantity) select'
            " 'binance', 'BTCUSDT', 0, number, timestamptz '2025-12-10T10:00:00Z', 1, 1"
            " from generate_series(0, 9) number",
            "delete from market_data_trades where epoch = 1 and trade_id in (select trade_id from market_data_trades"
            " where epoch = 1 order by trade_id offset 100 limit 40)",
        )
        yield made


def newest_life(world: Past) -> tuple[int, int]:
    """First and last id."""
    ((first, last),) = rows(world.dsn, "select min(trade_id), max(trade_id) from market_data_trades where epoch = 1")
    return int(str(first)), int(str(last))


def file_of(folder: Path, day: int, ids: Iterable[int]) -> str:
    """Where the exchange publishes trades of a day in the month of the relisting, a millisecond apart."""
    begin_us = int(datetime(2025, 12, day, tzinfo=UTC).timestamp()) * 10**6
    text = "".join(f"{number},2.5,2,3,{begin_us + at * 1000},True,True\n" for at, number in enumerate(ids))
    return str(laid_out(folder / "files", published(month_file(Key("trade", "BTCUSDT"), DECEMBER), text)))


async def test_published_trades_of_an_older_life_are_stored_in_it_and_never_in_the_newest(
    listed_anew: Past, tmp_path: Path
) -> None:
    """From a day between both lives; of the newest one there are earlier trades with smaller ids."""
    before, (first_id, _) = rows(listed_anew.dsn, ALL), newest_life(listed_anew)
    place = file_of(tmp_path, 15, range(first_id + 90, first_id + 150))

    ended = await listed_anew.told("2025-12-01", intervals="", with_trades=True, source="dumps", files=place)

    after = rows(listed_anew.dsn, ALL)
    assert ended.added == 40
    assert [row for row in after if row[0] == 1] == [row for row in before if row[0] == 1]
    assert [row[1] for row in after if row[0] == 0] == [*range(10), *range(first_id + 100, first_id + 140)]


@pytest.mark.parametrize(("day", "offset"), [(15, -20), (5, 100)])
async def test_published_trades_of_which_no_one_can_tell_the_life_are_refused_with_a_sentence(
    listed_anew: Past, tmp_path: Path, day: int, offset: int
) -> None:
    """They could be the end of the older life or the beginning of the newest; or they contradict both."""
    before, (first_id, _) = rows(listed_anew.dsn, ALL), newest_life(listed_anew)
    place = file_of(tmp_path, day, range(first_id + offset, first_id + offset + 10))

    await listed_anew.told("2025-12-01", intervals="", with_trades=True, source="dumps", files=place)

    assert rows(listed_anew.dsn, ALL) == before
    refused = [event.reason for event in listed_anew.events if isinstance(event, FileRefused)]
    assert [f"{first_id + offset} to {first_id + offset + 9}" in reason for reason in refused] == [True]
    assert "cannot be told in which epoch" in refused[0]
