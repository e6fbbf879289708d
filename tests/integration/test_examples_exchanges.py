"""What reads live reads every exchange of one demo: the client, Backtrader and Pathway, over collectors of each."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from data_collector.client import Client, Live, Trade
from data_collector.model.keys import FIRST_EXCHANGE
from data_collector.model.venue import Venue
from data_collector.venues.discovery import find_venue, venue_names
from tests.docs.tree import ROOT
from tests.integration.demo import Demo, demo
from tests.integration.store_reader import Store
from tests.integration.test_examples import EXAMPLES, program, trades_of
from tests.integration.test_pathway import AFTER, ASKED_FOR, BEFORE, prices, python, started
from tests.integration.waiting import until

__all__ = ["python"]
"""The environment of Pathway, a fixture."""

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

NAMES = [name for name in venue_names() if name != FIRST_EXCHANGE]

CANDLE_S = 130.0
"""Within it one of a minute closes, the first one too, which REST tells."""


@dataclass
class Served:
    """A demo of all exchanges, and one of them."""

    demo: Demo
    venue: Venue
    store: Store

    @property
    def symbol(self) -> str:
        return self.venue.default_symbols[0]

    @property
    def name(self) -> str:
        """What users call it."""
        return f"{self.venue.name}:{self.symbol}"

    @property
    def collector(self) -> int:
        """Its process; 0 while there is none."""
        pid = json.loads((self.demo.screen_file.parent / f"demo-{self.venue.name}" / "collector.json").read_text())[
            "pid"
        ]
        assert isinstance(pid, int)
        return pid


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("demo") / "var"
    with demo(folder, "--exchanges", ",".join(venue_names()), intervals="1m") as running:
        yield running


@pytest.fixture(params=NAMES)
def served(request: pytest.FixtureRequest, running: Demo) -> Iterator[Served]:
    """With an hour of candles in the database."""
    venue = find_venue(str(request.param))
    store = Store(running.store.url, venue.key_prefix)
    served = Served(running, venue, store)
    until(
        lambda: store.length(f"stream:{served.symbol}"), f"candles of {served.name}", deadline_s=CANDLE_S,
        output=running.screen,
    )  # fmt: skip
    filled = subprocess.run(
        [
            sys.executable, "-m", "data_collector", "backfill", "--exchange", venue.name, "--from", "-1h", "--symbols",
            served.symbol,
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT), "VAR_DIR": str(running.screen_file.parent), "GX_AUDIT": "0"},
        cwd=running.screen_file.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert filled.returncode == 0, filled.stdout + filled.stderr
    yield served
    store.close()


@pytest.mark.parametrize(
    ("example", "line"),
    [
        ("candles_to_pandas.py", r"\d candles of {name} 1m\n.*close +volume(\n.*)+\n[-\d]+ [:\d]+00:00\+00:00 +[\d.]+"),
        ("asyncio_strategy.py", r"^{name}:1m: the last hour first.*\n(.*\n)*[\d.]+ (long|flat) -> (long|flat)\n"),
        ("backtrader_sma_cross.py", r"^{name} 1m.*\n(.*missing.*\n)?Older bars(.*\n)+Live: "),
    ],
)
def test_example_reads_another_exchange(served: Served, tmp_path: Path, example: str, line: str) -> None:
    with program(served.demo, tmp_path, EXAMPLES / example, served.name, "1m") as reader:
        reader.said(line.format(name=served.name))


def test_trades_are_stored_once_by_a_reader_that_is_killed_again_and_again(served: Served, tmp_path: Path) -> None:
    for _ in range(3):
        with program(served.demo, tmp_path, EXAMPLES / "resume_after_kill.py", served.name) as reader:
            reader.said(r"(?s)trades stored.*[1-9]\d* trades stored")

    (file,) = tmp_path.glob("*.sqlite")
    count, oldest, newest = trades_of(file)
    assert count == newest - oldest + 1
    assert str(oldest) == served.store.entries(f"trades:{served.symbol}")[0]["id"].partition("-")[2]


def test_reader_is_told_each_trade_once_while_the_collector_is_killed(served: Served) -> None:
    """It is started again alone, and brings what it missed."""
    ids: list[int] = []

    def read(live: Live) -> None:
        batch = live.poll(60.0)
        assert batch is not None
        ids.extend(item.trade_id for item in batch.items if isinstance(item, Trade))

    with (
        Client(served.demo.store.url, api=served.demo.url, database="") as client,
        client.live(f"{served.name}:trades", start="earliest") as live,
    ):
        read(live)
        killed = served.collector
        os.kill(killed, signal.SIGKILL)
        until(lambda: served.collector not in (0, killed), "another collector", output=served.demo.screen)
        newest = int(served.store.entries(f"trades:{served.symbol}")[-1]["id"].partition("-")[2])
        while ids[-1] < newest + 50:
            read(live)

    assert ids == list(range(ids[0], ids[0] + len(ids)))


def test_tables_follow_another_exchange(served: Served, tmp_path: Path, python: Path) -> None:
    """The lines of Pathway that the collector was asked for with, and the key of another exchange."""
    lines = (BEFORE + ASKED_FOR + AFTER).replace("stream:BTCUSDT", f"{served.venue.key_prefix}stream:{served.symbol}")
    with started(served.store, tmp_path, python, "-c", lines):
        many = until(lambda: prices(tmp_path), "candles", output=(tmp_path / "log.txt").read_text)
        until(
            lambda: len(prices(tmp_path)) > len(many), "newer ones", deadline_s=CANDLE_S,
            output=(tmp_path / "log.txt").read_text,
        )  # fmt: skip

    assert {symbol for symbol, _, _ in prices(tmp_path)} == {served.symbol}
