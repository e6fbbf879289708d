"""Whole numbers beyond 2^53: a record is judged as its columns are, which the audit sees."""

from __future__ import annotations

from itertools import permutations

import pytest
from msgspec import structs

from data_collector.validation.gate.compiler import compile_suite, values_of
from data_collector.validation.rules.columns import COLUMNS, GATE_COLUMNS, KINDS, Checked, Kind
from data_collector.validation.rules.suite import shipped_suite
from tests.market import kline, quote, ticker, trade


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_beyond_are_judged_as_the_audit_sees_them(kind: Kind) -> None:
    compiled = compile_suite(shipped_suite(kind))
    records: dict[Kind, Checked] = {"trade": trade(), "kline": kline(), "ticker": ticker(), "quote": quote()}
    record = records[kind]
    names = [name for name in GATE_COLUMNS[kind] if COLUMNS[kind][name].type == "integer" and name != "received_ms"]

    for larger, smaller in permutations(names, 2):
        beyond = structs.replace(record, **{larger: 2**61, smaller: 2**60})
        assert compiled.check(beyond) == compiled.verdict_of(*values_of(kind, beyond)), (larger, smaller)
