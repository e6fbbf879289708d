"""What `doctor` says of Market Memory."""

from __future__ import annotations

import pytest

from data_collector.cli.doctor.check_memory import check_memory
from data_collector.settings import load_settings


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({}, []),
        ({"MEMORY": "1"}, [("ok", "the candles of all symbols are remembered from the start")]),
        (
            {"MEMORY": "1", "SYMBOLS": ",".join(f"S{number}USDT" for number in range(30))},
            [("ok", "the candles of the first 8 of 30 symbols are remembered, of others when asked for")],
        ),
        (
            {"MEMORY": "1", "CHANNELS": "trade"},
            [("warn", "MEMORY=1 remembers candles, and CHANNELS has no kline")],
        ),
    ],
)
def test_memory_is_looked_at_where_it_is_on(environment: dict[str, str], told: list[tuple[str, str]]) -> None:
    assert [(each.state, each.seen) for each in check_memory(load_settings(environment, None))] == told
