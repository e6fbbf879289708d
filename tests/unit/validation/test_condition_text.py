"""The compiled condition as people read it: constants stand in their places."""

from __future__ import annotations

import pytest

from data_collector.validation.gate.compiler import condition_text
from data_collector.validation.rules.columns import KINDS, Kind
from data_collector.validation.rules.suite import Rule, parse_suite, shipped_suite


def rule_of(kwargs: dict[str, object], expectation: str) -> Rule:
    entry = {"type": expectation, "kwargs": kwargs, "description": "It must hold.", "meta": {"rule_id": "it"}}
    return parse_suite("trade", {"expectations": [entry]}, source="user", origin="here").rules[0]


@pytest.mark.parametrize(
    ("expectation", "kwargs", "text"),
    [
        (
            "expect_column_values_to_be_between",
            {"column": "price", "min_value": 0, "strict_min": True},
            "(0.0 < price)",
        ),
        (
            "expect_column_values_to_be_in_set",
            {"column": "symbol", "value_set": ["b}", "a{0}"]},
            "(symbol in {'a{0}', 'b}'})",
        ),
        (
            "expect_column_values_to_match_regex",
            {"column": "symbol", "regex": "^B{1}"},
            "(re.compile('^B{1}').search(symbol) is not None)",
        ),
        (
            "expect_column_values_to_be_between",
            {"column": "buyer_order_id", "min_value": 1},
            "(buyer_order_id is None or (1 <= buyer_order_id))",
        ),
    ],
)
def test_constants_stand_in_their_places(expectation: str, kwargs: dict[str, object], text: str) -> None:
    assert condition_text("trade", rule_of(kwargs, expectation)) == text


@pytest.mark.parametrize("kind", KINDS)
def test_every_gated_rule_has_a_text_without_addresses(kind: Kind) -> None:
    texts = [condition_text(kind, rule) for rule in shipped_suite(kind).rules if rule.gated]

    assert texts
    assert [text for text in texts if " at 0x" in text] == []
