"""Users' patterns have a limit of time."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from data_collector.validation.gate.compiler import compile_suite
from data_collector.validation.rules import patterns
from data_collector.validation.rules.patterns import KNOWN_MAX, LATE, LATE_MAX, TEXT_CHARACTERS_MAX, Pattern
from tests.market import trade
from tests.unit.validation.suites import expectation, suite_of

EVIL = "^(A|AA)+$"
"""Tries two to the power of thirty ways on the text below; `^([A-Z0-9]+)+$` is one that `regex` sees through."""

ENDLESS = "A" * 60 + "!"


@pytest.mark.parametrize("kind", ["match", "not_match"])
@pytest.mark.parametrize("text", [EVIL, "^([A-Z0-9]+)+$"])
def test_regex_that_backtracks_without_end_costs_milliseconds(kind: str, text: str) -> None:
    """One symbol of 41 characters held the validation service for good."""
    rule = expectation(f"expect_column_values_to_{kind}_regex", {"column": "symbol", "regex": text})

    verdict = compile_suite(suite_of(rule)).check(trade(symbol=ENDLESS))

    is_late = text == EVIL
    assert (verdict is not None) is (is_late or kind == "match")


def test_regex_that_is_too_slow_is_told_once() -> None:
    with capture_logs() as logs:
        pattern = Pattern(EVIL)
        found = [pattern.search_or_late(ENDLESS + str(number)) for number in range(3)]

    assert found == [LATE] * 3
    assert [(each["event"], each["regex"]) for each in logs] == [("regex_too_slow", EVIL)]


def test_text_that_is_known_is_not_searched_again() -> None:
    pattern = Pattern(EVIL)
    for _ in range(3):
        assert pattern.search(ENDLESS) is None

    assert pattern.late == 1


def test_many_late_texts_are_not_tried_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "LATE_WINDOW_S", 1e9)
    pattern = Pattern(EVIL)
    found = {pattern.search_or_late(f"{ENDLESS}{number}") for number in range(3 * LATE_MAX)}

    assert found == {LATE}
    assert pattern.late == LATE_MAX
    assert pattern.search_or_late("AA") is LATE


def test_pattern_that_was_late_is_tried_again_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "LATE_WINDOW_S", -1.0)
    pattern = Pattern(EVIL)
    for number in range(2 * LATE_MAX):
        pattern.search_or_late(f"{ENDLESS}{number}")

    assert pattern.search("AA") is not None


def test_long_text_keeps_no_rule() -> None:
    pattern = Pattern("^A")

    assert pattern.search("A" * TEXT_CHARACTERS_MAX) is not None
    assert pattern.search_or_late("A" * (TEXT_CHARACTERS_MAX + 1)) is LATE


def test_texts_that_are_known_are_bounded() -> None:
    pattern = Pattern("^A")
    for number in range(KNOWN_MAX + 10):
        pattern.search(str(number))

    assert len(pattern._known) == KNOWN_MAX


@pytest.mark.parametrize("text", ["(", "[A-Z", "a**", "(?P<x", "\\h", "\\p{L}"])
def test_broken_regex_is_told(text: str) -> None:
    """The last two are none of Python's, though `regex` knows them."""
    with pytest.raises(ValueError, match="is broken"):
        Pattern(text)
