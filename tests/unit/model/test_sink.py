"""What a sink is handed, and the text of a gap."""

from __future__ import annotations

import pytest

from data_collector.model.sink import Batch, KlineUpdate, NewestUpdate, SideEntry, TradeRun
from tests.market import MINUTE_MS, NOON_MS, kline, ticker

RUN = TradeRun("BTCUSDT", 1, [NOON_MS, "{}", NOON_MS, "{}"], "1", "", 0, 0)


def test_empty_batch_is_false() -> None:
    assert not Batch()


@pytest.mark.parametrize(
    "batch",
    [
        Batch(trades=[RUN]),
        Batch(klines=[[KlineUpdate(kline(), NOON_MS + MINUTE_MS)]]),
        Batch(newest=[NewestUpdate(ticker())]),
        Batch(side=[SideEntry("late", "BTCUSDT", ("data", "{}"), 1)]),
    ],
)
def test_batch_with_anything_is_true(batch: Batch) -> None:
    assert batch


def test_run_counts_trades_not_entries() -> None:
    assert RUN.count == 2
