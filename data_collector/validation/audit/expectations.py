"""Expectations of our own, for what market data needs and Great Expectations lacks. Importing them registers them.

Each can judge a single record, so each is in `validation.rules.conditions` too, where the gate gets it from: the same
operations in the same order on the same 64-bit floats give the same verdicts to the last bit, which is what the audit
compares. All of them take `mostly`, `row_condition` and `ignore_row_if`; unless told otherwise a row in which a column
is null is ignored. A null that `ignore_row_if` lets through is NaN, and NaN keeps no rule.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from math import isnan
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from great_expectations.execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import ColumnPairMapExpectation, MulticolumnMapExpectation
from great_expectations.expectations.metrics.map_metric_provider import (
    ColumnPairMapMetricProvider,
    MulticolumnMapMetricProvider,
    column_pair_condition_partial,
    multicolumn_condition_partial,
)
from pandas import DataFrame, Series

from data_collector.model.calendar import LENGTHS_MS
from data_collector.validation.rules.conditions import GRID_MS, is_close_time, is_on_grid

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Condition = Callable[..., Mask]
"""Columns, and arguments of an expectation, to which rows keep it."""

_PAIR_DOMAIN = ("batch_id", "column_A", "column_B", "row_condition", "condition_parser", "ignore_row_if")
_PairNulls = Literal["both_values_are_missing", "either_value_is_missing", "neither"]
_ManyNulls = Literal["all_values_are_missing", "any_value_is_missing", "never"]


def _of_pair(name: str, *keys: str) -> Callable[[Condition], Condition]:
    """Registers a condition on two columns as a metric of Great Expectations that takes these arguments."""

    def register(keeps: Condition) -> Condition:
        class _PairCondition(ColumnPairMapMetricProvider):
            condition_metric_name = name
            condition_value_keys = keys

            @column_pair_condition_partial(engine=PandasExecutionEngine)
            def _pandas(cls, first: Series, second: Series, **given: object) -> Series:
                with np.errstate(all="ignore"):
                    return Series(keeps(first, second, **_given(keys, given)), index=first.index)

        return keeps

    return register


def _of_many(name: str, *keys: str) -> Callable[[Condition], Condition]:
    """Registers a condition on several columns."""

    def register(keeps: Condition) -> Condition:
        class _ManyCondition(MulticolumnMapMetricProvider):
            condition_metric_name = name
            condition_value_keys = keys

            @multicolumn_condition_partial(engine=PandasExecutionEngine)
            def _pandas(cls, column_list: DataFrame, **given: object) -> Series:
                columns = [column_list.iloc[:, place] for place in range(column_list.shape[1])]
                with np.errstate(all="ignore"):
                    return Series(keeps(*columns, **_given(keys, given)), index=column_list.index)

        return keeps

    return register


def _given(keys: tuple[str, ...], arguments: Mapping[str, object]) -> dict[str, object]:
    return {key: arguments[key] for key in keys if arguments.get(key) is not None}


@_of_pair("column_pair_difference.between", "min_value", "max_value", "strict_min", "strict_max")
def _difference_between(
    first: Series,
    second: Series,
    *,
    min_value: float | None = None,
    max_value: float | None = None,
    strict_min: bool = False,
    strict_max: bool = False,
) -> Mask:
    whole = first.dtype.kind == second.dtype.kind == "i"
    difference = first.to_numpy() - second.to_numpy()
    above = operator.gt if strict_min else operator.ge
    below = operator.lt if strict_max else operator.le
    keeps = np.ones(len(difference), dtype=np.bool_)
    if min_value is not None:
        keeps &= above(difference, _bound(min_value, whole=whole))
    if max_value is not None:
        keeps &= below(difference, _bound(max_value, whole=whole))
    return keeps


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

    map_metric: ClassVar[str] = "column_pair_difference.between"
    domain_keys: ClassVar[tuple[str, ...]] = _PAIR_DOMAIN
    success_keys: ClassVar[tuple[str, ...]] = ("mostly", "min_value", "max_value", "strict_min", "strict_max")


@_of_pair("column_pair_ratio.between", "min_value", "max_value")
def _ratio_between(
    first: Series, second: Series, *, min_value: float | None = None, max_value: float | None = None
) -> Mask:
    one, other = _floats(first), _floats(second)
    keeps = np.ones(len(one), dtype=np.bool_)
    if min_value is not None:
        keeps &= one >= other * min_value
    if max_value is not None:
        keeps &= one <= other * max_value
    return keeps


class ExpectColumnPairRatioToBeBetween(ColumnPairMapExpectation):
    """Expect `column_A` to be from `min_value` times to `max_value` times `column_B`, bounds included.

    Nothing is divided: `column_A >= column_B * min_value` and `column_A <= column_B * max_value`. Either bound may be
    left out.
    """

    min_value: float | None = None
    max_value: float | None = None
    ignore_row_if: _PairNulls = "either_value_is_missing"

    map_metric: ClassVar[str] = "column_pair_ratio.between"
    domain_keys: ClassVar[tuple[str, ...]] = _PAIR_DOMAIN
    success_keys: ClassVar[tuple[str, ...]] = ("mostly", "min_value", "max_value")


@_of_pair("column_pair_values.multiple", "tolerance")
def _multiple(first: Series, second: Series, *, tolerance: float = 1e-6) -> Mask:
    one, other = _floats(first), _floats(second)
    rest = one / other % 1.0
    near = np.minimum(rest, 1.0 - rest) <= tolerance + one / other * 4e-16
    # Without a step there is nothing to fit, but a null that was let through keeps no rule.
    return np.where(other <= 0, ~np.isnan(one), near)


class ExpectColumnPairValuesToBeMultiple(ColumnPairMapExpectation):
    """Expect `column_A` to be a whole multiple of `column_B`, as prices are of the tick size.

    `tolerance` (default 1e-6) is the part of a step by which it may miss. A row whose `column_B` is zero or below
    passes.
    """

    tolerance: float = 1e-6
    ignore_row_if: _PairNulls = "either_value_is_missing"

    map_metric: ClassVar[str] = "column_pair_values.multiple"
    domain_keys: ClassVar[tuple[str, ...]] = _PAIR_DOMAIN
    success_keys: ClassVar[tuple[str, ...]] = ("mostly", "tolerance")


@_of_pair("column_pair_open_time.fits_interval")
def _open_time_fits(intervals: Series, opens: Series) -> Mask:
    opened = opens.to_numpy()

    def fits(interval: str, rows: npt.NDArray[np.intp]) -> Mask:
        if interval in GRID_MS:
            return np.asarray(opened[rows] % GRID_MS[interval] == 0)
        known = (not isnan(time) and is_on_grid(interval, time) for time in opened[rows].tolist())
        return np.fromiter(known, dtype=np.bool_, count=len(rows))

    return _by_interval(intervals, fits)


class ExpectColumnPairOpenTimeToFitInterval(ColumnPairMapExpectation):
    """Expect `column_B`, in milliseconds UTC, to be a time at which klines of the interval in `column_A` open.

    `1s` to `1d` open on whole multiples, `3d` and `1w` at some midnight, `1M` on the first of a month. An interval that
    is not known passes.
    """

    ignore_row_if: _PairNulls = "either_value_is_missing"

    map_metric: ClassVar[str] = "column_pair_open_time.fits_interval"
    domain_keys: ClassVar[tuple[str, ...]] = _PAIR_DOMAIN
    success_keys: ClassVar[tuple[str, ...]] = ("mostly",)


@_of_many("multicolumn_close_time.fits_interval")
def _close_time_fits(intervals: Series, opens: Series, closes: Series) -> Mask:
    opened, closed = opens.to_numpy(), closes.to_numpy()

    def fits(interval: str, rows: npt.NDArray[np.intp]) -> Mask:
        if interval in LENGTHS_MS:
            return np.asarray(closed[rows] - opened[rows] + 1 == LENGTHS_MS[interval])
        times = zip(opened[rows].tolist(), closed[rows].tolist(), strict=True)
        known = (not isnan(end - start) and is_close_time(interval, start, end) for start, end in times)
        return np.fromiter(known, dtype=np.bool_, count=len(rows))

    return _by_interval(intervals, fits)


class ExpectMulticolumnCloseTimeToFitInterval(MulticolumnMapExpectation):
    """Expect a kline to end a millisecond before the next one opens.

    `column_list` is interval, open time and close time, both in milliseconds UTC. An interval that is not known passes.
    """

    ignore_row_if: _ManyNulls = "any_value_is_missing"

    map_metric: ClassVar[str] = "multicolumn_close_time.fits_interval"
    success_keys: ClassVar[tuple[str, ...]] = ("mostly",)


@_of_many("multicolumn_difference.equal", "offset", "tolerance", "relative")
def _difference_equals(*columns: Series, offset: float = 0.0, tolerance: float = 0.0, relative: float = 0.0) -> Mask:
    difference, one, other = map(_floats, columns)
    allowed = tolerance + relative * np.maximum(np.abs(one), np.abs(other))
    return np.asarray(np.abs(one - other + offset - difference) <= allowed)


class ExpectMulticolumnDifferenceToEqual(MulticolumnMapExpectation):
    """Expect a column to be the difference of two others, plus `offset` (default 0).

    `column_list` is D, A, B: `abs(A - B + offset - D) <= tolerance + relative * max(abs(A), abs(B))`. `tolerance` is in
    the unit of the columns, `relative` a fraction of the larger of A and B; both are 0 by default.
    """

    offset: float = 0.0
    tolerance: float = 0.0
    relative: float = 0.0
    ignore_row_if: _ManyNulls = "any_value_is_missing"

    map_metric: ClassVar[str] = "multicolumn_difference.equal"
    success_keys: ClassVar[tuple[str, ...]] = ("mostly", "offset", "tolerance", "relative")


@_of_many("multicolumn_product.equal", "factor", "tolerance", "relative")
def _product_equals(*columns: Series, factor: float = 1.0, tolerance: float = 0.0, relative: float = 0.0) -> Mask:
    product, one, other = map(_floats, columns)
    return np.asarray(np.abs(one * other * factor - product) <= tolerance + relative * np.abs(product))


class ExpectMulticolumnProductToEqual(MulticolumnMapExpectation):
    """Expect a column to be the product of two others, times `factor` (default 1).

    `column_list` is P, A, B: `abs(A * B * factor - P) <= tolerance + relative * abs(P)`. `tolerance` is in the unit of
    P, `relative` a fraction of it; both are 0 by default.
    """

    factor: float = 1.0
    tolerance: float = 0.0
    relative: float = 0.0
    ignore_row_if: _ManyNulls = "any_value_is_missing"

    map_metric: ClassVar[str] = "multicolumn_product.equal"
    success_keys: ClassVar[tuple[str, ...]] = ("mostly", "factor", "tolerance", "relative")


@_of_many("multicolumn_amount.at_least_product", "tolerance", "relative")
def _amount_at_least(*columns: Series, tolerance: float = 0.0, relative: float = 0.0) -> Mask:
    amount, limit = _amount_and_limit(columns, factor=1.0 - relative, each=-tolerance)
    return np.asarray(amount >= limit)


class ExpectMulticolumnAmountToBeAtLeastProduct(MulticolumnMapExpectation):
    """Expect an amount of money to be at least price times quantity, with room for rounding.

    `column_list` is amount, price, quantity, count:
    `amount >= price * quantity * (1 - relative) - tolerance * (count + 1)`, where `count` says how many rounded numbers
    the amount was added up of. `tolerance` is in the unit of the amount, `relative` a fraction; both are 0 by default.
    """

    tolerance: float = 0.0
    relative: float = 0.0
    ignore_row_if: _ManyNulls = "any_value_is_missing"

    map_metric: ClassVar[str] = "multicolumn_amount.at_least_product"
    success_keys: ClassVar[tuple[str, ...]] = ("mostly", "tolerance", "relative")


@_of_many("multicolumn_amount.at_most_product", "tolerance", "relative")
def _amount_at_most(*columns: Series, tolerance: float = 0.0, relative: float = 0.0) -> Mask:
    amount, limit = _amount_and_limit(columns, factor=1.0 + relative, each=tolerance)
    return np.asarray(amount <= limit)


class ExpectMulticolumnAmountToBeAtMostProduct(MulticolumnMapExpectation):
    """Expect an amount of money to be at most price times quantity, with room for rounding.

    `column_list` is amount, price, quantity, count:
    `amount <= price * quantity * (1 + relative) + tolerance * (count + 1)`, each as of
    `expect_multicolumn_amount_to_be_at_least_product`.
    """

    tolerance: float = 0.0
    relative: float = 0.0
    ignore_row_if: _ManyNulls = "any_value_is_missing"

    map_metric: ClassVar[str] = "multicolumn_amount.at_most_product"
    success_keys: ClassVar[tuple[str, ...]] = ("mostly", "tolerance", "relative")


def _amount_and_limit(columns: Sequence[Series], *, factor: float, each: float) -> tuple[Floats, Floats]:
    amount, price, quantity, count = map(_floats, columns)
    return amount, price * quantity * factor + each * (count + 1)


def _bound(value: float, *, whole: bool) -> float:
    return int(value) if whole and value.is_integer() else value


def _floats(column: Series) -> Floats:
    # Whole numbers too: a product of two of them can be beyond 64 bits, and a float of each is exact.
    return column.to_numpy(dtype=np.float64)


def _by_interval(intervals: Series, fits: Callable[[str, npt.NDArray[np.intp]], Mask]) -> Mask:
    """What `fits` says of the rows of each interval; false where the interval is null."""
    keeps = np.zeros(len(intervals), dtype=np.bool_)
    rows_of: dict[str, list[int]] = {}
    for row, interval in enumerate(intervals.tolist()):
        if isinstance(interval, str):
            rows_of.setdefault(interval, []).append(row)
    for interval, listed in rows_of.items():
        rows = np.array(listed, dtype=np.intp)
        keeps[rows] = fits(interval, rows)
    return keeps
