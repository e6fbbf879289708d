"""The compiled suites say row by row what real Great Expectations says."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_collector.validation.gate.compiler import compile_suite
from data_collector.validation.rules.columns import KINDS, Kind
from data_collector.validation.rules.conditions import GATED
from data_collector.validation.rules.suite import shipped_suite
from tests.differential.arguments import ARGUMENTS
from tests.differential.comparison import broken_by_check, broken_by_gate
from tests.differential.mutations import chunks, records_of
from tests.differential.strategies import Example, examples

if TYPE_CHECKING:
    from tests.differential.oracle import Oracle

EXAMPLES: Final = int(os.environ.get("DIFFERENTIAL_EXAMPLES", "430"))
"""Of random suites: with the others of this file more than 500 in CI. `make differential` asks for more."""

SLICE: Final = 60
"""As many take some seconds."""

SHIPPED_PART: Final = 20
"""A shipped suite has twenty times the rules of a random one."""

SHIPPED_SLICE: Final = 6
"""Of each kind in CI."""

TIMEOUT_S: Final = 120 + EXAMPLES
"""A slow machine, on which a failure is also shrunk."""


def examples_at_most(count: int) -> settings:
    """Great Expectations takes milliseconds per rule, and the suites are large to draw."""
    patience = [HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=count, deadline=None, suppress_health_check=patience, print_blob=True)


def compare_random(oracle: Oracle, example: Example) -> None:
    compiled = compile_suite(example.suite)

    assert broken_by_gate(compiled, example.rows) == oracle.broken_by_rows(example.suite, example.rows)


def compare_shipped(oracle: Oracle, kind: Kind, data: st.DataObject) -> None:
    chunk = data.draw(chunks(kind))
    compiled = compile_suite(shipped_suite(kind))

    assert broken_by_check(compiled, records_of(chunk)) == oracle.broken_by_records(compiled.suite, chunk)


def test_every_expectation_of_the_gate_is_drawn() -> None:
    assert set(ARGUMENTS) == set(GATED)


@pytest.mark.timeout(TIMEOUT_S)
@settings(examples_at_most(SLICE))
@given(example=examples())
def test_some_random_suites_judge_rows_as_great_expectations_does(oracle: Oracle, example: Example) -> None:
    compare_random(oracle, example)


@pytest.mark.slow
@pytest.mark.timeout(TIMEOUT_S)
@settings(examples_at_most(EXAMPLES))
@given(example=examples())
def test_random_suites_judge_rows_as_great_expectations_does(oracle: Oracle, example: Example) -> None:
    compare_random(oracle, example)


@pytest.mark.timeout(TIMEOUT_S)
@pytest.mark.parametrize("kind", KINDS)
@settings(examples_at_most(SHIPPED_SLICE))
@given(data=st.data())
def test_shipped_suite_judges_some_records_as_great_expectations_does(
    oracle: Oracle, kind: Kind, data: st.DataObject
) -> None:
    compare_shipped(oracle, kind, data)


@pytest.mark.long
@pytest.mark.timeout(TIMEOUT_S)
@pytest.mark.parametrize("kind", KINDS)
@settings(examples_at_most(EXAMPLES // SHIPPED_PART))
@given(data=st.data())
def test_shipped_suite_judges_records_as_great_expectations_does(
    oracle: Oracle, kind: Kind, data: st.DataObject
) -> None:
    compare_shipped(oracle, kind, data)
