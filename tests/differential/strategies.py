"""Random suites and random rows that meet: bounds, sets and patterns are made of the same values as the rows."""

from __future__ import annotations

import math
from typing import Final

from hypothesis import strategies as st
from msgspec import Struct

from data_collector.validation.gate.compiler import whole
from data_collector.validation.rules.columns import COLUMNS, GATE_COLUMNS, KINDS, ColumnType, Kind, Value
from data_collector.validation.rules.suite import Suite, parse_suite
from tests.differential.arguments import ARGUMENTS, Document, row_conditions
from tests.differential.values import Pool, pools

ROWS_MAX: Final = 10
RULES_MAX: Final = 4


class Example(Struct, frozen=True):
    """A suite and rows to judge by it."""

    suite: Suite
    rows: list[list[Value]]


def cells(pool: Pool, column_type: ColumnType) -> st.SearchStrategy[Value]:
    """A value of a column, now and then null."""
    given: st.SearchStrategy[Value] = st.sampled_from(pool.values(column_type))
    if column_type == "integer":
        given = st.sampled_from([whole(number) for number in pool.integer])
    if column_type == "decimal":
        given |= st.sampled_from([math.inf, -math.inf])
    return st.none() | given | given | given


@st.composite
def examples(draw: st.DrawFn) -> Example:
    """A kind, a suite of it that the strict reader takes, and rows."""
    kind = draw(st.sampled_from(KINDS))
    pool = draw(pools())
    rules = draw(st.lists(rule_bodies(kind, pool), min_size=1, max_size=RULES_MAX))
    document = {
        "name": kind,
        "expectations": [rule | {"meta": {"rule_id": f"rule_{i}"}} for i, rule in enumerate(rules)],
    }
    used = _columns_of(kind, str(document))
    rows = draw(st.lists(_rows(kind, pool, used), min_size=draw(st.sampled_from([0, 4, 8])), max_size=ROWS_MAX))
    return Example(parse_suite(kind, document, source="user", origin="the example"), rows)


def _columns_of(kind: Kind, text: str) -> set[str]:
    return {name for name in GATE_COLUMNS[kind] if f"'{name}'" in text}


def _rows(kind: Kind, pool: Pool, used: set[str]) -> st.SearchStrategy[list[Value]]:
    """Columns that no rule names hold null: drawing them would cost time and prove nothing."""
    return st.tuples(
        *(cells(pool, COLUMNS[kind][name].type) if name in used else st.none() for name in GATE_COLUMNS[kind])
    ).map(list)


@st.composite
def rule_bodies(draw: st.DrawFn, kind: Kind, pool: Pool) -> Document:
    """An expectation of those that single records are judged by, with valid arguments."""
    expectation = draw(st.sampled_from(sorted(ARGUMENTS)))
    kwargs = dict(draw(ARGUMENTS[expectation](kind, pool)))
    if draw(st.integers(0, 2)) == 0:
        kwargs["row_condition"] = draw(row_conditions(kind, pool))
    return {
        "type": expectation,
        "kwargs": kwargs,
        "severity": draw(st.sampled_from(["critical", "warning", "info"])),
        "description": "It holds.",
    }
