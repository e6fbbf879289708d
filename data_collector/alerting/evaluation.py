"""What an expression is true for now: the arithmetic of Prometheus over our own samples."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Final, TypeAlias, assert_never

from data_collector.alerting.promql import (
    COMPARING,
    Absolute,
    Expression,
    Now,
    Number,
    Operation,
    OverTime,
    Selector,
    Sum,
)
from data_collector.alerting.series import Labels, SeriesTable

Vector: TypeAlias = dict[Labels, float]
"""Labels to value; names of metrics are no labels here, as no alert looks at them."""

_COMPARE: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "==": operator.eq, "!=": operator.ne, ">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le,
}  # fmt: skip

_Samples: TypeAlias = Sequence[tuple[float, float]]
"""Time and value, oldest first."""


def evaluate(tree: Expression, table: SeriesTable, now_s: float) -> Vector | float:
    """The value of an expression at a time: a number, or one of each set of labels."""
    match tree:
        case Number(value=value):
            return value
        case Now():
            return now_s
        case Selector():
            return table.newest(tree, now_s)
        case OverTime(series=series):
            ranges = table.ranges(series, now_s)
            values = {labels: _over_time(tree, samples, now_s) for labels, samples in ranges.items()}
            return {labels: value for labels, value in values.items() if value is not None}
        case Absolute(of=of) | Sum(of=of):
            return _folded(tree, evaluate(of, table, now_s))
        case Operation(left=left, right=right):
            return _operate(tree, evaluate(left, table, now_s), evaluate(right, table, now_s))
        case _:
            assert_never(tree)


def _folded(tree: Absolute | Sum, value: Vector | float) -> Vector | float:
    if not isinstance(value, dict):
        return abs(value)
    if isinstance(tree, Absolute):
        return {labels: abs(each) for labels, each in value.items()}
    total: Vector = {}
    for labels, each in value.items():
        key = _key(labels, tree.by)
        total[key] = total.get(key, 0.0) + each
    return total


def _operate(tree: Operation, left: Vector | float, right: Vector | float) -> Vector | float:
    if isinstance(left, dict) and isinstance(right, dict):
        return _matched(tree, left, right)
    if isinstance(left, dict):
        number = right if not isinstance(right, dict) else 0.0
        return _each(tree.sign, [(key, value, number) for key, value in left.items()])
    if isinstance(right, dict):
        # What a comparison keeps is the side of the series.
        return _each(tree.sign, [(key, left, value) for key, value in right.items()], keep_right=True)
    return _computed(tree.sign, left, right)


def _matched(tree: Operation, left: Vector, right: Vector) -> Vector:
    of_right = {_key(labels, tree.on): value for labels, value in right.items()}
    match tree.sign:
        case "and":
            return {labels: value for labels, value in left.items() if _key(labels, tree.on) in of_right}
        case "unless":
            return {labels: value for labels, value in left.items() if _key(labels, tree.on) not in of_right}
        case "or":
            of_left = {_key(labels, tree.on) for labels in left}
            return left | {labels: value for labels, value in right.items() if _key(labels, tree.on) not in of_left}
    pairs = [(labels, value, of_right.get(_key(labels, tree.on))) for labels, value in left.items()]
    return _each(tree.sign, [(labels, one, other) for labels, one, other in pairs if other is not None])


def _key(labels: Labels, on: tuple[str, ...] | None) -> Labels:
    return labels if on is None else tuple((name, text) for name, text in labels if name in on)


def _each(sign: str, pairs: Sequence[tuple[Labels, float, float]], *, keep_right: bool = False) -> Vector:
    if sign in COMPARING:
        holds = _COMPARE[sign]
        return {labels: right if keep_right else left for labels, left, right in pairs if holds(left, right)}
    return {labels: _computed(sign, left, right) for labels, left, right in pairs}


def _computed(sign: str, left: float, right: float) -> float:
    match sign:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/":
            # As floats divide; Python raises instead.
            return (
                left / right if right else (math.nan if not left or math.isnan(left) else math.copysign(math.inf, left))
            )
        case _:
            return float(_COMPARE[sign](left, right))


def _over_time(tree: OverTime, samples: _Samples, now_s: float) -> float | None:
    """None where the samples are too few to tell."""
    match tree.function:
        case "changes":
            return float(sum(one[1] != other[1] for one, other in pairwise(samples)))
        case "predict_linear":
            return _predicted(samples, now_s - tree.series.offset_s, tree.ahead_s)
        case "increase":
            return _increase(tree.series, samples, now_s)
        case "rate":
            grown = _increase(tree.series, samples, now_s)
            return None if grown is None else grown / (tree.series.range_s or 1.0)
        case _:
            assert_never(tree.function)


def _increase(series: Selector, samples: _Samples, now_s: float) -> float | None:
    """Of a counter that may begin anew, drawn out to the ends of the range as Prometheus does it."""
    if len(samples) < 2:
        return None
    first, last = samples[0], samples[-1]
    grown = last[1] - first[1]
    grown += sum(one[1] for one, other in pairwise(samples) if other[1] < one[1])
    end_s = now_s - series.offset_s
    begin_s = end_s - (series.range_s or 0.0)
    sampled_s = last[0] - first[0]
    every_s = sampled_s / (len(samples) - 1)
    before_s, after_s = first[0] - begin_s, end_s - last[0]
    if before_s >= every_s * 1.1:
        before_s = every_s / 2
    if grown > 0 and first[1] >= 0:
        # It was never below zero.
        before_s = min(before_s, sampled_s * first[1] / grown)
    if after_s >= every_s * 1.1:
        after_s = every_s / 2
    return grown * (sampled_s + before_s + after_s) / sampled_s


def _predicted(samples: _Samples, at_s: float, ahead_s: float) -> float | None:
    """By the straight line of least squares."""
    if len(samples) < 2:
        return None
    times = [each_s - at_s for each_s, _ in samples]
    mean_t = math.fsum(times) / len(times)
    mean_v = math.fsum(value for _, value in samples) / len(samples)
    spread = math.fsum((t - mean_t) ** 2 for t in times)
    if not spread:
        return None
    slope = math.fsum((t - mean_t) * (v - mean_v) for t, (_, v) in zip(times, samples, strict=True)) / spread
    return mean_v + slope * (ahead_s - mean_t)
