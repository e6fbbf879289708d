"""The past of a venue: backfill brings what the market had, calls nothing of it absent, and export gives it."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path

import pytest

from data_collector.cli.history.backfill import BackfillOptions, filled
from data_collector.history.events import Event
from data_collector.history.retrying import Stopping
from data_collector.model.venue import Venue
from data_collector.settings import load_settings
from tests.conformance.worlds import ENDS_MS, MINUTE_MS, market_of, symbols_of
from tests.integration.command import finished
from tests.integration.postgres_server import rows

pytestmark = pytest.mark.usefixtures("hurried")

HOURS = 20
"""Longer ago than some exchanges keep candles of a minute."""


async def test_backfill_brings_the_market_and_calls_nothing_absent_that_it_had(
    database: str, tmp_path: Path, venue: Venue
) -> None:
    symbol = symbols_of(venue)[0]
    simulator = market_of(venue, history_ms=2 * 24 * 60 * MINUTE_MS, history_trades=4_000)
    await simulator.start()
    simulator.advance(5_000)
    address = simulator.addresses[venue.name]
    prefix = "" if venue.key_prefix == "" else f"{venue.name.upper()}_"
    variables = {
        "EXCHANGES": venue.name, f"{prefix}SYMBOLS": symbol, f"{venue.name.upper()}_REST_URL": address.rest_url,
        f"{venue.name.upper()}_WS_URL": address.ws_url, "DATABASE_URL": database, "VAR_DIR": str(tmp_path),
        "GX_AUDIT": "0", "SUITES_DIR": str(tmp_path / "suites"),
    }  # fmt: skip
    try:
        events: list[Event] = []
        begin = "2026-05-31T04:00"
        await filled(load_settings(variables, None), BackfillOptions(symbol, "1m", begin), events.append, Stopping())
        words = ("export", "--symbols", symbol, "--intervals", "1m", "--from", begin, "--format", "csv")
        exported = await finished(tmp_path, *words, "--out", str(tmp_path / "out"), **variables)
    finally:
        await simulator.stop()

    begin_ms = ENDS_MS - HOURS * 60 * MINUTE_MS
    truth = {kline.open_ms: kline for kline in simulator.closed_klines(symbol, "1m") if kline.open_ms >= begin_ms}
    stored = rows(
        database,
        f"""select (extract(epoch from "timestamp") * 1000)::bigint, open, close, volume, trades from market_data_ohlcv
            where exchange = '{venue.name}' and symbol = '{symbol}' and interval = '1m' and trades > 0 order by 1""",
    )
    assert [tuple(row) for row in stored] == [
        (at, Decimal(kline.open), Decimal(kline.close), Decimal(kline.volume), kline.trades)
        for at, kline in sorted(truth.items())
    ]
    assert rows(database, "select distinct exchange from market_data_ohlcv") == [(venue.name,)]
    absent = rows(database, "select first, last from market_data_gaps where reason = 'absent'")
    assert not any(int(str(first)) <= at <= int(str(last)) for first, last in absent for at in truth)
    assert exported.code == 0, exported.errors
    (path,) = (tmp_path / "out").rglob("*.csv")
    with path.open(newline="") as file:
        times = [row["timestamp"] for row in csv.DictReader(file)]
    assert len(times) >= len(truth)
