"""What each expectation of the gate says of a record, on both sides of its border, with nulls, and what it refuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pytest

from data_collector.model.errors import SuiteRefused
from data_collector.validation.rules.arguments import CONDITIONS_MAX, REGEX_CHARACTERS_MAX, SET_VALUES_MAX
from data_collector.validation.rules.columns import COLUMNS, INTEGER_MAX, Kind, Value
from data_collector.validation.rules.conditions import GATED
from tests.market import MINUTE_MS, NOON_MS
from tests.unit.validation.suites import Document, expectation, keeps, suite_of

NOT_NULL: Final = "expect_column_values_to_not_be_null"
NULL: Final = "expect_column_values_to_be_null"
BETWEEN: Final = "expect_column_values_to_be_between"
IN_SET: Final = "expect_column_values_to_be_in_set"
NOT_IN_SET: Final = "expect_column_values_to_not_be_in_set"
MATCH: Final = "expect_column_values_to_match_regex"
NOT_MATCH: Final = "expect_column_values_to_not_match_regex"
LENGTHS: Final = "expect_column_value_lengths_to_be_between"
LENGTH: Final = "expect_column_value_lengths_to_equal"
GREATER: Final = "expect_column_pair_values_a_to_be_greater_than_b"
EQUAL: Final = "expect_column_pair_values_to_be_equal"
SUM: Final = "expect_multicolumn_sum_to_equal"
DIFFERENCE: Final = "expect_column_pair_difference_to_be_between"
RATIO: Final = "expect_column_pair_ratio_to_be_between"
MULTIPLE: Final = "expect_column_pair_values_to_be_multiple"
OPEN_TIME: Final = "expect_column_pair_open_time_to_fit_interval"
CLOSE_TIME: Final = "expect_multicolumn_close_time_to_fit_interval"
DIFFERENCE_EQUAL: Final = "expect_multicolumn_difference_to_equal"
PRODUCT: Final = "expect_multicolumn_product_to_equal"
AT_LEAST: Final = "expect_multicolumn_amount_to_be_at_least_product"
AT_MOST: Final = "expect_multicolumn_amount_to_be_at_most_product"

PAIR_NULLS: Final = "ignore_row_if must be one of both_values_are_missing, either_value_is_missing, neither"
SET_SIZE: Final = f"value_set must be a list of at most {SET_VALUES_MAX} values"
DECIMALS: Final = [name for name, column in COLUMNS["kline"].items() if column.type == "decimal"]

PAIR: Final[Document] = {"column_A": "high", "column_B": "low"}
PRICES: Final[Document] = {"column_list": ["close", "high", "low"]}
AMOUNT: Final[Document] = {"column_list": ["quote_volume", "low", "volume", "trades"], "tolerance": 0.5}

BORDERS: Final[list[tuple[str, Document, Mapping[str, Value], Mapping[str, Value]]]] = [
    (NOT_NULL, {"column": "open"}, {"open": 0.0}, {}),
    (NULL, {"column": "open"}, {}, {"open": 0.0}),
    (BETWEEN, {"column": "open", "min_value": 1}, {"open": 1.0}, {"open": 0.9999999999999999}),
    (BETWEEN, {"column": "open", "max_value": 1}, {"open": 1.0}, {"open": 1.0000000000000002}),
    (BETWEEN, {"column": "open", "min_value": 0, "strict_min": True}, {"open": 5e-324}, {"open": -0.0}),
    (BETWEEN, {"column": "trades", "max_value": 3, "strict_max": True}, {"trades": 2}, {"trades": 3}),
    (BETWEEN, {"column": "trades", "max_value": INTEGER_MAX}, {"trades": INTEGER_MAX}, {"trades": INTEGER_MAX + 1}),
    (IN_SET, {"column": "interval", "value_set": ["1m"]}, {"interval": "1m"}, {"interval": "1M"}),
    (IN_SET, {"column": "trades", "value_set": [1.0]}, {"trades": 1}, {"trades": 2}),
    (IN_SET, {"column": "is_closed", "value_set": [True]}, {"is_closed": True}, {"is_closed": False}),
    (NOT_IN_SET, {"column": "interval", "value_set": ["1m"]}, {"interval": "1m "}, {"interval": "1m"}),
    (MATCH, {"column": "symbol", "regex": "^[A-Z]+$"}, {"symbol": "BTC\n"}, {"symbol": "BTC\n\n"}),
    (MATCH, {"column": "symbol", "regex": r"^[A-Z]+\Z"}, {"symbol": "BTC"}, {"symbol": "BTC\n"}),
    (NOT_MATCH, {"column": "symbol", "regex": r"\d"}, {"symbol": "BTC"}, {"symbol": "BTC٣"}),
    (LENGTHS, {"column": "symbol", "min_value": 1, "max_value": 3}, {"symbol": "币安人"}, {"symbol": ""}),
    (LENGTHS, {"column": "symbol", "max_value": 3, "strict_max": True}, {"symbol": "BT"}, {"symbol": "BTC"}),
    (LENGTH, {"column": "symbol", "value": 3}, {"symbol": "BTC"}, {"symbol": "BTC\x00"}),
    (GREATER, PAIR, {"high": 1.0000000000000002, "low": 1.0}, {"high": 1.0, "low": 1.0}),
    (GREATER, PAIR | {"or_equal": True}, {"high": 1.0, "low": 1.0}, {"high": 1.0, "low": 1.0000000000000002}),
    (EQUAL, PAIR, {"high": 0.0, "low": -0.0}, {"high": 1.0, "low": 1.0000000000000002}),
    (
        SUM,
        PRICES | {"sum_total": 0.6},
        {"close": 0.3, "high": 0.2, "low": 0.1},
        {"close": 0.1, "high": 0.2, "low": 0.3},
    ),
    (DIFFERENCE, PAIR | {"max_value": 1}, {"high": 2.0, "low": 1.0}, {"high": 2.0, "low": 0.9999999999999998}),
    (RATIO, PAIR | {"max_value": 10}, {"high": 10.0, "low": 1.0}, {"high": 10.000000000000002, "low": 1.0}),
    (RATIO, PAIR | {"min_value": 0.5}, {"high": 1.0, "low": 2.0}, {"high": 0.9999999999999999, "low": 2.0}),
    (MULTIPLE, PAIR, {"high": 0.3, "low": 0.1}, {"high": 0.35, "low": 0.1}),
    (MULTIPLE, PAIR, {"high": 1.5, "low": 0.0}, {"high": 1.5, "low": 1.0}),
    (
        OPEN_TIME,
        {"column_A": "interval", "column_B": "open_ms"},
        {"interval": "1m", "open_ms": NOON_MS},
        {"interval": "1m", "open_ms": NOON_MS + 1},
    ),
    (
        CLOSE_TIME,
        {"column_list": ["interval", "open_ms", "close_ms"]},
        {"interval": "1m", "open_ms": NOON_MS, "close_ms": NOON_MS + MINUTE_MS - 1},
        {"interval": "1m", "open_ms": NOON_MS, "close_ms": NOON_MS + MINUTE_MS},
    ),
    (
        DIFFERENCE_EQUAL,
        PRICES | {"offset": 1, "tolerance": 0.5},
        {"close": 2.5, "high": 3.0, "low": 1.0},
        {"close": 2.4, "high": 3.0, "low": 1.0},
    ),
    (
        PRODUCT,
        PRICES | {"factor": 2, "relative": 0.1},
        {"close": 10.0, "high": 5.0, "low": 1.1},
        {"close": 10.0, "high": 5.0, "low": 1.2},
    ),
    (
        AT_LEAST,
        AMOUNT,
        {"quote_volume": 4.0, "low": 5.0, "volume": 1.0, "trades": 1},
        {"quote_volume": 3.9, "low": 5.0, "volume": 1.0, "trades": 1},
    ),
    (
        AT_MOST,
        AMOUNT,
        {"quote_volume": 6.0, "low": 5.0, "volume": 1.0, "trades": 1},
        {"quote_volume": 6.1, "low": 5.0, "volume": 1.0, "trades": 1},
    ),
]


def fault_of(expectation_type: str, kwargs: object, kind: Kind = "kline") -> str:
    with pytest.raises(SuiteRefused) as refused:
        suite_of(expectation(expectation_type, kwargs), kind=kind)
    (fault,) = refused.value.faults
    return fault.removeprefix("rule rule: ")


@pytest.mark.parametrize(("name", "kwargs", "good", "bad"), BORDERS)
def test_border_divides(name: str, kwargs: Document, good: Mapping[str, Value], bad: Mapping[str, Value]) -> None:
    assert keeps("kline", name, kwargs, good)
    assert not keeps("kline", name, kwargs, bad)


def test_every_expectation_has_a_border() -> None:
    assert {name for name, *_ in BORDERS} == set(GATED)


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [(name, kwargs) for name, kwargs, *_ in BORDERS if name not in {NOT_NULL, NULL}],
)
def test_row_without_any_value_keeps_every_rule_but_the_one_about_null(name: str, kwargs: Document) -> None:
    assert keeps("kline", name, kwargs, {})


@pytest.mark.parametrize(
    ("ignore", "both_null", "one_null"),
    [
        (None, True, False),
        ("both_values_are_missing", True, False),
        ("either_value_is_missing", True, True),
        ("neither", False, False),
    ],
)
def test_pair_rule_treats_nulls_as_it_is_told(ignore: str | None, *, both_null: bool, one_null: bool) -> None:
    for name in (GREATER, EQUAL):
        kwargs = PAIR if ignore is None else PAIR | {"ignore_row_if": ignore}

        assert keeps("kline", name, kwargs, {}) is both_null
        assert keeps("kline", name, kwargs, {"high": 1.0}) is one_null
        assert keeps("kline", name, kwargs, {"low": 1.0}) is one_null


@pytest.mark.parametrize(
    ("ignore", "all_null", "some_null"),
    [
        (None, True, False),
        ("all_values_are_missing", True, False),
        ("any_value_is_missing", True, True),
        ("never", False, False),
    ],
)
def test_sum_treats_nulls_as_it_is_told(ignore: str | None, *, all_null: bool, some_null: bool) -> None:
    kwargs = PRICES | {"sum_total": 3} | ({} if ignore is None else {"ignore_row_if": ignore})

    assert keeps("kline", SUM, kwargs, {}) is all_null
    assert keeps("kline", SUM, kwargs, {"high": 3.0}) is some_null
    assert keeps("kline", SUM, kwargs, {"close": 1.0, "high": 1.0, "low": 1.0})


@pytest.mark.parametrize(
    ("operator", "parameter", "applies"),
    [
        ("==", 5, {5}), ("!=", 5, {4, 6, None}), ("<", 5, {4}), ("<=", 5, {4, 5}), (">", 5, {6}), (">=", 5, {5, 6}),
        ("IN", [4, 5], {4, 5}), ("NOT_IN", [4, 5], {6, None}),
    ],
)  # fmt: skip
def test_row_condition_selects_nulls_only_where_it_is_about_inequality(
    operator: str, parameter: object, applies: set[int | None]
) -> None:
    condition = {"type": "comparison", "column": {"name": "trades"}, "operator": operator, "parameter": parameter}

    broken = {
        trades
        for trades in (None, 4, 5, 6)
        if not keeps("kline", NULL, {"column": "open", "row_condition": condition}, {"open": 1.0, "trades": trades})
    }

    assert broken == applies


def test_row_conditions_are_joined() -> None:
    null: Document = {"type": "nullity", "column": {"name": "trades"}, "is_null": True}
    closed: Document = {"type": "comparison", "column": {"name": "is_closed"}, "operator": "==", "parameter": True}
    both: Document = {"column": "open", "row_condition": {"type": "and", "conditions": [null, closed]}}
    one: Document = {"column": "open", "row_condition": {"type": "or", "conditions": [null, closed]}}
    row = {"open": 1.0, "trades": 1, "is_closed": True}

    assert keeps("kline", NULL, both, row)
    assert not keeps("kline", NULL, one, row)


def _comparison(**changes: object) -> Document:
    made: Document = {"type": "comparison", "column": {"name": "trades"}, "operator": "==", "parameter": 1}
    return {"column": "open", "row_condition": made | changes}


def _joined(form: str, *parts: object) -> Document:
    return {"type": form, "conditions": list(parts)}


LEAF: Final[Document] = {"type": "nullity", "column": {"name": "open"}, "is_null": False}


@pytest.mark.parametrize(
    ("kwargs", "fault"),
    [
        (_comparison(column="trades"), 'row_condition: "column" must be {"name": …}'),
        (_comparison(operator="~"), "row_condition: the operator '~' does not go with trades"),
        (_comparison(operator=["=="]), "row_condition: the operator ['=='] does not go with trades"),
        (_comparison(operator="IN"), "row_condition: IN needs a list of values"),
        (_comparison(operator="IN", parameter=[]), "row_condition: IN needs a list of values"),
        (_comparison(parameter="1"), "row_condition: '1' is no integer, which trades is"),
        (_comparison(parameter=2**53), "row_condition: 9007199254740992 is beyond 2^53, where numbers are rounded"),
        (_comparison(type="is"), 'row_condition: "type" must be comparison, nullity, and, or'),
        (
            _comparison(column={"name": "is_closed"}, operator="<", parameter=True),
            "row_condition: the operator '<' does not go with is_closed",
        ),
        (
            _comparison(column={"name": "interval"}, parameter='"'),
            "row_condition: quotes, backslashes, @ and control characters cannot be compared with",
        ),
        (
            {"column": "open", "row_condition": _joined("and", _joined("or", LEAF))},
            'row_condition: "or" cannot stand inside "and"',
        ),
        (
            {"column": "open", "row_condition": _joined("or", _joined("or", LEAF))},
            'row_condition: "or" cannot stand inside "or"',
        ),
        ({"column": "open", "row_condition": _joined("and")}, 'row_condition: "and" needs a list "conditions"'),
        (
            {"column": "open", "row_condition": _joined("and", *[LEAF] * (CONDITIONS_MAX + 1))},
            f"row_condition has more than {CONDITIONS_MAX} parts",
        ),
        (
            {"column": "open", "row_condition": _joined("and", _joined("and", _joined("and", _joined("and", LEAF))))},
            "row_condition is nested too deep",
        ),
    ],
)
def test_row_condition_is_read_strictly(kwargs: Document, fault: str) -> None:
    assert fault_of(NOT_NULL, kwargs) == fault


@pytest.mark.parametrize(
    ("name", "kwargs", "fault"),
    [
        (BETWEEN, {"column": "open"}, "give min_value or max_value"),
        (BETWEEN, {"column": "open", "min_value": 2, "max_value": 1}, "min_value is above max_value"),
        (BETWEEN, {"column": "open", "min_value": "0"}, "min_value must be a number"),
        (BETWEEN, {"column": "open", "min_value": True}, "min_value must be a number"),
        (
            BETWEEN,
            {"column": "open", "min_value": {"$PARAMETER": "low"}},
            "min_value must be a number ($PARAMETER is not supported)",
        ),
        (BETWEEN, {"column": "open", "min_value": 10**400}, "min_value is beyond 2^53, where numbers are rounded"),
        (BETWEEN, {"column": "open", "max_value": 2**53}, "max_value is beyond 2^53, where numbers are rounded"),
        (
            BETWEEN,
            {"column": "trades", "max_value": 2.0**53},
            "min_value or max_value is beyond 2^53, where whole numbers are rounded",
        ),
        (BETWEEN, {"column": "open", "min_value": 1, "strict_min": "yes"}, "strict_min must be true or false"),
        (
            BETWEEN,
            {"column": "symbol", "min_value": 1},
            "symbol is a text and this expectation takes decimal or integer",
        ),
        (BETWEEN, {"column": 7, "min_value": 1}, "column must be the name of a column"),
        (IN_SET, {"column": "trades", "value_set": ["1"]}, "value_set: '1' is no integer, which trades is"),
        (IN_SET, {"column": "trades", "value_set": [True]}, "value_set: True is no integer, which trades is"),
        (IN_SET, {"column": "symbol", "value_set": [None]}, "value_set: None is no text, which symbol is"),
        (
            IN_SET,
            {"column": "open", "value_set": [10**400]},
            f"value_set: 1{'0' * 99}… is beyond 2^53, where numbers are rounded",
        ),
        (
            IN_SET,
            {"column": "symbol", "value_set": ["A"] * (SET_VALUES_MAX + 1)},
            SET_SIZE,
        ),
        (IN_SET, {"column": "symbol", "value_set": "BTC"}, SET_SIZE),
        (
            MATCH,
            {"column": "symbol", "regex": "("},
            "the regex '(' is broken: missing ), unterminated subpattern at position 0",
        ),
        (
            MATCH,
            {"column": "symbol", "regex": "a" * (REGEX_CHARACTERS_MAX + 1)},
            f"regex must be a text of at most {REGEX_CHARACTERS_MAX} characters",
        ),
        (MATCH, {"column": "trades", "regex": "1"}, "trades is a integer and this expectation takes text"),
        (GREATER, PAIR | {"ignore_row_if": "never"}, PAIR_NULLS),
        (GREATER, PAIR | {"ignore_row_if": ["neither"]}, PAIR_NULLS),
        (EQUAL, {"column_A": "open", "column_B": "symbol"}, "open and symbol are of different types"),
        (SUM, {"column_list": ["open"], "sum_total": 1}, "column_list must name columns"),
        (SUM, {"column_list": ["open", "open"], "sum_total": 1}, "column_list names a column twice"),
        (
            SUM,
            {"column_list": ["open", "trades"], "sum_total": 1},
            "trades is a integer and this expectation takes decimal",
        ),
        (
            SUM,
            {"column_list": DECIMALS, "sum_total": 1},
            "column_list must name at most 7 columns",
        ),
        (MULTIPLE, PAIR | {"ignore_row_if": "neither"}, "ignore_row_if must be one of either_value_is_missing"),
        (PRODUCT, {"column_list": ["open", "close"]}, "column_list must name 3 columns"),
        (
            CLOSE_TIME,
            {"column_list": ["open", "open_ms", "close_ms"]},
            "open is a decimal and this expectation takes text",
        ),
    ],
)
def test_arguments_are_read_strictly(name: str, kwargs: Document, fault: str) -> None:
    assert fault_of(name, kwargs) == fault
