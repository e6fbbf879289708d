"""What an expectation says of a single record, as a Python expression that means what Great Expectations means.

An expression names columns, and constants as `{0}`, `{1}` …: of what a user writes only names of columns become source
text, and those are checked against the list. Meanings are those of version 1.24 on pandas; the differential test and
the audit hold both against each other (docs/validation.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from msgspec import Struct

from data_collector.model.calendar import DAY_MS, INTERVALS, LENGTHS_MS, UtcCalendar
from data_collector.validation.rules.arguments import NUMBER, Arguments, Nulls
from data_collector.validation.rules.columns import INTEGER_MAX, ColumnType, Kind

SUMMANDS_MAX: Final = 7
"""More of them are added in another order by numpy, and rounded otherwise."""

NO_OPEN_TIME: Final = 2**62
"""Divides no open time: intervals whose grid is not a fixed step are asked about."""

_CALENDAR = UtcCalendar()

GRID_MS: Final[dict[str, int]] = {interval: min(length, DAY_MS) for interval, length in LENGTHS_MS.items()}
"""What divides the open times of intervals: weeks and `3d` open on some midnight."""

_NO_DATE = (ValueError, OverflowError, OSError)
"""What the calendar raises of a month beyond the years it knows."""


class Condition(Struct, frozen=True):
    """When a record keeps a rule."""

    columns: tuple[str, ...]
    holds: str
    """True when it keeps the rule, given that no column is null (with `asked`: any may be)."""
    nulls: Nulls
    constants: tuple[object, ...] = ()
    applies: str | None = None
    """To which records the rule applies; None: to all."""
    applies_columns: tuple[str, ...] = ()


_PAIR: Final[dict[str, Nulls]] = {
    "both_values_are_missing": "skip_all", "either_value_is_missing": "skip_any", "neither": "fail",
}  # fmt: skip
_MANY: Final[dict[str, Nulls]] = {
    "all_values_are_missing": "skip_all", "any_value_is_missing": "skip_any", "never": "fail",
}  # fmt: skip

Expression = tuple[tuple[str, ...], str, Nulls]


def _null(arguments: Arguments, found: str = "is None") -> Expression:
    column = arguments.column()
    return (column,), f"{column} {found}", "asked"


def _between(arguments: Arguments) -> Expression:
    column = arguments.column("column", *NUMBER)
    return (column,), _within(arguments, column, whole=arguments.type_of(column) == "integer"), "skip_any"


def _within(arguments: Arguments, expression: str, *, whole: bool) -> str:
    """`whole`: the expression gives whole numbers, and those are compared with whole numbers in half the time."""
    low, high = arguments.bounds()
    if whole:
        if max(abs(bound) for bound in (low, high) if bound is not None) > INTEGER_MAX:
            raise ValueError("min_value or max_value is beyond 2^53, where whole numbers are rounded")
        low = int(low) if low is not None and low.is_integer() else low
        high = int(high) if high is not None and high.is_integer() else high
    left = "" if low is None else f"{arguments.constant(low)} {'<' if arguments.flag('strict_min') else '<='} "
    right = "" if high is None else f" {'<' if arguments.flag('strict_max') else '<='} {arguments.constant(high)}"
    return f"{left}{expression}{right}"


def _in_set(arguments: Arguments, found: str = "in") -> Expression:
    column = arguments.column()
    return (column,), f"{column} {found} {arguments.constant(arguments.texts_or_numbers(column))}", "skip_any"


def _match(arguments: Arguments, *, finds: bool = True) -> Expression:
    column = arguments.column("column", "text")
    pattern = arguments.regex()
    # What is not found out in time keeps neither rule.
    search, found = (pattern.search, "is not None") if finds else (pattern.search_or_late, "is None")
    return (column,), f"{arguments.constant(search)}({column}) {found}", "skip_any"


def _lengths(arguments: Arguments) -> Expression:
    column = arguments.column("column", "text")
    return (column,), _within(arguments, f"len({column})", whole=True), "skip_any"


def _length(arguments: Arguments) -> Expression:
    column = arguments.column("column", "text")
    length = arguments.number("value")
    if length is None:
        raise ValueError("give value")
    return (column,), f"len({column}) == {arguments.constant(length)}", "skip_any"


def _pair(arguments: Arguments, types: tuple[ColumnType, ...] = NUMBER) -> tuple[str, str]:
    return arguments.column("column_A", *types), arguments.column("column_B", *types)


def _greater(arguments: Arguments) -> Expression:
    one, other = _pair(arguments)
    sign = ">=" if arguments.flag("or_equal") else ">"
    return (one, other), f"{one} {sign} {other}", arguments.nulls("skip_all", _PAIR)


def _equal(arguments: Arguments) -> Expression:
    one, other = _pair(arguments, ())
    if (arguments.type_of(one) in NUMBER) != (arguments.type_of(other) in NUMBER):
        raise ValueError(f"{one} and {other} are of different types")
    return (one, other), f"{one} == {other}", arguments.nulls("skip_all", _PAIR)


def _sum(arguments: Arguments) -> Expression:
    # Whole numbers beside others are added in an order of their own, and exactly until one of a batch is null.
    columns = arguments.column_list()
    if len(columns) > SUMMANDS_MAX:
        raise ValueError(f"column_list must name at most {SUMMANDS_MAX} columns")
    total = arguments.number("sum_total")
    if total is None:
        raise ValueError("give sum_total")
    return tuple(columns), f"{' + '.join(columns)} == {arguments.constant(total)}", arguments.nulls("skip_all", _MANY)


def _difference(arguments: Arguments) -> Expression:
    one, other = _pair(arguments)
    whole = {arguments.type_of(one), arguments.type_of(other)} == {"integer"}
    return (one, other), _within(arguments, f"{one} - {other}", whole=whole), arguments.nulls("skip_any", _PAIR)


def _ratio(arguments: Arguments) -> Expression:
    one, other = _pair(arguments)
    low, high = arguments.bounds()
    parts = [] if low is None else [f"{one} >= {other} * {arguments.constant(low)}"]
    parts += [] if high is None else [f"{one} <= {other} * {arguments.constant(high)}"]
    return (one, other), " and ".join(parts), arguments.nulls("skip_any", _PAIR)


def _multiple(arguments: Arguments) -> Expression:
    one, other = _pair(arguments)
    tolerance = arguments.constant(arguments.number("tolerance", 1e-6))
    rest = f"{one} / {other} % 1.0"
    near = f"min({rest}, 1.0 - {rest}) <= {tolerance} + {one} / {other} * 4e-16"
    # A null beside a step of zero is neither a multiple nor none.
    nulls = arguments.nulls("skip_any", {"either_value_is_missing": "skip_any"})
    return (one, other), f"({other} <= 0 or {near})", nulls


def _open_time(arguments: Arguments) -> Expression:
    interval, opened = arguments.column("column_A", "text"), arguments.column("column_B", "integer")
    grid, ask = arguments.constant(GRID_MS.get), arguments.constant(is_on_grid)
    holds = f"({opened} % {grid}({interval}, {arguments.constant(NO_OPEN_TIME)}) == 0 or {ask}({interval}, {opened}))"
    return (interval, opened), holds, arguments.nulls("skip_any", _PAIR)


def _close_time(arguments: Arguments) -> Expression:
    interval, opened, closed = arguments.column_list(("text",), ("integer",), ("integer",))
    length, ask = arguments.constant(LENGTHS_MS.get), arguments.constant(is_close_time)
    holds = f"({closed} - {opened} + 1 == {length}({interval}) or {ask}({interval}, {opened}, {closed}))"
    return (interval, opened, closed), holds, arguments.nulls("skip_any", _MANY)


def _difference_equal(arguments: Arguments) -> Expression:
    difference, one, other = arguments.column_list(NUMBER, NUMBER, NUMBER)
    offset, tolerance, relative = _numbers(arguments, offset=0.0, tolerance=0.0, relative=0.0)
    allowed = f"{tolerance} + {relative} * max(abs({one}), abs({other}))"
    holds = f"abs({one} - {other} + {offset} - {difference}) <= {allowed}"
    return (difference, one, other), holds, arguments.nulls("skip_any", _MANY)


def _product_equal(arguments: Arguments) -> Expression:
    product, one, other = arguments.column_list(NUMBER, NUMBER, NUMBER)
    factor, tolerance, relative = _numbers(arguments, factor=1.0, tolerance=0.0, relative=0.0)
    holds = f"abs({one} * {other} * {factor} - {product}) <= {tolerance} + {relative} * abs({product})"
    return (product, one, other), holds, arguments.nulls("skip_any", _MANY)


def _numbers(arguments: Arguments, **defaults: float) -> list[str]:
    return [arguments.constant(arguments.number(name, default)) for name, default in defaults.items()]


def _amount(arguments: Arguments, *, sign: str, direction: float) -> Expression:
    amount, price, quantity, count = arguments.column_list(NUMBER, NUMBER, NUMBER, NUMBER)
    tolerance, relative = arguments.number("tolerance", 0.0), arguments.number("relative", 0.0)
    assert tolerance is not None and relative is not None, "they have defaults"  # noqa: PT018 (one thing)
    factor, each = arguments.constant(1.0 + direction * relative), arguments.constant(direction * tolerance)
    holds = f"{amount} {sign} {price} * {quantity} * {factor} + {each} * ({count} + 1)"
    return (amount, price, quantity, count), holds, arguments.nulls("skip_any", _MANY)


def is_on_grid(interval: str, open_ms: float) -> bool:
    """Whether a kline of this interval can open then; one that is not known passes."""
    if interval not in INTERVALS:
        return True
    try:
        return _CALENDAR.is_open_time(interval, int(open_ms))
    except _NO_DATE:
        return False


def is_close_time(interval: str, open_ms: float, close_ms: float) -> bool:
    """Whether a kline that opens then ends then: a millisecond before the next one. An unknown interval passes."""
    if interval not in INTERVALS:
        return True
    try:
        return _CALENDAR.next_open_ms(interval, int(open_ms)) - 1 == close_ms
    except _NO_DATE:
        return False


GATED: Final[Mapping[str, Callable[[Arguments], Expression]]] = {
    "expect_column_values_to_not_be_null": partial(_null, found="is not None"),
    "expect_column_values_to_be_null": _null,
    "expect_column_values_to_be_between": _between,
    "expect_column_values_to_be_in_set": _in_set,
    "expect_column_values_to_not_be_in_set": partial(_in_set, found="not in"),
    "expect_column_values_to_match_regex": _match,
    "expect_column_values_to_not_match_regex": partial(_match, finds=False),
    "expect_column_value_lengths_to_be_between": _lengths,
    "expect_column_value_lengths_to_equal": _length,
    "expect_column_pair_values_a_to_be_greater_than_b": _greater,
    "expect_column_pair_values_to_be_equal": _equal,
    "expect_multicolumn_sum_to_equal": _sum,
    "expect_column_pair_difference_to_be_between": _difference,
    "expect_column_pair_ratio_to_be_between": _ratio,
    "expect_column_pair_values_to_be_multiple": _multiple,
    "expect_column_pair_open_time_to_fit_interval": _open_time,
    "expect_multicolumn_close_time_to_fit_interval": _close_time,
    "expect_multicolumn_difference_to_equal": _difference_equal,
    "expect_multicolumn_product_to_equal": _product_equal,
    "expect_multicolumn_amount_to_be_at_least_product": partial(_amount, sign=">=", direction=-1.0),
    "expect_multicolumn_amount_to_be_at_most_product": partial(_amount, sign="<=", direction=1.0),
}
"""Expectations that can judge a single record. Those after the sum are ours (`validation.audit.expectations`)."""


def condition_of(kind: Kind, expectation: str, kwargs: Mapping[str, object]) -> Condition:
    """What an expectation of `GATED` says of one record. Raises `ValueError` with what is wrong with its arguments."""
    arguments = Arguments(kind, kwargs)
    columns, holds, nulls = GATED[expectation](arguments)
    applies, applies_columns = arguments.applies()
    return Condition(columns, holds, nulls, tuple(arguments.constants), applies, applies_columns)


def check_row_condition(kind: Kind, kwargs: Mapping[str, object]) -> None:
    """Read the `row_condition` of an expectation that only the audit judges. Raises `ValueError` as `condition_of`."""
    Arguments(kind, kwargs).applies()
