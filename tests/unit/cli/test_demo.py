"""The demo, as far as it needs no processes."""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec
import pytest
from msgspec import structs

from data_collector.cli.demo import (
    GENERATION,
    DemoMarket,
    _locked,
    _market,
    bring_up,
    kept_exchanges,
    pasts_of,
    share_market,
)
from data_collector.cli.surroundings.bringing import Bringing, Past
from data_collector.model.errors import Misconfigured
from data_collector.model.venue import Reach
from data_collector.settings import load_settings
from data_collector.simulator import Simulator, SimulatorSettings
from data_collector.venues.binance.speaker import SPEAKER
from data_collector.venues.binance.venue import VENUE
from tests.integration.waiting import until

KEPT = DemoMarket(1_700_000_000_000, 1, 2, generation=GENERATION)


def test_kept_market_is_read_back(tmp_path: Path) -> None:
    (tmp_path / "market.json").write_bytes(msgspec.json.encode(KEPT))

    assert _market(tmp_path) == KEPT


@pytest.mark.parametrize("exchanges", [(), ("binance", "kraken")])
def test_kept_demo_is_of_the_exchanges_that_it_was_of(tmp_path: Path, exchanges: tuple[str, ...]) -> None:
    """It went on with the first one alone, without a word."""
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "market.json").write_bytes(msgspec.json.encode(structs.replace(KEPT, exchanges=exchanges)))

    assert kept_exchanges(load_settings({"VAR_DIR": str(tmp_path)}, None)) == (exchanges or ("binance",))


def test_market_that_an_earlier_version_made_is_refused(tmp_path: Path) -> None:
    """Its seed makes another market now, whose trades are not those that the data has."""
    (tmp_path / "market.json").write_text('{"start_ms": 1700000000000, "ws_port": 1, "rest_port": 2, "seed": 7}')

    with pytest.raises(Misconfigured, match="leave out --keep once"):
        _market(tmp_path)


def test_past_that_cannot_be_brought_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """There is no database."""
    environment = {**os.environ, "VAR_DIR": str(tmp_path), "DATABASE_URL": "", "REDIS_URL": ""}
    past = Bringing([Past("7d", ("1m",))], ["BTCUSDT"], tmp_path, environment)

    past.begin()
    until(lambda: not past.is_going_on, "its end")

    told = capsys.readouterr().out
    assert "Candles of the past (7d) could not be brought (exit code 78" in told
    assert "`data-collector backfill --from -7d --symbols BTCUSDT --intervals 1m` tries it again." in told


def test_no_past_is_not_brought(tmp_path: Path) -> None:
    bringing = Bringing([], ["BTCUSDT"], tmp_path, {})

    bringing.begin()

    assert not bringing.is_going_on


@pytest.mark.parametrize(
    ("days", "kept", "intervals", "pasts"),
    [
        (7, None, "1s,1m,5m,1h,1M", [Past("7d", ("1M", "1h", "5m")), Past("7d", ("1m",))]),
        (7, 720, "1m,5m,15m,1h", [Past("7d", ("1h", "15m")), Past("60h", ("5m",)), Past("12h", ("1m",))]),
        (7, 721, "1m", [Past("721m", ("1m",))]),
        (0, 720, "1m,1h", []),
        (7, None, "1s", []),
    ],
)
def test_past_reaches_as_far_as_the_exchange_keeps_candles_of_each_interval(
    days: int, kept: int | None, intervals: str, pasts: list[Past]
) -> None:
    """What is cheap comes first, and of seconds nothing."""
    venue = structs.replace(VENUE, reach=Reach(klines_kept=kept))

    assert pasts_of(days, venue, intervals.split(",")) == pasts


def test_past_of_another_exchange_is_told_with_its_name_and_how_far_it_reaches(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = {**os.environ, "VAR_DIR": str(tmp_path), "DATABASE_URL": "", "REDIS_URL": "", "EXCHANGES": "kraken"}
    past = Bringing([Past("7d", ("1h", "15m")), Past("12h", ("1m",))], ["BTC/USD"], tmp_path, environment)

    past.begin()
    until(lambda: not past.is_going_on, "its end")

    told = capsys.readouterr().out.splitlines()
    assert [line.partition(" could not")[0] for line in told] == [
        f"Candles of the past of kraken ({back})" for back in ("7d", "12h")
    ]
    assert "backfill --from -12h --symbols BTC/USD --exchange kraken --intervals 1m` tries it again." in told[1]


def test_demo_is_no_advice_for_who_runs_one() -> None:
    """Its exchange has an address that was given."""
    assert load_settings({}, None).offline_advice == "`make demo` needs no network"
    assert load_settings({"BINANCE_WS_URL": "ws://127.0.0.1:19443"}, None).offline_advice == ""
    kraken = {"EXCHANGES": "kraken", "KRAKEN_REST_URL": "http://127.0.0.1:19080"}
    assert load_settings(kraken, None).offline_advice == ""


async def test_market_is_brought_to_the_present_and_not_beyond_it() -> None:
    """It has run for some seconds when it is found, and was ahead of every clock by as much."""
    start_ms = int(time.time() * 1000) - 60_000
    simulator = Simulator(SimulatorSettings(driven=True, start_ms=start_ms, symbols=("BTCUSDT",)), [SPEAKER])
    await simulator.start()
    simulator.advance(5_000)
    before_ms = int(time.time() * 1000)

    await bring_up(simulator.rest_url)
    present_ms = simulator.market.now_ms
    await simulator.stop()

    assert before_ms <= present_ms <= int(time.time() * 1000)


def test_exchange_that_had_a_demo_by_itself_is_not_kept_among_others(tmp_path: Path) -> None:
    """Its spool is of its own market, which began at another time; and what several leave is none to be kept alone."""
    first, other = tmp_path / "demo", tmp_path / "demo-kraken"
    for folder in (first, other):
        folder.mkdir()
        (folder / "market.json").write_bytes(msgspec.json.encode(KEPT))

    with pytest.raises(Misconfigured, match="demo-kraken is of a demo by itself, of another market; leave out --keep"):
        share_market([first, other], keep=True)
    share_market([first, other], keep=False)

    share_market([first, other], keep=True)
    assert _market(first) == KEPT
    with pytest.raises(Misconfigured, match="no earlier demo"):
        _market(other)


@pytest.mark.parametrize("kind", ["a file in its place", "a file above it"])
def test_folder_that_cannot_be_written_to_is_told_in_a_sentence(tmp_path: Path, kind: str) -> None:
    in_the_way = tmp_path / "demo"
    in_the_way.touch()
    folder = in_the_way if kind == "a file in its place" else in_the_way / "demo"

    cure = r"cannot be used \(.+\)\. Make it writable, or choose another with VAR_DIR"
    with pytest.raises(Misconfigured, match=cure), _locked([folder]):
        pass
