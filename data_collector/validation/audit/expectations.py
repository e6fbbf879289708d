"""Expectations of our own, for what market data needs and Great Expectations lacks. Importing them registers them.

Each can judge a single record, so each is in `validation.rules.conditions` too, where the gate gets it from. All of
them take `mostly`, `row_condition` and `ignore_row_if`; unless told otherwise a row in which a column is null is
ignored.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from great_expectations.expectations.expectation import ColumnPairMapExpectation, MulticolumnMapExpectation

from data_collector.validation.audit import metrics

_PAIR_DOMAIN = ("batch_id", "column_A", "column_B", "row_condition", "condition_parser", "ignore_row_if")
_PairNulls = Literal["both_values_are_missing", "either_value_is_missing", "neither"]
_ManyNulls = Literal["all_values_are_missing", "any_value_is_missing", "never"]


class ExpectColumnPairDifferenceToBeBetween(ColumnPairMapExpectation):
    """Expect `column_A - column_B` to lie from `min_value` to `max_value`, in the unit of the columns.

    Times are in milliseconds: `{"column_A": "received_ms", "column_B": "event_ms", "max_value": 60000}` is a minute.
    Either bound may be left out; `strict_min` and `strict_max` exclude the bound itself.
    """

    min_value: float | None = None
    max_value: float | None = None
    strict_min: bool = False
    strict_max: bool = False
    ignore_row_if: _PairNulls = "either_value_is_missing"

    map_metric: ClassVar[str] = metrics.ColumnPairDifferenceBetween.condition_metric_name
    domain_keys: ClassVar[tuple[str, ...]] = _PAIR_DOMAIN
    success_keys: ClassVar[tuple[str, ...]] = ("mostly", "min_value", "max_value", "strict_min", "strict_max")


class ExpectColumnPairRatioToBeBetween(ColumnPairMapExpectation):
    """Expect `column_A` to be from `min_value` times to `max_value` times `column_B`, bounds included.

    Nothing is divided: `column_A >= column_B * min_value` and `column_A <= column_B * max_value`. Either bound may be
    left out.
    """

    min_value: float | None = None
    max_value: float | None = None
    ignore_row_if: _PairNulls = "either_value_is_missing"

    map_metric: ClassVar[str] = metrics.ColumnPairRatioBetween.condition_metric_name
    domain_keys: ClassVar[tuple[str, ...]] = _PAIR_DOMAIN
    success_keys: ClassVar[tuple[str, ...]] = ("mostly", "min_value", "max_value")


class ExpectColumnPairValuesToBeMultiple(ColumnPairMapExpectation):
    """Expect `column_A` to be a whole multiple of `column_B`, as prices are of the tick size.

    `tolerance` (default 1e-6) is the part of a step by which it may miss. A row whose `column_B` is zero or below
    passes.
    """

    tolerance: float = 1e-6
    ignore_row_if: _PairNulls = "either_value_is_missing"

    map_metric: ClassVar[str] = metrics.ColumnPairMultiple.condition_metric_name
    domain_keys: ClassVar[tuple[str, ...]] = _PAIR_DOMAIN
    success_keys: ClassVar[tuple[str, ...]] = ("mostly", "tolerance")


class ExpectColumnPairOpenTimeToFitInterval(ColumnPairMapExpectation):
    """Expect `column_B`, in milliseconds UTC, to be a time at which klines of the interval in `column_A` open.

    `1s` to `1d` open on whole multiples, `3d` and `1w` at some midnight, `1M` on the first of a month. An interval that
    is not known passes.
    """

    ignore_row_if: _PairNulls = "either_value_is_missing"

    map_metric: ClassVar[str] = metrics.ColumnPairOpenTimeFits.condition_metric_name
    domain_keys: ClassVar[tuple[str, ...]] = _PAIR_DOMAIN
    success_keys: ClassVar[tuple[str, ...]] = ("mostly",)


class ExpectMulticolumnCloseTimeToFitInterval(MulticolumnMapExpectation):
    """Expect a kline to end a millisecond before the next one opens.

    `column_list` is interval, open time and close time, both in milliseconds UTC. An interval that is not known passes.
    """

    ignore_row_if: _ManyNulls = "any_value_is_missing"

    map_metric: ClassVar[str] = metrics.MulticolumnCloseTimeFits.condition_metric_name
    success_keys: ClassVar[tuple[str, ...]] = ("mostly",)


class ExpectMulticolumnDifferenceToEqual(MulticolumnMapExpectation):
    """Expect a column to be the difference of two others, plus `offset` (default 0).

    `column_list` is D, A, B: `abs(A - B + offset - D) <= tolerance + relative * max(abs(A), abs(B))`. `tolerance` is in
    the unit of the columns, `relative` a fraction of the larger of A and B; both are 0 by default.
    """

    offset: float = 0.0
    tolerance: float = 0.0
    relative: float = 0.0
    ignore_row_if: _ManyNulls = "any_value_is_missing"

    map_metric: ClassVar[str] = metrics.MulticolumnDifferenceEqual.condition_metric_name
    success_keys: ClassVar[tuple[str, ...]] = ("mostly", "offset", "tolerance", "relative")


class ExpectMulticolumnProductToEqual(MulticolumnMapExpectation):
    """Expect a column to be the product of two others, times `factor` (default 1).

    `column_list` is P, A, B: `abs(A * B * factor - P) <= tolerance + relative * abs(P)`. `tolerance` is in the unit of
    P, `relative` a fraction of it; both are 0 by default.
    """

    factor: float = 1.0
    tolerance: float = 0.0
    relative: float = 0.0
    ignore_row_if: _ManyNulls = "any_value_is_missing"

    map_metric: ClassVar[str] = metrics.MulticolumnProductEqual.condition_metric_name
    success_keys: ClassVar[tuple[str, ...]] = ("mostly", "factor", "tolerance", "relative")


class ExpectMulticolumnAmountToBeAtLeastProduct(MulticolumnMapExpectation):
    """Expect an amount of money to be at least price times quantity, with room for rounding.

    `column_list` is amount, price, quantity, count:
    `amount >= price * quantity * (1 - relative) - tolerance * (count + 1)`, where `count` says how many rounded numbers
    the amount was added up of. `tolerance` is in the unit of the amount, `relative` a fraction; both are 0 by default.
    """

    tolerance: float = 0.0
    relative: float = 0.0
    ignore_row_if: _ManyNulls = "any_value_is_missing"

    map_metric: ClassVar[str] = metrics.MulticolumnAmountAtLeast.condition_metric_name
    success_keys: ClassVar[tuple[str, ...]] = ("mostly", "tolerance", "relative")


class ExpectMulticolumnAmountToBeAtMostProduct(MulticolumnMapExpectation):
    """Expect an amount of money to be at most price times quantity, with room for rounding.

    `column_list` is amount, price, quantity, count:
    `amount <= price * quantity * (1 + relative) + tolerance * (count + 1)`, each as of
    `expect_multicolumn_amount_to_be_at_least_product`.
    """

    tolerance: float = 0.0
    relative: float = 0.0
    ignore_row_if: _ManyNulls = "any_value_is_missing"

    map_metric: ClassVar[str] = metrics.MulticolumnAmountAtMost.condition_metric_name
    success_keys: ClassVar[tuple[str, ...]] = ("mostly", "tolerance", "relative")
