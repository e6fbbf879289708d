"""Suite documents to test with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from data_collector.validation.gate.compiler import compile_suite
from data_collector.validation.rules.columns import GATE_COLUMNS, Kind, Value
from data_collector.validation.rules.suite import Suite, parse_suite

Document = dict[str, object]


def expectation(expectation_type: str, kwargs: object, /, rule_id: str = "rule", **changes: object) -> Document:
    """One expectation; `changes` replace or add keys."""
    made: Document = {
        "type": expectation_type,
        "kwargs": kwargs,
        "severity": "critical",
        "description": "It holds.",
        "meta": {"rule_id": rule_id},
    }
    return made | changes


def present(column: str = "price", /, rule_id: str = "rule", **changes: object) -> Document:
    """The simplest one."""
    return expectation("expect_column_values_to_not_be_null", {"column": column}, rule_id, **changes)


def suite_of(*expectations: object, kind: Kind = "trade", source: Literal["shipped", "user"] = "user") -> Suite:
    """A suite of them, as the strict reader takes it."""
    return parse_suite(kind, {"name": kind, "expectations": list(expectations)}, source=source, origin="the suite")


def values(kind: Kind, given: Mapping[str, Value]) -> list[Value]:
    """A row in the order of the columns, null where nothing is given."""
    return [given.get(name) for name in GATE_COLUMNS[kind]]


def keeps(kind: Kind, expectation_type: str, kwargs: object, given: Mapping[str, Value]) -> bool:
    """Whether a row keeps the one rule of a suite."""
    compiled = compile_suite(suite_of(expectation(expectation_type, kwargs), kind=kind))
    return compiled.failed(*values(kind, given)) == []
