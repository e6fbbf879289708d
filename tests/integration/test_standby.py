"""Two collectors on one store: one stands by, and goes on when the other is killed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.exactness import assert_trades_exact
from tests.integration.processes import CollectorProcess, Exchange, collecting, exchange
from tests.integration.store_reader import Store
from tests.integration.waiting import until

SYMBOLS = ("BTCUSDT", "ETHUSDT")
WATCHED_S = 3.0


def counted(collector: CollectorProcess, name: str) -> float:
    return sum(sample.value for sample in collector.status().samples if sample.name == f"data_collector_{name}")


def is_standing_by(collector: CollectorProcess) -> bool:
    return collector.status().ready and counted(collector, "standby_symbols") == len(SYMBOLS)


def longest_stall_s(store: Store, act: Callable[[], None]) -> float:
    """How long the newest trade of the store stood still at most, from just before `act` on."""
    tail, moved_s, longest_s = store.tail_id("BTCUSDT"), time.monotonic(), 0.0
    act()
    until_s = time.monotonic() + WATCHED_S
    while time.monotonic() < until_s:
        newest, now_s = store.tail_id("BTCUSDT"), time.monotonic()
        longest_s = max(longest_s, now_s - moved_s)
        if newest != tail:
            tail, moved_s = newest, now_s
    return longest_s


def assert_exact(market: Exchange, store: Store) -> None:
    """Everything up to now is stored, and nothing is missing."""
    market.act("pause")
    for symbol in SYMBOLS:
        newest = market.last_id(symbol)
        until(lambda: store.tail_id(symbol) == newest, f"the last trade of {symbol}")  # noqa: B023
        assert assert_trades_exact(store, symbol, market.trades(symbol)) == []


def test_killed_collector_is_followed_by_the_one_that_stands_by(
    store: Store, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        exchange(folder, "--trades-per-s", "100") as market,
        collecting(folder / "active", market, redis_url=store.url) as active,
    ):
        until(lambda: active.status().ready, "a ready collector", output=active.told)
        with collecting(folder / "standby", market, redis_url=store.url, standby="1") as standing:
            until(lambda: is_standing_by(standing), "a collector that stands by", output=standing.told)
            assert counted(standing, "takeovers_total") == 0

            stall_s = longest_stall_s(store, active.kill)

            with capsys.disabled():
                print(f"\nThe store's newest trade stood still for {stall_s * 1000:.0f} ms at most after kill -9.")
            assert counted(standing, "takeovers_total") == len(SYMBOLS)
            assert_exact(market, store)


def test_collector_that_comes_back_is_left_to_write_again_by_turns(store: Store, folder: Path) -> None:
    with (
        exchange(folder, "--trades-per-s", "100") as market,
        collecting(folder / "one", market, redis_url=store.url, standby="1") as one,
    ):
        until(lambda: one.status().ready and counted(one, "takeovers_total") == len(SYMBOLS), "one that writes")
        with collecting(folder / "other", market, redis_url=store.url) as other:
            until(lambda: other.status().ready, "another ready collector", output=other.told)

            until(lambda: is_standing_by(one), "the first to stand by", output=one.told)

            assert_exact(market, store)
