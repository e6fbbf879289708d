"""The exchange's trade ids began anew, and the database still holds the life before."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from data_collector.cli.history.audit import audited
from data_collector.cli.history.backfill import BackfillOptions
from data_collector.settings import load_settings
from tests.integration.past import Past, past
from tests.integration.postgres_server import execute, rows

FROM = "2025-12-31T12:00"
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
