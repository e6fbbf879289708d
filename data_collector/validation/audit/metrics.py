"""The arithmetic of our own expectations on columns: the operations of `rules.conditions`, in the same order.

Same operations on the same 64-bit floats give the same verdicts to the last bit, which is what the audit compares.
Great Expectations hands over rows that the row condition selects and whose nulls `ignore_row_if` lets through; a null
that it lets through is NaN, and NaN keeps no rule.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from math import isnan

import numpy as np
import numpy.typing as npt
from great_expectations.execution_engine import PandasExecutionEngine
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


class ColumnPairDifferenceBetween(ColumnPairMapMetricProvider):
    """Of `expect_column_pair_difference_to_be_between`."""

    condition_metric_name = "column_pair_difference.between"
    condition_value_keys = ("min_value", "max_value", "strict_min", "strict_max")

    @column_pair_condition_partial(engine=PandasExecutionEngine)
    def _pandas(
        cls,
        first: Series,
        second: Series,
        min_value: float | None = None,
        max_value: float | None = None,
        strict_min: bool | None = None,
        strict_max: bool | None = None,
        **_: object,
    ) -> Series:
        whole = first.dtype.kind == second.dtype.kind == "i"
        with np.errstate(all="ignore"):
            difference = first.to_numpy() - second.to_numpy()
        above = operator.gt if strict_min else operator.ge
        below = operator.lt if strict_max else operator.le
        keeps = np.ones(len(difference), dtype=np.bool_)
        if min_value is not None:
            keeps &= above(difference, _bound(min_value, whole=whole))
        if max_value is not None:
            keeps &= below(difference, _bound(max_value, whole=whole))
        return Series(keeps, index=first.index)


class ColumnPairRatioBetween(ColumnPairMapMetricProvider):
    """Of `expect_column_pair_ratio_to_be_between`."""

    condition_metric_name = "column_pair_ratio.between"
    condition_value_keys = ("min_value", "max_value")

    @column_pair_condition_partial(engine=PandasExecutionEngine)
    def _pandas(
        cls, first: Series, second: Series, min_value: float | None = None, max_value: float | None = None, **_: object
    ) -> Series:
        one, other = _floats(first), _floats(second)
        keeps = np.ones(len(one), dtype=np.bool_)
        with np.errstate(all="ignore"):
            if min_value is not None:
                keeps &= one >= other * min_value
            if max_value is not None:
                keeps &= one <= other * max_value
        return Series(keeps, index=first.index)


class ColumnPairMultiple(ColumnPairMapMetricProvider):
    """Of `expect_column_pair_values_to_be_multiple`."""

    condition_metric_name = "column_pair_values.multiple"
    condition_value_keys = ("tolerance",)

    @column_pair_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, first: Series, second: Series, tolerance: float = 1e-6, **_: object) -> Series:
        one, other = _floats(first), _floats(second)
        with np.errstate(all="ignore"):
            rest = one / other % 1.0
            near = np.minimum(rest, 1.0 - rest) <= tolerance + one / other * 4e-16
        # Without a step there is nothing to fit, but a null that was let through keeps no rule.
        keeps = np.where(other <= 0, ~np.isnan(one), near)
        return Series(keeps, index=first.index)


class ColumnPairOpenTimeFits(ColumnPairMapMetricProvider):
    """Of `expect_column_pair_open_time_to_fit_interval`."""

    condition_metric_name = "column_pair_open_time.fits_interval"
    condition_value_keys = ()

    @column_pair_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, first: Series, second: Series, **_: object) -> Series:
        opened = second.to_numpy()

        def fits(interval: str, rows: npt.NDArray[np.intp]) -> Mask:
            if interval in GRID_MS:
                return np.asarray(opened[rows] % GRID_MS[interval] == 0)
            known = (not isnan(time) and is_on_grid(interval, time) for time in opened[rows].tolist())
            return np.fromiter(known, dtype=np.bool_, count=len(rows))

        return Series(_by_interval(first, fits), index=first.index)


class MulticolumnCloseTimeFits(MulticolumnMapMetricProvider):
    """Of `expect_multicolumn_close_time_to_fit_interval`."""

    condition_metric_name = "multicolumn_close_time.fits_interval"
    condition_value_keys = ()

    @multicolumn_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column_list: DataFrame, **_: object) -> Series:
        intervals, opens, closes = _columns(column_list)
        opened, closed = opens.to_numpy(), closes.to_numpy()

        def fits(interval: str, rows: npt.NDArray[np.intp]) -> Mask:
            if interval in LENGTHS_MS:
                return np.asarray(closed[rows] - opened[rows] + 1 == LENGTHS_MS[interval])
            times = zip(opened[rows].tolist(), closed[rows].tolist(), strict=True)
            known = (not isnan(end - start) and is_close_time(interval, start, end) for start, end in times)
            return np.fromiter(known, dtype=np.bool_, count=len(rows))

        return Series(_by_interval(intervals, fits), index=column_list.index)


class MulticolumnDifferenceEqual(MulticolumnMapMetricProvider):
    """Of `expect_multicolumn_difference_to_equal`."""

    condition_metric_name = "multicolumn_difference.equal"
    condition_value_keys = ("offset", "tolerance", "relative")

    @multicolumn_condition_partial(engine=PandasExecutionEngine)
    def _pandas(
        cls, column_list: DataFrame, offset: float = 0.0, tolerance: float = 0.0, relative: float = 0.0, **_: object
    ) -> Series:
        difference, one, other = map(_floats, _columns(column_list))
        with np.errstate(all="ignore"):
            allowed = tolerance + relative * np.maximum(np.abs(one), np.abs(other))
            keeps = np.abs(one - other + offset - difference) <= allowed
        return Series(keeps, index=column_list.index)


class MulticolumnProductEqual(MulticolumnMapMetricProvider):
    """Of `expect_multicolumn_product_to_equal`."""

    condition_metric_name = "multicolumn_product.equal"
    condition_value_keys = ("factor", "tolerance", "relative")

    @multicolumn_condition_partial(engine=PandasExecutionEngine)
    def _pandas(
        cls, column_list: DataFrame, factor: float = 1.0, tolerance: float = 0.0, relative: float = 0.0, **_: object
    ) -> Series:
        product, one, other = map(_floats, _columns(column_list))
        with np.errstate(all="ignore"):
            keeps = np.abs(one * other * factor - product) <= tolerance + relative * np.abs(product)
        return Series(keeps, index=column_list.index)


class MulticolumnAmountAtLeast(MulticolumnMapMetricProvider):
    """Of `expect_multicolumn_amount_to_be_at_least_product`."""

    condition_metric_name = "multicolumn_amount.at_least_product"
    condition_value_keys = ("tolerance", "relative")

    @multicolumn_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column_list: DataFrame, tolerance: float = 0.0, relative: float = 0.0, **_: object) -> Series:
        with np.errstate(all="ignore"):
            amount, limit = _amount_and_limit(column_list, factor=1.0 - relative, each=-tolerance)
            return Series(amount >= limit, index=column_list.index)


class MulticolumnAmountAtMost(MulticolumnMapMetricProvider):
    """Of `expect_multicolumn_amount_to_be_at_most_product`."""

    condition_metric_name = "multicolumn_amount.at_most_product"
    condition_value_keys = ("tolerance", "relative")

    @multicolumn_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column_list: DataFrame, tolerance: float = 0.0, relative: float = 0.0, **_: object) -> Series:
        with np.errstate(all="ignore"):
            amount, limit = _amount_and_limit(column_list, factor=1.0 + relative, each=tolerance)
            return Series(amount <= limit, index=column_list.index)


def _amount_and_limit(column_list: DataFrame, *, factor: float, each: float) -> tuple[Floats, Floats]:
    amount, price, quantity, count = map(_floats, _columns(column_list))
    return amount, price * quantity * factor + each * (count + 1)


def _bound(value: float, *, whole: bool) -> float:
    return int(value) if whole and value.is_integer() else value


def _floats(column: Series) -> Floats:
    # Whole numbers too: a product of two of them can be beyond 64 bits, and a float of each is exact.
    return column.to_numpy(dtype=np.float64)


def _columns(frame: DataFrame) -> list[Series]:
    return [frame.iloc[:, place] for place in range(frame.shape[1])]


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
