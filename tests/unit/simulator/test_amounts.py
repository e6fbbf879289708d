"""Amounts as integers."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_collector.simulator.amounts import amount_text, percent_text


@given(st.integers(-(10**20), 10**20))
def test_text_of_an_amount_has_eight_decimals_and_its_value(amount: int) -> None:
    text = amount_text(amount)

    assert Decimal(text).scaleb(8) == amount
    assert len(text.partition(".")[2]) == 8


@pytest.mark.parametrize(
    ("change", "base", "expected"),
    [("28.23", "1764.61", "1.600"), ("-2668.68", "72292.68", "-3.691"), ("0.00031500", "0.06118800", "0.515")],
)
def test_percent_is_rounded_as_in_recordings(change: str, base: str, expected: str) -> None:
    assert percent_text(int(Decimal(change).scaleb(8)), int(Decimal(base).scaleb(8))) == expected
