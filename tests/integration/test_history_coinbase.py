"""The past of an exchange whose REST side leaves out quiet candles: backfill and audit."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest

from data_collector.cli.history.audit import audited
from data_collector.cli.history.backfill import BackfillOptions, filled
from data_collector.history.events import Ended
from data_collector.history.retrying import Stopping
from data_collector.model.calendar import HOUR_MS, MINUTE_MS
from data_collector.settings import Settings, load_settings
from data_collector.simulator import RestFault, Simulator, SimulatorSettings
from data_collector.venues.coinbase import rest
from data_collector.venues.discovery import find_speaker
from tests.integration.postgres_server import execute, rows

START_MS = 1_767_225_600_000
HOURS = 20
FROM, FROM_MS = "2025-12-31T04:00", START_MS - HOURS * HOUR_MS
SYMBOL, MARKET = "BTC-USD", "BTCUSD"

PAST = SimulatorSettings(
    driven=True, start_ms=START_MS, symbols=(MARKET,), history_ms=2 * 24 * HOUR_MS, history_trades=2_000,
    trades_per_s=0.05, enforce_limits=False,
)  # fmt: skip
"""Of the minutes nearly half are quiet."""


@pytest.fixture
async def market(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Simulator]:
    monkeypatch.setattr(rest, "PAUSE_S", 0.001)
    simulator = Simulator(PAST, [find_speaker("coinbase")])
    await simulator.start()
    yield simulator
    await simulator.stop()


@pytest.fixture
def settings(market: Simulator, tmp_path: Path, database: str) -> Settings:
    addresses = market.addresses["coinbase"]
    return load_settings(
        {
            "EXCHANGES": "coinbase", "COINBASE_REST_URL": addresses.rest_url, "COINBASE_WS_URL": addresses.ws_url,
            "COINBASE_SYMBOLS": SYMBOL, "DATABASE_URL": database, "VAR_DIR": str(tmp_path),
            "SUITES_DIR": str(tmp_path / "suites"), "GX_AUDIT": "0",
        },
        None,
    )  # fmt: skip


async def backfilled(settings: Settings, *, intervals: str = "1m", trades: bool = False) -> Ended:
    wish = BackfillOptions(SYMBOL, intervals, FROM, with_trades=trades)
    ended = await filled(settings, wish, lambda event: None, Stopping())
    assert ended is not None
    return ended


def stored(dsn: str, interval: str = "1m") -> dict[object, tuple[object, ...]]:
    query = f"""select (extract(epoch from "timestamp") * 1000)::bigint, open, high, low, close, volume, trades, source
        from market_data_ohlcv where exchange = 'coinbase' and interval = '{interval}' order by 1"""
    return {at: tuple(told) for at, *told in rows(dsn, query)}


async def test_backfill_makes_the_quiet_minutes_and_calls_none_absent(
    market: Simulator, settings: Settings, database: str
) -> None:
    ended = await backfilled(settings, intervals="1m,1h")

    assert (ended.outcome, ended.absent, ended.unproven) == ("complete", 0, 0)
    made = stored(database)
    assert list(made) == list(range(FROM_MS, START_MS - MINUTE_MS, MINUTE_MS))
    truth = {each.open_ms: each for each in market.closed_klines(MARKET, "1m")}
    quiet = made.keys() - truth.keys()
    assert len(quiet) > 200
    for at, (open_, high, low, close, volume, trades, source) in made.items():
        if at in quiet:
            assert (open_, high, low, volume, trades, source) == (close, close, close, 0, 0, "built")
            continue
        its = truth[int(str(at))]
        assert [open_, high, low, close, volume] == list(
            map(Decimal, (its.open, its.high, its.low, its.close, its.volume))
        )
        assert trades in (its.trades, None)
    assert list(stored(database, "1h")) == list(range(FROM_MS, START_MS - HOUR_MS, HOUR_MS))
    assert rows(database, "select count(*) from market_data_gaps") == [(0,)]


async def test_audit_takes_a_quiet_minute_that_is_left_out_for_no_difference(
    market: Simulator, settings: Settings, database: str
) -> None:
    await backfilled(settings, trades=True)
    wish = BackfillOptions(SYMBOL, "1m", FROM, with_trades=True)

    equal = await audited(settings, wish, against_exchange=True, repair=False)
    assert equal.equal, [check for check in equal.checks if not check.is_clean]

    execute(database, "update market_data_ohlcv set volume = volume + 1 where timestamp = '2025-12-31T10:00Z'")
    execute(
        database, "delete from market_data_ohlcv where timestamp between '2025-12-31T11:00Z' and '2025-12-31T11:09Z'"
    )
    result = await audited(settings, wish, against_exchange=True, repair=False)
    again = await audited(settings, wish, against_exchange=True, repair=True)

    assert not result.equal
    assert again.equal, [check for check in again.checks if not check.is_clean]
    assert list(stored(database)) == list(range(FROM_MS, START_MS - MINUTE_MS, MINUTE_MS))


async def test_candles_that_the_exchange_has_lost_are_made_of_its_trades(
    market: Simulator, settings: Settings, database: str
) -> None:
    """It says itself that its candles may be incomplete."""
    lost_s = [(START_MS - 10 * HOUR_MS) // 1000, (START_MS - 9 * HOUR_MS) // 1000]
    market.faults.add(RestFault(path="*/candles", kind="missing", within=(lost_s[0], lost_s[1])))

    ended = await backfilled(settings)

    assert (ended.outcome, ended.absent, ended.unproven) == ("complete", 0, 0)
    made = stored(database)
    for its in market.closed_klines(MARKET, "1m"):
        if lost_s[0] * 1000 <= its.open_ms <= lost_s[1] * 1000:
            assert made[its.open_ms][4:6] == (Decimal(its.volume), its.trades)
