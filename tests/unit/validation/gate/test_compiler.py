"""The generated functions: what they read, what costs nothing, and that nothing of a suite becomes source text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest
from msgspec import structs

from data_collector.model.errors import SuiteRefused
from data_collector.validation.gate.compiler import (
    NUMBER_CHARACTERS_MAX,
    NUMBER_LENGTH,
    NUMBER_TEXT,
    compile_suite,
    values_of,
    whole,
)
from data_collector.validation.rules.arguments import SET_VALUES_MAX
from data_collector.validation.rules.columns import COLUMNS, INTEGER_MAX, KINDS, Checked, Kind
from data_collector.validation.rules.suite import read_suite, shipped_suite
from tests.market import kline, quote, ticker, trade
from tests.unit.validation.suites import expectation, present, suite_of, values

BETWEEN: Final = "expect_column_values_to_be_between"
GOOD: Final[dict[Kind, Callable[..., Checked]]] = {"trade": trade, "kline": kline, "ticker": ticker, "quote": quote}
LONGEST: Final = "1" * NUMBER_CHARACTERS_MAX

NO_NUMBERS: Final = [
    "", " ", "x", "1,2", "1 2", "1_000", "1.", ".5", "+1", "01", "0x1", "NaN", "Infinity", "-Infinity", "1e400", "١٢",
    "true", "null", '"1"', "[1]", "{}", "1]", "[", "1//", "\ud800", "1\x00", "1.5\n", " 1.5", "1.5\t", "1.5\r", "1e308",
    "1E2", "-1.5e-3", "5e+0",
]  # fmt: skip
"""Texts that Python's float, Decimal or int may take, or JSON, and that are no plain decimals."""

HOSTILE: Final = [
    "__class__", "a or True", "price) or (True", "price\n", "{price}", "{0}", "record.price", "__import__('os')", "價",
    "price if True else price", "None", "import", "found", "",
]  # fmt: skip


def check_source(*expectations: object, kind: Kind = "trade") -> str:
    """The generated text of the fast function."""
    source = compile_suite(suite_of(*expectations, kind=kind)).source
    return source[source.index("def check(record):") :]


@pytest.mark.parametrize("kind", KINDS)
def test_good_record_breaks_no_shipped_rule(kind: Kind) -> None:
    assert compile_suite(shipped_suite(kind)).check(GOOD[kind]()) is None


@pytest.mark.parametrize("kind", KINDS)
def test_record_without_what_an_exchange_may_lack_breaks_no_shipped_rule(kind: Kind) -> None:
    check = compile_suite(shipped_suite(kind)).check
    nullable = [name for name, each in COLUMNS[kind].items() if each.nullable and not each.audit_only]
    lacking = [name for name in nullable if name != "received_ms"]

    for names in [*([name] for name in lacking), lacking]:
        assert check(structs.replace(GOOD[kind](), **dict.fromkeys(names))) is None


@pytest.mark.parametrize("name", ["quote_volume", "trades"])
def test_users_rule_that_a_value_must_be_given_is_broken_by_a_record_without_it(name: str) -> None:
    compiled = compile_suite(suite_of(present(name), kind="kline"))

    verdict = compiled.check(kline(**{name: None}))

    assert verdict is not None
    assert verdict == compiled.verdict_of(*values_of("kline", kline(**{name: None})))
    assert verdict.readable
    assert compiled.check(kline()) is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", NO_NUMBERS)
def test_text_that_is_no_json_number_is_named_and_is_null_to_the_rules(kind: Kind, text: str) -> None:
    compiled = compile_suite(suite_of(kind=kind))
    for name, column in COLUMNS[kind].items():
        if column.type != "decimal" or column.audit_only:
            continue
        record = structs.replace(GOOD[kind](), **{name: text})

        verdict = compiled.check(record)

        assert verdict is not None
        assert verdict.rules == (NUMBER_TEXT,)
        assert not verdict.readable
        assert None in values_of(kind, record)[0]


def test_texts_that_are_numbers_only_together_do_not_pass() -> None:
    compiled = compile_suite(suite_of())
    for price, quantity in (("1,2", ""), ("[1", "2]"), ("", "1,2")):
        verdict = compiled.check(trade(price=price, quantity=quantity))

        assert verdict is not None
        assert verdict.rules == (NUMBER_TEXT,)


def test_number_may_have_64_characters_and_no_more() -> None:
    compiled = compile_suite(suite_of())

    assert compiled.check(trade(price=LONGEST, quantity=LONGEST)) is None
    verdict = compiled.check(trade(price=LONGEST + "1"))

    assert verdict is not None
    assert verdict.rules == (NUMBER_LENGTH,)
    assert not verdict.readable


def test_unreadable_number_breaks_the_rules_that_want_it() -> None:
    suite = suite_of(present("price", "given"), expectation(BETWEEN, {"column": "price", "min_value": 0}, "range"))

    verdict = compile_suite(suite).check(trade(price="x"))

    assert verdict is not None
    assert verdict.critical == (NUMBER_TEXT, "given")


def test_broken_rules_are_sorted_by_severity() -> None:
    rules = [
        expectation(BETWEEN, {"column": "price", "min_value": 10**6}, severity, severity=severity)
        for severity in ("info", "warning", "critical")
    ]

    verdict = compile_suite(suite_of(*rules)).check(trade())

    assert verdict is not None
    assert (verdict.critical, verdict.warnings, verdict.infos) == (("critical",), ("warning",), ("info",))
    assert verdict.readable


@pytest.mark.parametrize("kind", KINDS)
def test_rule_that_the_decoder_guarantees_costs_nothing(kind: Kind) -> None:
    empty = check_source(kind=kind)
    for name, column in COLUMNS[kind].items():
        if column.audit_only:
            continue
        with_rule = check_source(present(name), kind=kind)

        # A record that lacks a decimal is not read, and judged slowly.
        assert (with_rule == empty) is (not column.nullable or column.type == "decimal")
    assert "if (\n            True\n        )" in empty


def test_nullable_column_is_asked_about_null_and_a_solid_one_is_not() -> None:
    solid = check_source(expectation(BETWEEN, {"column": "trade_id", "min_value": 0}))
    nullable = check_source(expectation(BETWEEN, {"column": "buyer_order_id", "min_value": 0}))

    assert "trade_id is None" not in solid
    assert "buyer_order_id is None or" in nullable


def test_row_lacks_what_a_record_cannot_lack() -> None:
    compiled = compile_suite(suite_of(present("price", "given")))

    assert compiled.failed(*values("trade", {})) == [0]
    assert compiled.failed(*values("trade", {"price": 1.0})) == []


def test_rules_that_are_disabled_or_for_the_audit_are_not_compiled() -> None:
    off = present("price", "off", meta={"rule_id": "off", "disabled": True})
    later = present("price", "later", severity="info", meta={"rule_id": "later", "audit_only": True})

    compiled = compile_suite(suite_of(off, later))

    assert compiled.gated == ()
    assert compiled.failed(*values("trade", {})) == []


def test_time_of_reception_is_null_where_it_is_not_known() -> None:
    compiled = compile_suite(suite_of(present("received_ms")))

    assert compiled.check(trade(received_ns=0)) is not None
    assert compiled.check(trade(received_ns=1_000_000)) is None


def test_whole_number_beyond_the_exact_ones_stays_beyond() -> None:
    assert whole(INTEGER_MAX) == INTEGER_MAX
    assert whole(10**400) == INTEGER_MAX + 1
    assert whole(-(10**400)) == -INTEGER_MAX - 1
    assert whole(None) is None


@pytest.mark.parametrize("number", [2**63, 10**400, -(10**400)])
@pytest.mark.parametrize("kind", KINDS)
def test_integer_of_any_length_is_judged_and_does_not_end_the_gate(kind: Kind, number: int) -> None:
    compiled = compile_suite(shipped_suite(kind))
    for name, column in COLUMNS[kind].items():
        if column.type != "integer" or column.audit_only or name == "received_ms":
            continue
        record = structs.replace(GOOD[kind](), **{name: number})

        verdict = compiled.check(record)

        assert verdict == compiled.verdict_of(*values_of(kind, record))


def test_integers_that_differ_only_beyond_the_exact_ones_are_equal_to_the_rules() -> None:
    compiled = compile_suite(shipped_suite("ticker"))

    assert compiled.check(ticker(open_time=2**70, close_time=2**69)) is None


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_column_is_refused_wherever_it_stands(name: str) -> None:
    condition = {"type": "nullity", "column": {"name": name}, "is_null": True}
    for rule in (
        present(name),
        expectation("expect_column_values_to_not_be_null", {"column": "price", "row_condition": condition}),
        expectation("expect_multicolumn_sum_to_equal", {"column_list": ["price", name], "sum_total": 1}),
        expectation("expect_column_pair_values_to_be_equal", {"column_A": "price", "column_B": name}),
    ):
        with pytest.raises(SuiteRefused):
            suite_of(rule)


def test_nothing_that_a_user_writes_becomes_source_text() -> None:
    text = "x');__import__('os').system('true')#{0}"
    rules = [
        expectation("expect_column_values_to_be_in_set", {"column": "symbol", "value_set": [text]}, "in_set"),
        expectation("expect_column_values_to_match_regex", {"column": "symbol", "regex": "injected[(]"}, "matches"),
        expectation(BETWEEN, {"column": "price", "max_value": 31337.5}, "below", description=text),
    ]

    source = compile_suite(suite_of(*rules)).source

    for written in ("import", "injected", "31337", "in_set", "matches", "below", "#"):
        assert written not in source


def test_set_of_a_million_values_is_refused_and_the_largest_one_adds_no_text() -> None:
    def rule(count: int) -> object:
        kwargs = {"column": "trade_id", "value_set": list(range(count))}
        return expectation("expect_column_values_to_be_in_set", kwargs)

    with pytest.raises(SuiteRefused):
        suite_of(rule(10**6))
    small, large = (compile_suite(suite_of(rule(count))).source for count in (1, SET_VALUES_MAX))
    assert small == large


def test_regex_that_may_take_forever_is_taken_but_not_a_long_one() -> None:
    bomb = expectation("expect_column_values_to_match_regex", {"column": "symbol", "regex": r"^(a+)+\Z"})
    long = expectation("expect_column_values_to_match_regex", {"column": "symbol", "regex": "(a+)+" * 1000})

    assert compile_suite(suite_of(bomb)).check(trade(symbol="aaa")) is None
    with pytest.raises(SuiteRefused):
        suite_of(long)


def test_generated_functions_have_no_builtins_to_reach() -> None:
    compiled = compile_suite(shipped_suite("kline"))

    builtins = compiled.check.__globals__["__builtins__"]

    assert sorted(builtins) == ["abs", "len", "map", "max", "min"]


def test_digest_of_the_compiled_suite_is_that_of_the_suite() -> None:
    suite = read_suite("trade", b'{"expectations": []}')

    assert compile_suite(suite).digest == suite.digest
