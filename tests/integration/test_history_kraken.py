"""The past of an exchange of which REST gives 720 candles, and trades by their times: backfill, audit, certificate."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec import structs
from pydantic import SecretStr

from data_collector.cli.history.audit import audited
from data_collector.cli.history.backfill import BackfillOptions, filled, opened_rest
from data_collector.cli.surroundings.found_store import find_store, opened
from data_collector.history.events import Ended, Event, Planned
from data_collector.history.retrying import Stopping
from data_collector.model.calendar import DAY_MS, HOUR_MS, MINUTE_MS
from data_collector.model.errors import Misconfigured
from data_collector.model.wire import json_text, trade_json
from data_collector.service.certificate.certificate import ExchangeSource, Held, certify
from data_collector.settings import Settings, load_settings
from data_collector.simulator import Simulator, SimulatorSettings
from data_collector.venues.discovery import find_speaker
from data_collector.venues.kraken import rest
from data_collector.venues.kraken.venue import VENUE
from tests.integration.postgres_server import execute, rows
from tests.integration.store_reader import Store

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

    query = f"""delete from market_data_ohlcv
        where "timestamp" between to_timestamp({FROM_MS // 1000 + 600}) and to_timestamp({FROM_MS // 1000 + 1200})"""
    execute(database, query)
    healed = await audited(settings, wish, against_exchange=True, repair=True)

    assert healed.repair is not None
    assert (healed.equal, healed.repair.added, healed.repair.absent) == (True, 11, 0)
    assert [row for row in stored(database) if row[6]] == of_the_market(market)


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        ({"source": "auto"}, "kraken publishes no files of its past; use --source rest"),
        ({"files": "."}, "kraken publishes no files of its past; use --source rest"),
        ({"symbols": "BTC/NONE"}, "the exchange does not list BTC/NONE.$"),
    ],
)
async def test_what_the_exchange_does_not_have_is_told(settings: Settings, wish: dict[str, str], sentence: str) -> None:
    options = structs.replace(BackfillOptions(SYMBOL, "1m", FROM), **wish)

    with pytest.raises(Misconfigured, match=sentence):
        await filled(settings, options, lambda event: None, Stopping())


async def test_day_is_certified_by_rest(market: Simulator, store: Store, settings: Settings) -> None:
    """No file is published; times in floats may lie in the millisecond beside that of the stream."""
    before_ms = 0
    for each in market.tape(MARKET):
        before_ms = max(before_ms, each.time_ms)
        kept = trade_json(structs.replace(each, symbol=SYMBOL), json_text(SYMBOL))
        store.ask("XADD", f"kraken:trades:{SYMBOL}", f"{before_ms}-{each.trade_id}", "data", kept)
    venue, url = VENUE, settings.rest_url
    address = await find_store(settings=settings.model_copy(update={"redis_url": SecretStr(store.url)}))

    async with opened_rest(venue, settings) as asked, opened(address) as connection:
        held = Held(connection, address.masked, venue.store_keys)
        made = await certify(
            held, ExchangeSource(asked, url, None), SYMBOL, date(2025, 12, 31), made_by="a test",
            differences_max=10, progress=lambda share, trades: None,
        )  # fmt: skip

    count = sum(START_MS - DAY_MS <= each.time_ms < START_MS for each in market.tape(MARKET))
    assert (made.verdict, made.source, made.store_side.count) == ("equal", "rest", count)
