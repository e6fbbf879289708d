"""What a sink is handed, and the text of a gap."""

from __future__ import annotations

import json

import pytest

from data_collector.model.batch import Batch, KlineUpdate, SideEntry, TickerUpdate, TradeRun, gap_json
from data_collector.model.gaps import Gap
from tests.market import MINUTE_MS, NOON_MS, kline, ticker

RUN = TradeRun("BTCUSDT", 1, [NOON_MS, "{}", NOON_MS, "{}"], "1", "", 0, 0)


def test_empty_batch_is_false() -> None:
    assert not Batch()


@pytest.mark.parametrize(
    "batch",
    [
        Batch(trades=[RUN]),
        Batch(klines=[[KlineUpdate(kline(), NOON_MS + MINUTE_MS)]]),
        Batch(tickers=[TickerUpdate(ticker())]),
        Batch(side=[SideEntry("late", "BTCUSDT", ("data", "{}"), 1)]),
    ],
)
def test_batch_with_anything_is_true(batch: Batch) -> None:
    assert batch


def test_run_counts_trades_not_entries() -> None:
    assert RUN.count == 2


def test_gap_of_trades_is_the_contracts_shape() -> None:
    gap = Gap(1201, 1219, 19, "refused", ("price_positive", "time_range"))

    text = gap_json('"BTCUSDT"', "trade", None, gap, "1201", "1219", "2024-01-01T12:00:00.000+00:00")

    assert list(json.loads(text).items()) == [
        ("symbol", "BTCUSDT"),
        ("channel", "trade"),
        ("interval", None),
        ("first", 1201),
        ("last", 1219),
        ("count", 19),
        ("reason", "refused"),
        ("rules", ["price_positive", "time_range"]),
        ("recorded_at", "2024-01-01T12:00:00.000+00:00"),
    ]


def test_gap_of_klines_names_the_interval_and_open_times() -> None:
    gap = Gap(NOON_MS, NOON_MS + MINUTE_MS, 2, "lost")
    first, last = '"2024-01-01T12:00:00+00:00"', '"2024-01-01T12:01:00+00:00"'

    shown = json.loads(gap_json('"BTCUSDT"', "kline", "1m", gap, first, last, "2024-01-01T12:05:00.000+00:00"))

    assert (shown["channel"], shown["interval"]) == ("kline", "1m")
    assert (shown["first"], shown["last"]) == ("2024-01-01T12:00:00+00:00", "2024-01-01T12:01:00+00:00")
    assert shown["rules"] == []
