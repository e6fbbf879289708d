"""The demo, as far as it needs no processes."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from msgspec import structs

from data_collector.cli.demo import GENERATION, DemoMarket, _market, past_of
from data_collector.cli.surroundings.bringing import Bringing
from data_collector.model.errors import Misconfigured
from data_collector.model.venue import Reach
from data_collector.venues.binance.venue import VENUE
from tests.integration.waiting import until

KEPT = DemoMarket(1_700_000_000_000, 1, 2, generation=GENERATION)


def test_kept_market_is_read_back(tmp_path: Path) -> None:
    (tmp_path / "market.json").write_bytes(msgspec.json.encode(KEPT))

    assert _market(tmp_path) == KEPT


def test_market_that_an_earlier_version_made_is_refused(tmp_path: Path) -> None:
    """Its seed makes another market now, whose trades are not those that the data has."""
    (tmp_path / "market.json").write_text('{"start_ms": 1700000000000, "ws_port": 1, "rest_port": 2, "seed": 7}')

    with pytest.raises(Misconfigured, match="leave out --keep once"):
        _market(tmp_path)


def test_past_that_cannot_be_brought_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """There is no database."""
    environment = {**os.environ, "VAR_DIR": str(tmp_path), "DATABASE_URL": "", "REDIS_URL": ""}
    past = Bringing("7d", ["BTCUSDT"], ["1s", "1m"], tmp_path, environment)

    past.begin()
    until(lambda: not past.is_going_on, "its end")

    told = capsys.readouterr().out
    assert "could not be brought (exit code 78" in told
    assert "`data-collector backfill --from -7d --symbols BTCUSDT --intervals 1m` tries it again." in told


@pytest.mark.parametrize(("past", "intervals"), [("", ["1m"]), ("7d", ["1s"])])
def test_past_of_no_days_or_of_seconds_alone_is_not_brought(past: str, intervals: list[str], tmp_path: Path) -> None:
    bringing = Bringing(past, ["BTCUSDT"], intervals, tmp_path, {})

    bringing.begin()

    assert not bringing.is_going_on


@pytest.mark.parametrize(("days", "kept", "past"), [(7, None, "7d"), (0, None, ""), (7, 720, "720m"), (0, 720, "")])
def test_past_reaches_no_further_than_the_exchange_keeps_candles(days: int, kept: int | None, past: str) -> None:
    venue = structs.replace(VENUE, reach=Reach(klines_kept=kept))

    assert past_of(days, venue) == past
