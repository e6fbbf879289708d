"""What an expectation says of a single record, as a Python expression with the meaning that Great Expectations gives it.

An expression names columns, and constants as `{0}`, `{1}` …: nothing that a user writes becomes source text but names of
columns, which are checked against the list. Meanings are those of version 1.24 on pandas; the differential test and the
audit hold both against each other (docs/validation.md).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Literal

from msgspec import Struct

from data_collector.validation.columns import COLUMNS, INTEGER_MAX, ColumnType, Kind
from data_collector.validation.intervals import GRID_MS, LENGTHS_MS, is_close_time, is_on_grid

Nulls = Literal["skip_any", "skip_all", "fail", "asked"]
"""What becomes of a row with nulls: passed when any or all of the columns are null, never passed, or asked about."""

CONDITIONS_MAX: Final = 100
SET_VALUES_MAX: Final = 10_000
REGEX_CHARACTERS_MAX: Final = 1_000
DECIMAL_MAX: Final = 2.0**1000
SUMMANDS_MAX: Final = 7
"""More of them are added in another order by numpy, and rounded otherwise."""

NO_OPEN_TIME: Final = 2**62
"""Divides no open time: intervals whose grid is not a fixed step are asked about."""


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


class _Arguments:
    """Reads the arguments of one expectation; each method raises `ValueError` with what is wrong."""

    def __init__(self, kind: Kind, kwargs: Mapping[str, object]) -> None:
        self._kind = kind
        self._kwargs = kwargs
        self.constants: list[object] = []

    def constant(self, value: object) -> str:
        """A place for a value in the expression."""
        self.constants.append(value)
        return f"{{{len(self.constants) - 1}}}"

    def column(self, name: str = "column", *types: ColumnType) -> str:
        """The name of a column of one of the types."""
        given = self._kwargs.get(name)
        if not isinstance(given, str):
            raise ValueError(f"{name} must be the name of a column")
        return self._typed(given, types)

    def column_list(self, *types: tuple[ColumnType, ...]) -> list[str]:
        """`column_list` with one column per entry of `types`; any number of decimals without."""
        given = self._kwargs.get("column_list")
        if not isinstance(given, list) or len(given) < 2 or not all(isinstance(name, str) for name in given):
            raise ValueError("column_list must name columns")
        if len(set(given)) < len(given):
            raise ValueError("column_list names a column twice")
        if types and len(given) != len(types):
            raise ValueError(f"column_list must name {len(types)} columns")
        return [self._typed(name, types[number] if types else ("decimal",)) for number, name in enumerate(given)]

    def number(self, name: str, default: float | None = None) -> float | None:
        """A finite number, or the default."""
        given = self._kwargs.get(name)
        if given is None:
            return default
        if isinstance(given, bool) or not isinstance(given, int | float):
            raise ValueError(f"{name} must be a number" + (" ($PARAMETER is not supported)" * isinstance(given, dict)))
        if not abs(given) <= (INTEGER_MAX if isinstance(given, int) else DECIMAL_MAX):
            raise ValueError(f"{name} is beyond 2^53, where numbers are rounded")
        return float(given)

    def flag(self, name: str) -> bool:
        """True or false; false when not given."""
        given = self._kwargs.get(name)
        if given is not None and not isinstance(given, bool):
            raise ValueError(f"{name} must be true or false")
        return bool(given)

    def texts_or_numbers(self, column: str) -> frozenset[object]:
        """`value_set`, of the column's own type."""
        given = self._kwargs.get("value_set")
        if not isinstance(given, list) or len(given) > SET_VALUES_MAX:
            raise ValueError(f"value_set must be a list of at most {SET_VALUES_MAX} values")
        for value in given:
            self.check_value(column, value, "value_set")
        return frozenset(given)

    def check_value(self, column: str, value: object, where: str) -> None:
        """A constant must be of the type of the column that it is compared with."""
        wanted: dict[ColumnType, tuple[type, ...]] = {
            "text": (str,), "decimal": (int, float), "integer": (int, float), "flag": (bool,),
        }  # fmt: skip
        column_type = self.type_of(column)
        if type(value) not in wanted[column_type]:
            raise ValueError(f"{where}: {shown(value)} is no {column_type}, which {column} is")
        if isinstance(value, int | float) and not abs(value) <= INTEGER_MAX:
            raise ValueError(f"{where}: {shown(value)} is beyond 2^53, where numbers are rounded")

    def bounds(self, *, default: float | None = None) -> tuple[float | None, float | None]:
        """`min_value` and `max_value`, at least one of them."""
        low, high = self.number("min_value", default), self.number("max_value", default)
        if low is None and high is None:
            raise ValueError("give min_value or max_value")
        if low is not None and high is not None and low > high:
            raise ValueError("min_value is above max_value")
        return low, high

    def nulls(self, default: Nulls, choices: Mapping[str, Nulls]) -> Nulls:
        """`ignore_row_if`."""
        given = self._kwargs.get("ignore_row_if")
        if given is None:
            return default
        if not isinstance(given, str) or given not in choices:
            raise ValueError(f"ignore_row_if must be one of {', '.join(choices)}")
        return choices[given]

    def regex(self) -> re.Pattern[str]:
        """`regex`, compiled: Great Expectations would take a broken one, and fail with every batch."""
        given = self._kwargs.get("regex")
        if not isinstance(given, str) or len(given) > REGEX_CHARACTERS_MAX:
            raise ValueError(f"regex must be a text of at most {REGEX_CHARACTERS_MAX} characters")
        try:
            return re.compile(given)
        except (re.error, RecursionError, OverflowError) as error:
            raise ValueError(f"the regex {given!r} is broken: {error}") from error

    def type_of(self, column: str) -> ColumnType:
        """The type of one of the kind's columns."""
        return COLUMNS[self._kind][column].type

    def _typed(self, name: str, types: tuple[ColumnType, ...]) -> str:
        if name not in COLUMNS[self._kind]:
            raise ValueError(f"a {self._kind} has no column {name[:100]!r}")
        if types and self.type_of(name) not in types:
            raise ValueError(f"{name} is a {self.type_of(name)} and this expectation takes {' or '.join(types)}")
        return name

    def applies(self) -> tuple[str | None, tuple[str, ...]]:
        """`row_condition` in the structured form as an expression."""
        if self._kwargs.get("condition_parser") not in (None, "pandas"):
            raise ValueError("condition_parser is not needed: give row_condition in its structured form")
        given = self._kwargs.get("row_condition")
        if given is None:
            return None, ()
        if not isinstance(given, dict):
            raise ValueError('row_condition must have the form {"type": "comparison", "column": {"name": …}, …}')
        if sum(1 for _ in _comparisons(given)) > CONDITIONS_MAX:
            raise ValueError(f"row_condition has more than {CONDITIONS_MAX} parts")
        return self._applies(given, inside="")

    def _applies(self, given: Mapping[str, object], *, inside: str) -> tuple[str, tuple[str, ...]]:
        form = given.get("type")
        if form in ("and", "or"):
            parts = given.get("conditions")
            if not isinstance(parts, list) or not parts or not all(isinstance(part, dict) for part in parts):
                raise ValueError(f'row_condition: "{form}" needs a list "conditions"')
            if form == "or" and inside:
                raise ValueError(f'row_condition: "or" cannot stand inside "{inside}"')
            found = [self._applies(part, inside=str(form)) for part in parts]
            return f"({f' {form} '.join(text for text, _ in found)})", tuple(
                name for _, names in found for name in names
            )
        column = given.get("column")
        name = column.get("name") if isinstance(column, dict) else None
        if not isinstance(name, str):
            raise ValueError('row_condition: "column" must be {"name": …}')
        self._typed(name, ())
        if form == "nullity" and isinstance(given.get("is_null"), bool):
            return f"({name} is {'' if given['is_null'] else 'not '}None)", (name,)
        if form != "comparison":
            raise ValueError('row_condition: "type" must be comparison, nullity, and, or')
        return self._comparison(name, given.get("operator"), given.get("parameter")), (name,)

    def _comparison(self, name: str, operator: object, parameter: object) -> str:
        plain = ["==", "!="]
        if self.type_of(name) in NUMBER:
            plain += ["<", "<=", ">", ">="]
        if operator in ("IN", "NOT_IN") and self.type_of(name) != "flag":
            if not isinstance(parameter, list) or not 0 < len(parameter) <= SET_VALUES_MAX:
                raise ValueError(f"row_condition: {operator} needs a list of values")
            for value in parameter:
                self._check_parameter(name, value)
            return f"({name} {'not ' if operator == 'NOT_IN' else ''}in {self.constant(frozenset(parameter))})"
        if operator not in plain:
            raise ValueError(f"row_condition: the operator {shown(operator)} does not go with {name}")
        self._check_parameter(name, parameter)
        comparison = f"{name} {operator} {self.constant(parameter)}"
        # Null is unequal to everything and in no order with anything.
        return f"({comparison})" if operator in ("==", "!=") else f"({name} is not None and {comparison})"

    def _check_parameter(self, name: str, value: object) -> None:
        self.check_value(name, value, "row_condition")
        # It becomes part of a query text of pandas.
        if isinstance(value, str) and not re.fullmatch(r"[^\"'\\`\x00-\x1f@]{0,100}", value):
            raise ValueError("row_condition: quotes, backslashes, @ and control characters cannot be compared with")


NUMBER: Final[tuple[ColumnType, ...]] = ("decimal", "integer")
_PAIR: Final[dict[str, Nulls]] = {
    "both_values_are_missing": "skip_all", "either_value_is_missing": "skip_any", "neither": "fail",
}  # fmt: skip
_MANY: Final[dict[str, Nulls]] = {
    "all_values_are_missing": "skip_all", "any_value_is_missing": "skip_any", "never": "fail",
}  # fmt: skip

Expression = tuple[tuple[str, ...], str, Nulls]


def _not_null(arguments: _Arguments) -> Expression:
    column = arguments.column()
    return (column,), f"{column} is not None", "asked"


def _null(arguments: _Arguments) -> Expression:
    column = arguments.column()
    return (column,), f"{column} is None", "asked"


def _between(arguments: _Arguments) -> Expression:
    column = arguments.column("column", *NUMBER)
    return (column,), _within(arguments, column, whole=arguments.type_of(column) == "integer"), "skip_any"


def _within(arguments: _Arguments, expression: str, *, whole: bool) -> str:
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


def _in_set(arguments: _Arguments) -> Expression:
    column = arguments.column()
    return (column,), f"{column} in {arguments.constant(arguments.texts_or_numbers(column))}", "skip_any"


def _not_in_set(arguments: _Arguments) -> Expression:
    column = arguments.column()
    return (column,), f"{column} not in {arguments.constant(arguments.texts_or_numbers(column))}", "skip_any"


def _match(arguments: _Arguments) -> Expression:
    column = arguments.column("column", "text")
    return (column,), f"{arguments.constant(arguments.regex().search)}({column}) is not None", "skip_any"


def _not_match(arguments: _Arguments) -> Expression:
    column = arguments.column("column", "text")
    return (column,), f"{arguments.constant(arguments.regex().search)}({column}) is None", "skip_any"


def _lengths(arguments: _Arguments) -> Expression:
    column = arguments.column("column", "text")
    return (column,), _within(arguments, f"len({column})", whole=True), "skip_any"


def _length(arguments: _Arguments) -> Expression:
    column = arguments.column("column", "text")
    length = arguments.number("value")
    if length is None:
        raise ValueError("give value")
    return (column,), f"len({column}) == {arguments.constant(length)}", "skip_any"


def _pair(arguments: _Arguments, types: tuple[ColumnType, ...] = NUMBER) -> tuple[str, str]:
    return arguments.column("column_A", *types), arguments.column("column_B", *types)


def _greater(arguments: _Arguments) -> Expression:
    one, other = _pair(arguments)
    sign = ">=" if arguments.flag("or_equal") else ">"
    return (one, other), f"{one} {sign} {other}", arguments.nulls("skip_all", _PAIR)


def _equal(arguments: _Arguments) -> Expression:
    one, other = _pair(arguments, ())
    if (arguments.type_of(one) in NUMBER) != (arguments.type_of(other) in NUMBER):
        raise ValueError(f"{one} and {other} are of different types")
    return (one, other), f"{one} == {other}", arguments.nulls("skip_all", _PAIR)


def _sum(arguments: _Arguments) -> Expression:
    # Whole numbers beside others are added in an order of their own, and exactly until one of a batch is null.
    columns = arguments.column_list()
    if len(columns) > SUMMANDS_MAX:
        raise ValueError(f"column_list must name at most {SUMMANDS_MAX} columns")
    total = arguments.number("sum_total")
    if total is None:
        raise ValueError("give sum_total")
    return tuple(columns), f"{' + '.join(columns)} == {arguments.constant(total)}", arguments.nulls("skip_all", _MANY)


def _difference(arguments: _Arguments) -> Expression:
    one, other = _pair(arguments)
    whole = {arguments.type_of(one), arguments.type_of(other)} == {"integer"}
    return (one, other), _within(arguments, f"{one} - {other}", whole=whole), arguments.nulls("skip_any", _PAIR)


def _ratio(arguments: _Arguments) -> Expression:
    one, other = _pair(arguments)
    low, high = arguments.bounds()
    parts = [] if low is None else [f"{one} >= {other} * {arguments.constant(low)}"]
    parts += [] if high is None else [f"{one} <= {other} * {arguments.constant(high)}"]
    return (one, other), " and ".join(parts), arguments.nulls("skip_any", _PAIR)


def _multiple(arguments: _Arguments) -> Expression:
    one, other = _pair(arguments)
    tolerance = arguments.constant(arguments.number("tolerance", 1e-6))
    rest = f"{one} / {other} % 1.0"
    near = f"min({rest}, 1.0 - {rest}) <= {tolerance} + {one} / {other} * 4e-16"
    # A null beside a step of zero is neither a multiple nor none.
    nulls = arguments.nulls("skip_any", {"either_value_is_missing": "skip_any"})
    return (one, other), f"({other} <= 0 or {near})", nulls


def _open_time(arguments: _Arguments) -> Expression:
    interval, opened = arguments.column("column_A", "text"), arguments.column("column_B", "integer")
    grid, ask = arguments.constant(GRID_MS.get), arguments.constant(is_on_grid)
    holds = f"({opened} % {grid}({interval}, {arguments.constant(NO_OPEN_TIME)}) == 0 or {ask}({interval}, {opened}))"
    return (interval, opened), holds, arguments.nulls("skip_any", _PAIR)


def _close_time(arguments: _Arguments) -> Expression:
    interval, opened, closed = arguments.column_list(("text",), ("integer",), ("integer",))
    length, ask = arguments.constant(LENGTHS_MS.get), arguments.constant(is_close_time)
    holds = f"({closed} - {opened} + 1 == {length}({interval}) or {ask}({interval}, {opened}, {closed}))"
    return (interval, opened, closed), holds, arguments.nulls("skip_any", _MANY)


def _difference_equal(arguments: _Arguments) -> Expression:
    difference, one, other = arguments.column_list(NUMBER, NUMBER, NUMBER)
    offset = arguments.constant(arguments.number("offset", 0.0))
    tolerance = arguments.constant(arguments.number("tolerance", 0.0))
    relative = arguments.constant(arguments.number("relative", 0.0))
    allowed = f"{tolerance} + {relative} * max(abs({one}), abs({other}))"
    holds = f"abs({one} - {other} + {offset} - {difference}) <= {allowed}"
    return (difference, one, other), holds, arguments.nulls("skip_any", _MANY)


def _product_equal(arguments: _Arguments) -> Expression:
    product, one, other = arguments.column_list(NUMBER, NUMBER, NUMBER)
    factor = arguments.constant(arguments.number("factor", 1.0))
    tolerance = arguments.constant(arguments.number("tolerance", 0.0))
    relative = arguments.constant(arguments.number("relative", 0.0))
    holds = f"abs({one} * {other} * {factor} - {product}) <= {tolerance} + {relative} * abs({product})"
    return (product, one, other), holds, arguments.nulls("skip_any", _MANY)


def _amount(arguments: _Arguments, sign: str, direction: float) -> Expression:
    amount, price, quantity, count = arguments.column_list(NUMBER, NUMBER, NUMBER, NUMBER)
    tolerance, relative = arguments.number("tolerance", 0.0), arguments.number("relative", 0.0)
    assert tolerance is not None and relative is not None, "they have defaults"  # noqa: PT018 (one thing)
    factor, each = arguments.constant(1.0 + direction * relative), arguments.constant(direction * tolerance)
    holds = f"{amount} {sign} {price} * {quantity} * {factor} + {each} * ({count} + 1)"
    return (amount, price, quantity, count), holds, arguments.nulls("skip_any", _MANY)


def _amount_at_least(arguments: _Arguments) -> Expression:
    return _amount(arguments, ">=", -1.0)


def _amount_at_most(arguments: _Arguments) -> Expression:
    return _amount(arguments, "<=", 1.0)


GATED: Final[Mapping[str, Callable[[_Arguments], Expression]]] = {
    "expect_column_values_to_not_be_null": _not_null,
    "expect_column_values_to_be_null": _null,
    "expect_column_values_to_be_between": _between,
    "expect_column_values_to_be_in_set": _in_set,
    "expect_column_values_to_not_be_in_set": _not_in_set,
    "expect_column_values_to_match_regex": _match,
    "expect_column_values_to_not_match_regex": _not_match,
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
    "expect_multicolumn_amount_to_be_at_least_product": _amount_at_least,
    "expect_multicolumn_amount_to_be_at_most_product": _amount_at_most,
}
"""Expectations that can judge a single record. Those after the sum are ours (`validation.audit.expectations`)."""


def condition_of(kind: Kind, expectation: str, kwargs: Mapping[str, object]) -> Condition:
    """What an expectation of `GATED` says of one record. Raises `ValueError` with what is wrong with its arguments."""
    arguments = _Arguments(kind, kwargs)
    columns, holds, nulls = GATED[expectation](arguments)
    applies, applies_columns = arguments.applies()
    return Condition(columns, holds, nulls, tuple(arguments.constants), applies, applies_columns)


def check_row_condition(kind: Kind, kwargs: Mapping[str, object]) -> None:
    """The same strictness for the `row_condition` of expectations that only the audit judges. Raises `ValueError`."""
    _Arguments(kind, kwargs).applies()


def columns_named(kwargs: Mapping[str, object]) -> list[str]:
    """Every column that arguments name, also inside a row condition."""
    named = [kwargs.get(name) for name in ("column", "column_A", "column_B")]
    several = [kwargs.get(name) for name in ("column_list", "column_set")]
    named += [name for names in several if isinstance(names, list) for name in names]
    row_condition = kwargs.get("row_condition")
    if isinstance(row_condition, dict):
        columns = [comparison.get("column") for comparison in _comparisons(row_condition)]
        named += [column.get("name") for column in columns if isinstance(column, dict)]
    return [name for name in named if isinstance(name, str)]


def shown(value: object) -> str:
    """As users read it, whatever they wrote."""
    try:
        text = repr(value)
    except ValueError:  # an integer of thousands of digits
        return "the number"
    return text if len(text) <= 100 else f"{text[:100]}…"


def _comparisons(row_condition: Mapping[str, object], depth: int = 0) -> Iterator[Mapping[str, object]]:
    parts = row_condition.get("conditions")
    if not isinstance(parts, list):
        yield row_condition
        return
    if depth > 2:
        raise ValueError("row_condition is nested too deep")
    for part in parts:
        if isinstance(part, dict):
            yield from _comparisons(part, depth + 1)
