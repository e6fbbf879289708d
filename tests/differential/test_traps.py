"""Where Great Expectations 1.24 does what one would not expect, and what we do there: the same, or refuse the suite.

Each test shows first what Great Expectations does and then what we do.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from decimal import Decimal
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

import pytest

from data_collector.model.errors import SuiteRefused
from data_collector.validation.gate.compiler import compile_suite, whole
from data_collector.validation.rules.columns import INTEGER_MAX, Kind, Value
from tests.differential.comparison import broken_by_gate
from tests.unit.validation.suites import Document, expectation, suite_of, values

if TYPE_CHECKING:
    from tests.differential.oracle import Oracle, Raw

NOT_NULL: Final = "expect_column_values_to_not_be_null"
BETWEEN: Final = "expect_column_values_to_be_between"
IN_SET: Final = "expect_column_values_to_be_in_set"
NOT_IN_SET: Final = "expect_column_values_to_not_be_in_set"
MATCH: Final = "expect_column_values_to_match_regex"
LENGTH: Final = "expect_column_value_lengths_to_equal"
OF_TYPE: Final = "expect_column_values_to_be_of_type"
GREATER: Final = "expect_column_pair_values_a_to_be_greater_than_b"
EQUAL: Final = "expect_column_pair_values_to_be_equal"
SUM: Final = "expect_multicolumn_sum_to_equal"

PAIR: Final[Document] = {"column_A": "price", "column_B": "quantity"}
FLOATS: Final = ("float64", [1.0, None])


def ask(oracle: Oracle, frame: Mapping[str, tuple[str, Sequence[object]]], name: str, kwargs: object) -> Raw:
    """What Great Expectations says of one rule and a frame of any types."""
    from tests.differential.oracle import frame_of

    return oracle.raw([expectation(name, kwargs)], frame_of(frame))["rule"]


def both(oracle: Oracle, name: str, kwargs: Document, *rows: Mapping[str, Value], kind: Kind = "trade") -> set[int]:
    """The rows that break a rule, of which the gate and Great Expectations say the same."""
    suite = suite_of(expectation(name, kwargs), kind=kind)
    listed = [values(kind, row) for row in rows]

    found = oracle.broken_by_rows(suite, listed)

    assert broken_by_gate(compile_suite(suite), listed) == found
    return {number for number, rules in enumerate(found) if rules}


def refused(name: str, kwargs: object, *, severity: str = "critical") -> str:
    """The sentence with which the reader refuses a rule."""
    with pytest.raises(SuiteRefused) as error:
        suite_of(expectation(name, kwargs, severity=severity))
    (fault,) = error.value.faults
    assert fault.startswith("rule rule: ")
    return fault.removeprefix("rule rule: ")


def test_s1_unknown_type_is_dropped_by_gx_and_refused_by_us(oracle: Oracle) -> None:
    from tests.differential.oracle import frame_of

    misspelt = expectation("expect_column_values_to_be_betwen", {"column": "price", "min_value": 2})

    assert oracle.raw([misspelt], frame_of({"price": FLOATS})) == {}
    assert "there is no expectation" in refused("expect_column_values_to_be_betwen", {})


def test_s1_invalid_severity_drops_the_rule_in_gx_and_is_refused_by_us(oracle: Oracle) -> None:
    from tests.differential.oracle import frame_of

    wrong = expectation(NOT_NULL, {"column": "price"}, severity="critcal")

    assert oracle.raw([wrong], frame_of({"price": FLOATS})) == {}
    assert "did you mean critical?" in refused(NOT_NULL, {"column": "price"}, severity="critcal")


def test_s1_broken_regex_is_taken_by_gx_and_refused_by_us(oracle: Oracle) -> None:
    result = ask(oracle, {"symbol": ("object", ["BTC"])}, MATCH, {"column": "symbol", "regex": "("})

    assert result.rows is None
    assert not result.success
    assert refused(MATCH, {"column": "symbol", "regex": "("}).startswith("the regex '(' is broken")


def test_s2_crossed_bounds_raise_at_run_time_in_gx_and_are_refused_by_us(oracle: Oracle) -> None:
    crossed = {"column": "price", "min_value": 2, "max_value": 1}

    assert ask(oracle, {"price": FLOATS}, BETWEEN, crossed).rows is None
    assert refused(BETWEEN, crossed) == "min_value is above max_value"


def test_s2_bounds_are_floats_for_both(oracle: Oracle) -> None:
    rows = [{"price": 0.0}, {"price": -0.0}, {"price": -5e-324}]

    assert both(oracle, BETWEEN, {"column": "price", "min_value": 0}, *rows) == {2}
    assert both(oracle, BETWEEN, {"column": "price", "min_value": 0, "strict_min": True}, *rows) == {0, 1, 2}


def test_s2_removed_argument_is_refused_by_both(oracle: Oracle) -> None:
    kwargs = {"column": "price", "min_value": 0, "parse_strings_as_datetimes": True}

    with pytest.raises(Exception, match="parse_strings_as_datetimes"):
        ask(oracle, {"price": FLOATS}, BETWEEN, kwargs)
    assert "has no argument 'parse_strings_as_datetimes'" in refused(BETWEEN, kwargs)


def test_s3_missing_column_gives_no_rows_in_gx_and_is_refused_by_us(oracle: Oracle) -> None:
    result = ask(oracle, {"price": FLOATS}, NOT_NULL, {"column": "prise"})

    assert (result.success, result.rows) == (False, None)
    assert refused(NOT_NULL, {"column": "prise"}) == "a trade has no column 'prise' (did you mean price?)"


def test_s3_one_text_poisons_a_rule_about_numbers_in_gx_and_is_refused_by_us(oracle: Oracle) -> None:
    result = ask(oracle, {"symbol": ("object", ["BTC", 1.0])}, BETWEEN, {"column": "symbol", "min_value": 0})

    assert (result.success, result.rows) == (False, None)
    assert "symbol is a text" in refused(BETWEEN, {"column": "symbol", "min_value": 0})


def test_n1_rules_about_one_column_skip_null_and_nothing_else(oracle: Oracle) -> None:
    rows: list[Mapping[str, Value]] = [{}, {"price": float("inf"), "symbol": ""}, {"price": 1.0, "symbol": "BTC"}]

    assert both(oracle, BETWEEN, {"column": "price", "max_value": 1}, *rows) == {1}
    assert both(oracle, LENGTH, {"column": "symbol", "value": 3}, *rows) == {1}
    assert both(oracle, NOT_NULL, {"column": "symbol"}, *rows) == {0}


def test_n1_column_without_values_and_empty_batch_keep_a_rule_for_both(oracle: Oracle) -> None:
    assert both(oracle, BETWEEN, {"column": "price", "min_value": 1}, {}, {}) == set()
    assert both(oracle, BETWEEN, {"column": "price", "min_value": 1}) == set()


def test_n2_null_on_one_side_breaks_a_pair_rule_and_on_both_sides_does_not(oracle: Oracle) -> None:
    rows: list[Mapping[str, Value]] = [{}, {"price": 1.0}, {"quantity": 1.0}, {"price": 1.0, "quantity": 1.0}]

    assert both(oracle, EQUAL, PAIR, *rows) == {1, 2}
    assert both(oracle, EQUAL, PAIR | {"ignore_row_if": "either_value_is_missing"}, *rows) == set()
    assert both(oracle, EQUAL, PAIR | {"ignore_row_if": "neither"}, *rows) == {0, 1, 2}


def test_n2_some_nulls_break_a_sum_and_all_nulls_do_not(oracle: Oracle) -> None:
    kwargs: Document = {"column_list": ["price", "quantity"], "sum_total": 2}
    rows: list[Mapping[str, Value]] = [{}, {"price": 2.0}, {"price": 1.0, "quantity": 1.0}]

    assert both(oracle, SUM, kwargs, *rows) == {1}
    assert both(oracle, SUM, kwargs | {"ignore_row_if": "any_value_is_missing"}, *rows) == set()
    assert both(oracle, SUM, kwargs | {"ignore_row_if": "never"}, *rows) == {0, 1}


def test_n2_pair_rule_that_never_ignores_is_refused_by_both(oracle: Oracle) -> None:
    kwargs = PAIR | {"ignore_row_if": "never"}

    with pytest.raises(Exception, match="ignore_row_if"):
        ask(oracle, {"price": FLOATS, "quantity": FLOATS}, EQUAL, kwargs)
    assert refused(EQUAL, kwargs).startswith("ignore_row_if must be one of")


def test_n3_objects_beside_floats_raise_in_gx_and_our_frames_have_none(oracle: Oracle) -> None:
    mixed = {"price": FLOATS, "quantity": ("object", [None, 1.0])}

    assert ask(oracle, mixed, GREATER, PAIR).rows is None
    assert both(oracle, GREATER, PAIR, {"price": 1.0}, {"quantity": 1.0}) == {0, 1}


def test_n4_nullable_types_raise_in_gx_and_our_frames_have_none(oracle: Oracle) -> None:
    nullable = {"price": ("Int64", [1, None]), "quantity": ("Int64", [None, 1])}
    ids: Document = {"column_A": "buyer_order_id", "column_B": "seller_order_id"}

    assert ask(oracle, nullable, GREATER, PAIR).rows is None
    assert both(oracle, GREATER, ids, {"buyer_order_id": 1}, {"seller_order_id": 1}) == {0, 1}


def test_n5_own_rules_skip_nulls_and_unknown_intervals_for_both(oracle: Oracle) -> None:
    kwargs: Document = {"column_A": "interval", "column_B": "open_ms"}
    rows: list[Mapping[str, Value]] = [
        {}, {"interval": "7m", "open_ms": 1}, {"interval": "1m"}, {"open_ms": 1}, {"interval": "1m", "open_ms": 1},
    ]  # fmt: skip
    name = "expect_column_pair_open_time_to_fit_interval"

    assert both(oracle, name, kwargs, *rows, kind="kline") == {4}
    assert both(oracle, name, kwargs | {"ignore_row_if": "neither"}, *rows, kind="kline") == {0, 2, 3, 4}


def test_i1_gx_rounds_beyond_2_to_53_and_we_refuse_and_clamp(oracle: Oracle) -> None:
    bound = 2**53 + 1
    result = ask(oracle, {"trade_id": ("int64", [2**53])}, BETWEEN, {"column": "trade_id", "min_value": bound})

    assert result.success
    assert refused(BETWEEN, {"column": "trade_id", "min_value": bound}).startswith("min_value is beyond 2^53")
    limit: Document = {"column": "trade_id", "max_value": INTEGER_MAX}
    assert both(oracle, BETWEEN, limit, {"trade_id": INTEGER_MAX}, {"trade_id": whole(2**63)}) == {1}


def test_i1_sum_of_whole_numbers_depends_on_the_batch_in_gx_and_is_refused_by_us(oracle: Oracle) -> None:
    kwargs = {"column_list": ["trade_id", "time_ms", "event_ms"], "sum_total": 2.0**53 + 2}
    whole_numbers = {"trade_id": ("int64", [2**53]), "time_ms": ("int64", [1]), "event_ms": ("int64", [1])}
    with_null = {name: ("float64", [*numbers, None]) for name, (_, numbers) in whole_numbers.items()}

    assert ask(oracle, whole_numbers, SUM, kwargs).rows == []
    assert ask(oracle, with_null, SUM, kwargs).rows == [0]
    assert refused(SUM, kwargs) == "trade_id is a integer and this expectation takes decimal"


def test_t1_type_is_judged_by_column_in_gx_and_is_no_rule_of_the_gate(oracle: Oracle) -> None:
    kwargs = {"column": "trade_id", "type_": "int"}
    result = ask(oracle, {"trade_id": ("float64", [1, None])}, OF_TYPE, kwargs)

    assert (result.success, result.rows) == (False, None)
    assert f"{OF_TYPE} judges batches" in refused(OF_TYPE, kwargs)
    assert not suite_of(expectation(OF_TYPE, kwargs, severity="info")).rules[0].gated


def test_d1_decimal_is_below_the_float_of_the_same_digits_in_gx_and_we_compare_floats(oracle: Oracle) -> None:
    kwargs: Document = {"column": "price", "min_value": 0.1}

    assert ask(oracle, {"price": ("object", [Decimal("0.1")])}, BETWEEN, kwargs).rows == [0]
    assert both(oracle, BETWEEN, kwargs, {"price": 0.1}) == set()


def test_d1_sum_is_equal_to_the_last_bit_for_both(oracle: Oracle) -> None:
    kwargs: Document = {"column_list": ["open", "high", "low"], "sum_total": 0.6}
    rows = [{"open": 0.1, "high": 0.2, "low": 0.3}, {"open": 0.3, "high": 0.2, "low": 0.1}]

    assert both(oracle, SUM, kwargs, *rows, kind="kline") == {0}


def test_dates_with_text_bounds_raise_in_gx_and_are_refused_by_us(oracle: Oracle) -> None:
    kwargs = {"column": "time_ms", "min_value": "2024-01-01"}
    days = {"time_ms": ("datetime64[ns]", [datetime.datetime(2024, 1, 2)])}  # noqa: DTZ001 - numpy has no zones

    assert ask(oracle, days, BETWEEN, kwargs).rows is None
    assert refused(BETWEEN, kwargs) == "min_value must be a number"


def test_set_takes_1_for_1_0_for_both_and_text_and_flags_are_refused(oracle: Oracle) -> None:
    assert both(oracle, IN_SET, {"column": "trade_id", "value_set": [1.0]}, {"trade_id": 1}, {"trade_id": 2}) == {1}
    assert both(oracle, IN_SET, {"column": "price", "value_set": [1]}, {"price": 1.0}, {"price": 2.0}) == {1}
    assert ask(oracle, {"price": ("object", ["1", True])}, IN_SET, {"column": "price", "value_set": [1]}).rows == [0]
    for value in ("1", True):
        assert "is no decimal" in refused(IN_SET, {"column": "price", "value_set": [value]})


def test_set_skips_null_even_where_it_is_listed_so_listing_it_is_refused(oracle: Oracle) -> None:
    kwargs = {"column": "symbol", "value_set": [None]}

    assert ask(oracle, {"symbol": ("object", [None, "BTC"])}, NOT_IN_SET, kwargs).rows == []
    assert refused(NOT_IN_SET, kwargs) == "value_set: None is no text, which symbol is"


def test_empty_set_breaks_every_value_and_case_and_spaces_matter_for_both(oracle: Oracle) -> None:
    rows: list[Mapping[str, Value]] = [{"symbol": "BTC"}, {"symbol": "btc"}, {"symbol": "BTC "}, {}]

    assert both(oracle, IN_SET, {"column": "symbol", "value_set": []}, *rows) == {0, 1, 2}
    assert both(oracle, IN_SET, {"column": "symbol", "value_set": ["BTC"]}, *rows) == {1, 2}


def test_r1_regex_searches_and_takes_a_newline_at_the_end_for_both(oracle: Oracle) -> None:
    rows = [{"symbol": text} for text in ("BTC", "BTC\n", "xBTCx", "٣")]

    assert both(oracle, MATCH, {"column": "symbol", "regex": "^[A-Z]+$"}, *rows) == {2, 3}
    assert both(oracle, MATCH, {"column": "symbol", "regex": r"^[A-Z]+\Z"}, *rows) == {1, 2, 3}
    assert both(oracle, MATCH, {"column": "symbol", "regex": "BTC"}, *rows) == {3}
    assert both(oracle, MATCH, {"column": "symbol", "regex": r"\d"}, *rows) == {0, 1, 2}


def test_r1_regex_sees_a_whole_number_beside_null_as_a_fraction_in_gx_and_is_refused_by_us(oracle: Oracle) -> None:
    kwargs = {"column": "trade_id", "regex": "^1$"}

    assert ask(oracle, {"trade_id": ("float64", [1, None])}, MATCH, kwargs).rows == [0]
    assert refused(MATCH, kwargs) == "trade_id is a integer and this expectation takes text"


def test_r2_regexes_are_pythons_for_both_although_pyarrow_is_installed(oracle: Oracle) -> None:
    assert find_spec("pyarrow") is not None, "with it pandas would hand regexes to RE2, which has no atomic groups"
    assert both(oracle, MATCH, {"column": "symbol", "regex": "^(?>BTC)(?=U)"}, {"symbol": "BTCU"}, {"symbol": "B"}) == {
        1
    }


def test_length_is_that_of_the_printed_number_in_gx_and_is_refused_by_us(oracle: Oracle) -> None:
    kwargs = {"column": "price", "value": 1}

    assert ask(oracle, {"price": ("float64", [1.0])}, LENGTH, kwargs).rows == [0]
    assert refused(LENGTH, kwargs) == "price is a decimal and this expectation takes text"


def test_row_condition_of_inequality_selects_null_rows_for_both(oracle: Oracle) -> None:
    rows: list[Mapping[str, Value]] = [{}, {"price": 1.0}, {"price": 2.0}]
    selected: dict[str, set[int]] = {}
    for operator in ("==", "!=", "<", ">", "IN", "NOT_IN"):
        parameter: object = [1.0] if "IN" in operator else 1.0
        condition = {"type": "comparison", "column": {"name": "price"}, "operator": operator, "parameter": parameter}
        selected[operator] = both(oracle, NOT_NULL, {"column": "symbol", "row_condition": condition}, *rows)

    assert selected == {"==": {1}, "!=": {0, 2}, "<": set(), ">": {2}, "IN": {1}, "NOT_IN": {0, 2}}


def test_row_condition_as_text_is_run_by_gx_and_refused_by_us(oracle: Oracle) -> None:
    kwargs = {"column": "quantity", "row_condition": "price > 0", "condition_parser": "pandas"}
    frame: dict[str, tuple[str, Sequence[object]]] = {"price": FLOATS, "quantity": ("float64", [None, None])}

    assert ask(oracle, frame, NOT_NULL, kwargs).rows == [0]
    assert refused(NOT_NULL, kwargs).startswith("row_condition must have the form")


def test_index_labels_are_those_of_the_frame_in_gx_and_count_from_0_in_ours(oracle: Oracle) -> None:
    from tests.differential.oracle import frame_of

    frame = frame_of({"price": ("float64", [None, 1.0, None])}, index=[7, 7, 9])

    assert oracle.raw([expectation(NOT_NULL, {"column": "price"})], frame)["rule"].rows == [7, 9]
    assert both(oracle, NOT_NULL, {"column": "price"}, {}, {"price": 1.0}, {}) == {0, 2}


def test_mostly_lists_rows_of_a_rule_that_is_kept_in_gx_and_never_gates(oracle: Oracle) -> None:
    kwargs = {"column": "price", "min_value": 1, "mostly": 0.5}
    result = ask(oracle, {"price": ("float64", [0.0, 1.0, None])}, BETWEEN, kwargs)

    assert (result.success, result.rows) == (True, [0])
    assert "mostly below 1 judges batches" in refused(BETWEEN, kwargs)
    assert compile_suite(suite_of(expectation(BETWEEN, kwargs, severity="warning"))).gated == ()
