"""What a memory lacks between its candles, and what is put there later."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from data_collector.client.adapters.memory import Memory
from tests.market import SYMBOL
from tests.unit.client.adapters.candles import feed, klines, walk

MINUTE = timedelta(minutes=1)


def test_holes_are_told_until_what_was_missing_comes(tmp_path: Path) -> None:
    candles = klines(walk(300))
    memory = Memory(tmp_path, SYMBOL, "1m", window=16)
    assert memory.holes == []

    feed(memory, [*candles[:100], *candles[120:200], *candles[201:]])

    assert memory.holes == [
        (candles[100].timestamp, candles[120].timestamp),
        (candles[200].timestamp, candles[200].timestamp + MINUTE),
    ]
    memory.take(candles[100:120])
    assert memory.holes == [(candles[200].timestamp, candles[201].timestamp)]
    memory.take(candles[200:201])
    assert memory.holes == []
