"""The past of an exchange of which REST gives 720 candles, and trades by their times: backfill, audit, certificate."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest

from data_collector.cli.history.audit import audited
from data_collector.cli.history.backfill import BackfillOptions, filled
from data_collector.history.events import Ended, Event, Planned
from data_collector.history.retrying import Stopping
from data_collector.model.calendar import HOUR_MS, MINUTE_MS
from data_collector.settings import Settings, load_settings
from data_collector.simulator import Simulator, SimulatorSettings
from data_collector.venues.discovery import find_speaker
from data_collector.venues.kraken import rest
from tests.integration.postgres_server import rows

START_MS = 1_767_225_600_000
HOURS = 20
FROM, FROM_MS = "2025-12-31T04:00", START_MS - HOURS * HOUR_MS
SYMBOL, MARKET = "BTC/USD", "BTCUSD"

PAST = SimulatorSettings(
    driven=True, start_ms=START_MS, symbols=(MARKET,), history_ms=2 * 24 * HOUR_MS, history_trades=8_000,
    enforce_limits=False,
)  # fmt: skip


@pytest.fixture
async def market(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Simulator]:
    """Two days of trades, and a client that need not wait a second between two questions."""
    monkeypatch.setattr(rest, "PAUSE_S", 0.001)
    simulator = Simulator(PAST, [find_speaker("kraken")])
    await simulator.start()
    yield simulator
    await simulator.stop()


@pytest.fixture
def settings(market: Simulator, tmp_path: Path, database: str) -> Settings:
    addresses = market.addresses["kraken"]
    return load_settings(
        {
            "EXCHANGES": "kraken", "KRAKEN_REST_URL": addresses.rest_url, "KRAKEN_WS_URL": addresses.ws_url,
            "KRAKEN_SYMBOLS": SYMBOL, "DATABASE_URL": database, "VAR_DIR": str(tmp_path),
            "SUITES_DIR": str(tmp_path / "suites"), "GX_AUDIT": "0",
        },
        None,
    )  # fmt: skip


async def backfilled(settings: Settings, events: list[Event], *, intervals: str = "1m", trades: bool = False) -> Ended:
    wish = BackfillOptions(SYMBOL, intervals, FROM, with_trades=trades)
    ended = await filled(settings, wish, events.append, Stopping())
    assert ended is not None
    return ended


def stored(dsn: str, interval: str = "1m") -> list[tuple[object, ...]]:
    query = f"""select (extract(epoch from "timestamp") * 1000)::bigint, open, high, low, close, volume, trades
        from market_data_ohlcv where exchange = 'kraken' and interval = '{interval}' order by 1"""
    return rows(dsn, query)


def of_the_market(market: Simulator, interval: str = "1m") -> list[tuple[object, ...]]:
    return [
        (each.open_ms, *map(Decimal, (each.open, each.high, each.low, each.close, each.volume)), each.trades)
        for each in market.closed_klines(MARKET, interval)
        if each.open_ms >= FROM_MS and each.close_ms < START_MS - 2_000
    ]  # fmt: skip


async def test_backfill_of_twenty_hours_lacks_nothing_and_calls_nothing_absent(
    market: Simulator, settings: Settings, database: str
) -> None:
    """480 of the 1,200 minutes are older than REST gives."""
    events: list[Event] = []
    ended = await backfilled(settings, events, intervals="1m,5m")

    assert (ended.outcome, ended.absent, ended.unproven) == ("complete", 0, 0)
    made = stored(database)
    assert [row[0] for row in made] == list(range(FROM_MS, START_MS - MINUTE_MS, MINUTE_MS))
    assert [row for row in made if row[6]] == of_the_market(market)
    assert [row for row in stored(database, "5m") if row[6]] == of_the_market(market, "5m")
    assert rows(database, "select count(*) from market_data_gaps") == [(0,)]
    assert rows(
        database, "select count(*) >= 480 from market_data_ohlcv where interval = '1m' and source = 'built'"
    ) == [(True,)]
    (plan,) = (event for event in events if isinstance(event, Planned))
    assert (plan.weight, plan.seconds >= 2 * plan.requests) == (plan.requests, True)


async def test_backfill_of_trades_knows_the_newest_one(market: Simulator, settings: Settings, database: str) -> None:
    """No ticker names it: a plan of no row would be called complete."""
    ended = await backfilled(settings, [], intervals="", trades=True)

    expected = [each.trade_id for each in market.tape(MARKET) if each.time_ms >= FROM_MS]
    assert ended.outcome == "complete"
    assert rows(database, "select trade_id from market_data_trades order by 1") == [(each,) for each in expected]


async def test_audit_against_the_exchange_goes_as_far_as_it_tells(
    market: Simulator, settings: Settings, database: str
) -> None:
    await backfilled(settings, [], trades=True)

    wish = BackfillOptions(SYMBOL, "1m", FROM, with_trades=True)
    result = await audited(settings, wish, against_exchange=True, repair=False)

    assert result.equal, [check for check in result.checks if not check.is_clean]
