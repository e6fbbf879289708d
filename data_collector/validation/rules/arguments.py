"""The arguments of an expectation, read strictly: what is wrong with one is a sentence, never an exception later."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, Literal

from data_collector.validation.rules.columns import COLUMNS, INTEGER_MAX, ColumnType, Kind
from data_collector.validation.rules.patterns import Pattern

Nulls = Literal["skip_any", "skip_all", "fail", "asked"]
"""What becomes of a row with nulls: passed when any or all of the columns are null, never passed, or asked about."""

CONDITIONS_MAX: Final = 100
SET_VALUES_MAX: Final = 10_000
REGEX_CHARACTERS_MAX: Final = 1_000
DECIMAL_MAX: Final = 2.0**1000
NUMBER: Final[tuple[ColumnType, ...]] = ("decimal", "integer")


class Arguments:
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

    def regex(self) -> Pattern:
        """`regex`, compiled: Great Expectations would take a broken one, and fail with every batch."""
        given = self._kwargs.get("regex")
        if not isinstance(given, str) or len(given) > REGEX_CHARACTERS_MAX:
            raise ValueError(f"regex must be a text of at most {REGEX_CHARACTERS_MAX} characters")
        return Pattern(given)

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
    """A value as users read it, whatever they wrote."""
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
