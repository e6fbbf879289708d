"""The strict reader of suites: what it refuses and in which words, and what becomes of two suites."""

from __future__ import annotations

import json
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_collector.model.errors import SuiteRefused
from data_collector.validation.rules.columns import KINDS, Kind
from data_collector.validation.rules.suite import (
    DOCUMENT_BYTES_MAX,
    RULES_MAX,
    SENTENCE_CHARACTERS_MAX,
    difference,
    merged,
    parse_suite,
    read_suite,
    shipped_suite,
)
from tests.unit.validation.suites import Document, expectation, present, suite_of

BETWEEN: Final = "expect_column_values_to_be_between"
UNIQUE: Final = "expect_compound_columns_to_be_unique"


CRITICAL: Final = "a critical rule must be decided for each record alone, and {}; make it warning or info"


def faults_of(*expectations: object, kind: Kind = "trade") -> list[str]:
    with pytest.raises(SuiteRefused) as refused:
        suite_of(*expectations, kind=kind)
    return list(refused.value.faults)


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        (
            expectation("expect_columns_to_exist", {"column": "price"}),
            "there is no expectation 'expect_columns_to_exist' (did you mean expect_column_to_exist?)",
        ),
        (present(severity="critcal"), "severity 'critcal' is none of critical, warning, info (did you mean critical?)"),
        (present(severity=7), "severity 7 is none of critical, warning, info"),
        (present("prise"), "a trade has no column 'prise' (did you mean price?)"),
        (
            expectation(BETWEEN, {"column": "price", "min_valu": 1}),
            "expect_column_values_to_be_between has no argument 'min_valu' (did you mean min_value?)",
        ),
        (expectation(BETWEEN, {"min_value": 1}), "expect_column_values_to_be_between needs the argument column"),
        (expectation(BETWEEN, ["price"]), '"kwargs" must be a JSON object'),
        (present(type=7), '"type" must be the name of an expectation'),
        (expectation("unexpected_rows_expectation", {}), "unexpected_rows_expectation works on SQL databases only"),
        (present(descripton="x"), "there is no key 'descripton' in an expectation (did you mean description?)"),
        (present(meta={"rule_id": "rule", "audit_olny": 1}), "there is no meta.audit_olny (did you mean audit_only?)"),
        (present(meta={"rule_id": "rule", "disabled": 1}), "meta.disabled must be true or false"),
        (
            expectation(BETWEEN, {"column": "price", "min_value": 1, "mostly": 1.5}),
            "mostly must be a number from 0 to 1",
        ),
        (
            expectation(BETWEEN, {"column": "price", "min_value": 1, "mostly": True}),
            "mostly must be a number from 0 to 1",
        ),
        (
            expectation(UNIQUE, {"column_list": ["symbol", "trade_id"]}),
            CRITICAL.format(f"{UNIQUE} judges batches"),
        ),
        (
            expectation(BETWEEN, {"column": "price", "min_value": 1, "mostly": 0.9}),
            CRITICAL.format("mostly below 1 judges batches"),
        ),
        (
            present("tick_size"),
            CRITICAL.format("the column tick_size is known to the audit only"),
        ),
        (
            present(meta={"rule_id": "rule", "audit_only": True}),
            CRITICAL.format("it is audit_only"),
        ),
    ],
)  # fmt: skip
def test_faulty_rule_is_refused_by_name_and_reason(entry: Document, fault: str) -> None:
    assert faults_of(entry) == [f"rule rule: {fault}"]


@pytest.mark.parametrize("description", [None, "", "  ", 7, "x" * (SENTENCE_CHARACTERS_MAX + 1)])
def test_rule_without_a_sentence_is_refused(description: object) -> None:
    assert faults_of(present(description=description)) == [
        'rule rule: "description" must be the sentence that people read (1 to 500 characters)'
    ]


@pytest.mark.parametrize("rule_id", ["", "Rule", "1rule", "a b", "a\nb", "rule\n", "x" * 65, None, 7, "ä", "a-b"])
def test_rule_id_is_a_plain_short_name(rule_id: object) -> None:
    (fault,) = faults_of(present(meta={"rule_id": rule_id}))

    assert fault.endswith("meta.rule_id must be 1 to 64 of a-z, 0-9 and _, and begin with a letter")


def test_sentence_quotes_only_the_beginning_of_what_is_long() -> None:
    long = "x" * 100_000
    for entry in (present(severity=long), present(long), present() | {long: 1}, expectation(long, {})):
        (fault,) = faults_of(entry)

        assert len(fault) < 300


def test_expectation_without_an_id_is_named_by_its_number() -> None:
    assert faults_of(present(), present(meta=None)) == ['expectation 2: "meta" must hold at least {"rule_id": "…"}']
    assert faults_of("not null") == ["expectation 1: it is not a JSON object"]


def test_all_faults_are_named_at_once() -> None:
    faults = faults_of(present("prise", "one"), present(severity="bad", rule_id="two"), present("price", "three"))

    assert [fault.split(":")[0] for fault in faults] == ["rule one", "rule two"]


def test_second_rule_of_the_same_id_is_refused() -> None:
    assert faults_of(present(), present("quantity")) == ["rule rule: another rule of this file has the same id"]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"[]", "it is not a JSON object"),
        (b"{", "it is not a JSON object"),
        (b'{"expectations": "\xff"}', "it is not a JSON object"),
        (b"{}", 'it has no list "expectations"'),
        (b'{"expectations": {}}', 'it has no list "expectations"'),
        (b'{"expectations": [], "expectation": []}', "there is no key 'expectation' in a suite"),
        (b'{"expectations": [], "name": "kline"}', "its name is 'kline' and should be 'trade'"),
        (b" " * (DOCUMENT_BYTES_MAX + 1), f"it has more than {DOCUMENT_BYTES_MAX} bytes"),
        (b'{"expectations": ' + b"[" * 100_000, "it is not a JSON object"),
    ],
)
def test_document_that_is_no_suite_is_refused(content: bytes, fault: str) -> None:
    with pytest.raises(SuiteRefused) as refused:
        read_suite("trade", content, origin="uploaded")

    assert refused.value.faults[0].startswith(fault)
    assert str(refused.value).startswith("uploaded is refused:")


def test_suite_of_more_rules_than_the_bound_is_refused() -> None:
    rules = [present("price", f"rule_{number}") for number in range(RULES_MAX + 1)]

    assert faults_of(*rules) == [f"it has more than {RULES_MAX} rules"]
    assert len(suite_of(*rules[:-1]).rules) == RULES_MAX


@pytest.mark.parametrize("name", [BETWEEN, UNIQUE])
@pytest.mark.parametrize("condition", ["price > 0", {"type": "pass_through", "pass_through_filter": "price > 0"}, 7])
def test_row_condition_that_would_be_run_as_text_is_refused(name: str, condition: object) -> None:
    """Great Expectations hands such text to `DataFrame.query`, which is no sandbox."""
    column = {"column": "price", "min_value": 0} if name == BETWEEN else {"column_list": ["symbol", "trade_id"]}

    (fault,) = faults_of(expectation(name, column | {"row_condition": condition}, severity="warning"))

    assert fault.startswith("rule rule: row_condition")


def test_condition_parser_of_another_engine_is_refused() -> None:
    kwargs = {"column_list": ["symbol", "trade_id"], "condition_parser": "spark"}

    assert faults_of(expectation(UNIQUE, kwargs, severity="info")) == [
        "rule rule: condition_parser is not needed: give row_condition in its structured form"
    ]


def test_disabled_rule_may_be_critical_whatever_it_is_about() -> None:
    suite = suite_of(present("tick_size", meta={"rule_id": "rule", "disabled": True}))

    assert suite.rules[0].disabled
    assert not suite.rules[0].gated


def test_only_shipped_rules_are_locked() -> None:
    meta = {"rule_id": "rule", "locked": True}

    assert suite_of(present(meta=meta), source="shipped").rules[0].locked
    assert not suite_of(present(meta=meta)).rules[0].locked


@pytest.mark.parametrize("kind", KINDS)
def test_document_of_a_suite_reads_as_the_same_suite(kind: Kind) -> None:
    suite = shipped_suite(kind)

    again = parse_suite(kind, suite.document(), source="shipped", origin="again")

    assert again == suite
    assert again.digest == suite.digest


def test_digest_changes_with_any_rule() -> None:
    assert suite_of(present()).digest != suite_of(present(severity="warning")).digest


def test_users_rule_takes_the_place_of_the_shipped_one_and_new_ones_follow() -> None:
    shipped = suite_of(present("price", "one"), present("quantity", "two"), source="shipped")
    user = suite_of(present("symbol", "own"), present("price", "one", severity="info"))

    rules = merged(shipped, user).rules

    assert [(rule.id, rule.severity, rule.source) for rule in rules] == [
        ("one", "info", "user"),
        ("two", "critical", "shipped"),
        ("own", "critical", "user"),
    ]


def test_locked_rule_cannot_be_changed_or_disabled() -> None:
    shipped = suite_of(present(meta={"rule_id": "rule", "locked": True}), source="shipped")

    for changed in (present(severity="info"), present(meta={"rule_id": "rule", "disabled": True}), present("symbol")):
        with pytest.raises(SuiteRefused) as refused:
            merged(shipped, suite_of(changed), origin="uploaded")
        assert refused.value.faults == (
            "rule rule: it guards the store and cannot be changed; add a stricter rule under an id of its own",
        )


def test_locked_rule_in_the_same_words_stays_shipped() -> None:
    shipped = suite_of(present(meta={"rule_id": "rule", "locked": True}), source="shipped")

    assert merged(shipped, suite_of(present())).rules == shipped.rules


def test_difference_is_what_a_user_said_otherwise() -> None:
    shipped = suite_of(present("price", "one"), present("quantity", "two"), source="shipped")
    user = suite_of(present("price", "one"), present("quantity", "two", severity="info"), present("symbol", "own"))

    kept = difference(shipped, user)

    assert [rule.id for rule in kept.rules] == ["two", "own"]
    assert merged(shipped, kept) == merged(shipped, user)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
SHIPPED_TEXT = json.dumps(shipped_suite("kline").document())


@given(data=st.data())
def test_junk_anywhere_in_a_suite_is_refused_or_read_but_no_crash(data: st.DataObject) -> None:
    document = json.loads(SHIPPED_TEXT)
    place = document["expectations"][data.draw(st.integers(0, len(document["expectations"]) - 1))]
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else list(range(len(place)))))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(JUNK)

    try:
        parse_suite("kline", document, source="user", origin="junk")
    except SuiteRefused as refused:
        assert all(len(fault) < 1000 for fault in refused.faults)  # noqa: PT017 - either outcome is right
