"""What reads records reads those of another exchange the same: its suites once more, with its symbol and its keys."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from data_collector.model.keys import FIRST_EXCHANGE
from data_collector.venues.discovery import venue_names
from tests.contract.conftest import SERVERS
from tests.integration.command import ROOT
from tests.market import EXCHANGE

SUITES = (
    "test_client_history.py", "test_client_live.py", "test_client_seam.py", "test_client_feeds.py",
    "test_client_async.py", "test_client_frames.py", "test_client_stretches.py", "test_client_memory.py",
    "test_backtrader_history.py", "test_backtrader_live.py", "test_backtrader_orders.py",
)  # fmt: skip

CHOICE = (
    "trades_come_once_and_in_order or gap_that_is_raised or live_from_a_time_is_history_and_then or gaps_are_rows or "
    "goes_on_from_its_position or live_items_and_positions or killed_reader_of_trimmed or live_candles_follow or "
    "bar_has_all_that_the_candle_has or gap_breaks_what_is_live or orders_are_the_same"
)
"""Of each suite what its like is shown by."""

OWN_NAMES = "not of_another_exchange and not of_another_market and not killed_filling"
"""These name files and exchanges themselves."""

pytestmark = pytest.mark.skipif(EXCHANGE != FIRST_EXCHANGE, reason="this is the second run")


@pytest.mark.parametrize("exchange", [name for name in venue_names() if name != FIRST_EXCHANGE])
@pytest.mark.parametrize("wanted", [pytest.param(OWN_NAMES, marks=pytest.mark.long), f"({CHOICE}) and {OWN_NAMES}"])
@pytest.mark.timeout(600)
def test_readers_read_another_exchange(exchange: str, wanted: str) -> None:
    paths = [str(ROOT / "tests" / "contract" / suite) for suite in SUITES]
    first = next(iter(SERVERS))
    others = " and ".join(f"not [{name}" for name in SERVERS if name != first)
    ended = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not long", "-k",
            f"({wanted}) and {others}" if others else wanted, *paths,
        ],
        env={**os.environ, "TESTED_EXCHANGE": exchange}, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert ended.returncode == 0, ended.stdout
