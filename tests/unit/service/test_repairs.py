"""What operators are told of gaps that are open."""

from __future__ import annotations

import pytest

from data_collector.model.keys import Key
from data_collector.model.status import GapsStatus
from data_collector.pipeline.gaps.ledger import Ledger
from data_collector.service.part import NAMES_SHOWN
from data_collector.service.repairs import GAP_TOLERATED_S, gap_reasons, is_repaired
from tests.market import MINUTE_MS, NOON_MS, SYMBOL


def status(*, after_s: float, **gaps: tuple[str | None, int, int]) -> GapsStatus:
    """Of gaps that opened at once."""
    now_s = 100.0
    ledger = Ledger(lambda: now_s)
    for symbol, (interval, first, last) in gaps.items():
        ledger.opened(Key("trade" if interval is None else "kline", symbol, interval), first, last)
    now_s += after_s
    return ledger.status()


def test_no_gap_is_no_reason() -> None:
    assert gap_reasons(status(after_s=60)) == []


def test_record_that_another_line_may_bring_is_no_reason() -> None:
    assert gap_reasons(status(after_s=0.1, BTCUSDT=(None, 1, 9))) == []
    assert gap_reasons(status(after_s=1.9, BTCUSDT=(None, 1, 9)), told_after_s=2.0) == []
    assert len(gap_reasons(status(after_s=2.1, BTCUSDT=(None, 1, 9)), told_after_s=2.0)) == 1


@pytest.mark.parametrize(
    ("gap", "sentence"),
    [
        ((None, 1, 1203), "repairing 1,203 trades of BTCUSDT since 12 s"),
        ((None, 7, 7), "repairing 1 trade of BTCUSDT since 12 s"),
        (("1m", NOON_MS, NOON_MS + MINUTE_MS), "repairing 2 1m klines of BTCUSDT since 12 s"),
    ],
)
def test_repair_is_told_with_its_size_and_age(gap: tuple[str | None, int, int], sentence: str) -> None:
    assert gap_reasons(status(after_s=12, **{SYMBOL: gap})) == [sentence]


def test_of_many_gaps_the_oldest_are_named_and_the_others_counted() -> None:
    many: dict[str, tuple[str | None, int, int]] = {f"S{number}": (None, 1, 1) for number in range(1000)}

    reasons = gap_reasons(status(after_s=12, **many))

    assert len(reasons) == NAMES_SHOWN + 1
    assert reasons[-1] == f"repairing {1000 - NAMES_SHOWN} more gaps"


@pytest.mark.parametrize(("after_s", "expected"), [(GAP_TOLERATED_S, True), (GAP_TOLERATED_S + 0.1, False)])
def test_gap_that_is_open_for_long_makes_the_service_not_ready(after_s: float, *, expected: bool) -> None:
    assert is_repaired(status(after_s=after_s, BTCUSDT=(None, 1, 9))) is expected
