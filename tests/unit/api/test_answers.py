"""From a snapshot to what people read."""

from __future__ import annotations

import pytest

from data_collector.api.answers import MemoryStatus, joined_memory, metrics_of, success_rate
from data_collector.model.status import Sample, Snapshot


@pytest.mark.parametrize(
    ("validated", "errors", "rate"), [(0, 0, 100.0), (12_340, 5, 99.96), (0, 3, 0.0), (2, 1, 66.67), (7, 0, 100.0)]
)
def test_success_rate_is_percent_with_two_decimals(validated: int, errors: int, rate: float) -> None:
    assert success_rate(validated, errors) == rate


def test_audit_coverage_is_what_the_collector_tells_and_none_without() -> None:
    told = Sample("data_collector_gx_audit_coverage_ratio", 0.5)

    assert metrics_of(Snapshot(samples=[told])).gx_audit_coverage == 0.5
    assert metrics_of(Snapshot()).gx_audit_coverage == 0.0


def test_memories_of_several_exchanges_are_one() -> None:
    """The sum was told as off, of nothing."""
    running = MemoryStatus("running", candles={"BTCUSDT 1m": 10}, restarts=1, resident_bytes=100)
    down = MemoryStatus("down", "It ended.", candles={"BTC/USD 1m": 5}, filling={"ETH/USD 1m": 2}, resident_bytes=50)

    assert joined_memory({"binance": running, "kraken": down}) == MemoryStatus(
        "down", "kraken: It ended.", candles={"binance:BTCUSDT 1m": 10, "kraken:BTC/USD 1m": 5},
        filling={"kraken:ETH/USD 1m": 2}, restarts=1, resident_bytes=150,
    )  # fmt: skip
    assert joined_memory({"binance": MemoryStatus(), "kraken": MemoryStatus()}) == MemoryStatus()
