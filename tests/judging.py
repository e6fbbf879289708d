"""The gate of the shipped suites, and a notebook in place of the audit."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache

from data_collector.model.gate import Verdict
from data_collector.model.records import Record, Trade
from data_collector.validation.gate.gate import CompiledGate, gate_of
from data_collector.validation.rules.columns import KINDS, Kind
from data_collector.validation.rules.suite import merged, read_suite, shipped_suite


@cache
def shipped_gate() -> CompiledGate:
    """What gates where the user has no rules."""
    return gate_of({kind: shipped_suite(kind) for kind in KINDS})


def refusing(record: Record) -> tuple[str, ...]:
    """The shipped critical rules that a record breaks."""
    verdict = shipped_gate().check(record)
    return () if verdict is None else verdict.critical


def gate_with(
    kind: Kind, bounds: dict[str, object], *, severity: str = "critical", column: str = "price"
) -> CompiledGate:
    """The shipped gate and a user's rule `price_cap` about one column."""
    document = {
        "expectations": [
            {
                "type": "expect_column_values_to_be_between",
                "kwargs": {"column": column, **bounds},
                "severity": severity,
                "description": "The price is as the user wants it.",
                "meta": {"rule_id": "price_cap"},
            }
        ]
    }
    user = read_suite(kind, json.dumps(document))
    return gate_of({one: merged(shipped_suite(one), user) if one == kind else shipped_suite(one) for one in KINDS})


class Notebook:
    """The `AuditNotes` of tests: remembers what it is told."""

    def __init__(self) -> None:
        self.plain: list[Trade] = []
        self.others: list[tuple[Record, Verdict | None, bool, bool]] = []
        self.note_trade: Callable[[Trade], None] = self.plain.append

    def note(self, record: Record, verdict: Verdict | None, *, accepted: bool = True, late: bool = False) -> None:
        """See the protocol."""
        self.others.append((record, verdict, accepted, late))
