"""Random suites and random rows that meet: bounds, sets and patterns are made of the same values as the rows."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from hypothesis import strategies as st
from msgspec import Struct

from data_collector.validation.columns import COLUMNS, GATE_COLUMNS, INTEGER_MAX, KINDS, ColumnType, Kind, Value
from data_collector.validation.compiler import whole
from data_collector.validation.conditions import GATED, NUMBER
from data_collector.validation.suite import Suite, parse_suite
from tests.market import NOON_MS

ROWS_MAX: Final = 10
RULES_MAX: Final = 4

Document = dict[str, object]

DECIMALS: Final = (
    0.0, -0.0, 1.0, -1.0, 0.1, 0.2, 0.3, 0.6, 2.5, 45_180.5, 45_180.51, 1e-8, 5e-324, 2.2250738585072014e-308, 1e300,
    1.7976931348623157e308, 2.0**53, 2.0**53 + 2, -100.0,
)  # fmt: skip
INTEGERS: Final = (
    0, 1, -1, 2, 3, 1_000, 60_000, -60_000, NOON_MS, NOON_MS + 60_000, NOON_MS + 59_999, 86_400_000,
    INTEGER_MAX, INTEGER_MAX - 1, -INTEGER_MAX, INTEGER_MAX + 1, 2**63, -(2**70),
)  # fmt: skip
"""What is beyond 2^53 comes to the rules clamped."""

TEXTS: Final = (
    "", "BTC", "BTCUSDT", "BTC\n", "\n", "btc", " BTC", "BTC\x00", "\x00", "١٢٣", "123", "BTC币", "币安人生USDT", "É",
    "e\u0301", "😀", "None", "nan", "<NA>", "1m", "1h", "1M", "3d", "1w", "7m", "a" * 65, "{BTC}", "B*C?", "\u2028",
)  # fmt: skip
REGEXES: Final = (
    "", "^[A-Z]+$", r"^[A-Z]+\Z", r"^\d+$", r"\s", "(BTC)", "(?i)btc", r"\bBTC\b", "(?P<coin>BTC)|ETH", ".", "^.$",
    "(?s)^.*$", r"[\s{}:*?]", "币", r"^\w+$", r"[^\x00-\x7f]", r"\x00", "^$", "BTC(?=USDT)", "(B)(T)(C)?", "(?:a{65})", "é",
)  # fmt: skip


class Pool(Struct, frozen=True):
    """The values that one example is made of."""

    decimal: tuple[float, ...]
    integer: tuple[int, ...]
    text: tuple[str, ...]

    def values(self, column_type: ColumnType) -> Sequence[Value]:
        """Those of a column's type."""
        by_type: Mapping[ColumnType, Sequence[Value]] = {
            "decimal": self.decimal, "integer": self.integer, "text": self.text, "flag": (True, False),
        }  # fmt: skip
        return by_type[column_type]


class Example(Struct, frozen=True):
    """A suite and rows to judge by it."""

    suite: Suite
    rows: list[list[Value]]


def _with_neighbours(numbers: Sequence[float]) -> tuple[float, ...]:
    near = [math.nextafter(number, towards) for number in numbers for towards in (-math.inf, math.inf)]
    return (*numbers, *(number for number in near if math.isfinite(number)))


def pools() -> st.SearchStrategy[Pool]:
    """Few values, so that equal ones meet, with what lies one step beside them."""
    decimals = st.lists(st.sampled_from(DECIMALS) | st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=5)
    integers = st.lists(st.sampled_from(INTEGERS) | st.integers(-(2**54), 2**54), min_size=2, max_size=5)
    texts = st.lists(st.sampled_from(TEXTS) | st.text(st.characters(codec="utf-8"), max_size=6), min_size=2, max_size=6)
    return st.builds(
        Pool,
        decimal=decimals.map(_with_neighbours),
        integer=integers.map(lambda numbers: tuple(near for number in numbers for near in (number - 1, number, number + 1))),
        text=texts.map(tuple),
    )


def cells(pool: Pool, column_type: ColumnType) -> st.SearchStrategy[Value]:
    """A value of a column, now and then null."""
    given: st.SearchStrategy[Value] = st.sampled_from(pool.values(column_type))
    if column_type == "integer":
        given = st.sampled_from([whole(number) for number in pool.integer])
    if column_type == "decimal":
        given |= st.sampled_from([math.inf, -math.inf])
    return st.none() | given | given | given


@st.composite
def examples(draw: st.DrawFn) -> Example:
    """A kind, a suite of it that the strict reader takes, and rows."""
    kind = draw(st.sampled_from(KINDS))
    pool = draw(pools())
    rules = draw(st.lists(rule_bodies(kind, pool), min_size=1, max_size=RULES_MAX))
    document = {"name": kind, "expectations": [rule | {"meta": {"rule_id": f"rule_{i}"}} for i, rule in enumerate(rules)]}
    used = _columns_of(kind, str(document))
    rows = draw(st.lists(_rows(kind, pool, used), max_size=ROWS_MAX))
    return Example(parse_suite(kind, document, source="user", origin="the example"), rows)


def _columns_of(kind: Kind, text: str) -> set[str]:
    return {name for name in GATE_COLUMNS[kind] if f"'{name}'" in text}


def _rows(kind: Kind, pool: Pool, used: set[str]) -> st.SearchStrategy[list[Value]]:
    """Columns that no rule names hold null: drawing them would cost time and prove nothing."""
    return st.tuples(
        *(cells(pool, COLUMNS[kind][name].type) if name in used else st.none() for name in GATE_COLUMNS[kind])
    ).map(list)


@st.composite
def rule_bodies(draw: st.DrawFn, kind: Kind, pool: Pool) -> Document:
    """An expectation of those that single records are judged by, with valid arguments."""
    expectation = draw(st.sampled_from(sorted(ARGUMENTS)))
    kwargs = dict(draw(ARGUMENTS[expectation](kind, pool)))
    if draw(st.integers(0, 2)) == 0:
        kwargs["row_condition"] = draw(row_conditions(kind, pool))
    return {
        "type": expectation,
        "kwargs": kwargs,
        "severity": draw(st.sampled_from(["critical", "warning", "info"])),
        "description": "It holds.",
    }


def names(kind: Kind, *types: ColumnType) -> st.SearchStrategy[str]:
    """Columns of a type, any type without."""
    return st.sampled_from([n for n in GATE_COLUMNS[kind] if not types or COLUMNS[kind][n].type in types])


def constants(pool: Pool, column_type: ColumnType) -> st.SearchStrategy[Value]:
    """What a column may be compared with."""
    fitting = [value for value in pool.values(column_type) if _is_constant(value)]
    return st.sampled_from(fitting or [0])


def _is_constant(value: Value) -> bool:
    return isinstance(value, str | bool) or (value is not None and abs(value) <= INTEGER_MAX)


def numbers(pool: Pool) -> st.SearchStrategy[float]:
    """Bounds: of either type, whatever column they are for."""
    fitting = [number for number in pool.decimal if abs(number) <= 2.0**1000]
    return st.sampled_from([*fitting, *(number for number in pool.integer if abs(number) <= INTEGER_MAX), 0])


@st.composite
def bounds(draw: st.DrawFn, of: st.SearchStrategy[float], *, strict: bool = True) -> Document:
    """One bound or both, open or closed."""
    low, high = sorted([draw(of), draw(of)])
    given: Document = {}
    which = draw(st.sampled_from(["min", "max", "both"]))
    if which != "max":
        given["min_value"] = low
    if which != "min":
        given["max_value"] = high
    if strict:
        given |= draw(st.fixed_dictionaries({}, optional={"strict_min": st.booleans(), "strict_max": st.booleans()}))
    return given


PAIR_NULLS: Final = ("both_values_are_missing", "either_value_is_missing", "neither")
MANY_NULLS: Final = ("all_values_are_missing", "any_value_is_missing", "never")


def nulls(choices: Sequence[str]) -> st.SearchStrategy[Document]:
    """`ignore_row_if`, or its default."""
    return st.fixed_dictionaries({}, optional={"ignore_row_if": st.sampled_from(choices)})


def _joined(*parts: st.SearchStrategy[Document]) -> st.SearchStrategy[Document]:
    return st.tuples(*parts).map(lambda found: {name: value for part in found for name, value in part.items()})


def _column(kind: Kind, *types: ColumnType) -> st.SearchStrategy[Document]:
    return st.fixed_dictionaries({"column": names(kind, *types)})


def _pair(kind: Kind, *types: ColumnType) -> st.SearchStrategy[Document]:
    return st.fixed_dictionaries({"column_A": names(kind, *types), "column_B": names(kind, *types)})


def _between(kind: Kind, pool: Pool) -> st.SearchStrategy[Document]:
    return _joined(_column(kind, *NUMBER), bounds(numbers(pool)))


def _set(kind: Kind, pool: Pool) -> st.SearchStrategy[Document]:
    def with_values(name: str) -> st.SearchStrategy[Document]:
        values = st.lists(constants(pool, COLUMNS[kind][name].type), max_size=5)
        return st.fixed_dictionaries({"column": st.just(name), "value_set": values})

    return names(kind).flatmap(with_values)


def _regex(kind: Kind, pool: Pool) -> st.SearchStrategy[Document]:
    patterns = st.sampled_from(REGEXES) | st.sampled_from([re.escape(text) for text in pool.text])
    return _joined(_column(kind, "text"), st.fixed_dictionaries({"regex": patterns}))


def _lengths(kind: Kind, pool: Pool) -> st.SearchStrategy[Document]:
    return _joined(_column(kind, "text"), bounds(st.sampled_from([len(text) for text in pool.text] + [0, 1])))


def _length(kind: Kind, pool: Pool) -> st.SearchStrategy[Document]:
    values = st.sampled_from([len(text) for text in pool.text])
    return _joined(_column(kind, "text"), st.fixed_dictionaries({"value": values}))


def _greater(kind: Kind, _: Pool) -> st.SearchStrategy[Document]:
    flag = st.fixed_dictionaries({}, optional={"or_equal": st.booleans()})
    return _joined(_pair(kind, *NUMBER), flag, nulls(PAIR_NULLS))


def _equal(kind: Kind, _: Pool) -> st.SearchStrategy[Document]:
    texts: tuple[ColumnType, ...] = ("text", "flag")
    return _joined(_pair(kind, *NUMBER) | _pair(kind, *texts), nulls(PAIR_NULLS))


def _sum(kind: Kind, pool: Pool) -> st.SearchStrategy[Document]:
    columns = st.lists(names(kind, *NUMBER), min_size=2, max_size=7, unique=True)
    totals = numbers(pool) | st.tuples(numbers(pool), numbers(pool)).map(sum).filter(_is_constant)
    return _joined(st.fixed_dictionaries({"column_list": columns, "sum_total": totals}), nulls(MANY_NULLS))


ARGUMENTS: Final[Mapping[str, Callable[[Kind, Pool], st.SearchStrategy[Document]]]] = {
    "expect_column_values_to_not_be_null": lambda kind, _: _column(kind),
    "expect_column_values_to_be_null": lambda kind, _: _column(kind),
    "expect_column_values_to_be_between": _between,
    "expect_column_values_to_be_in_set": _set,
    "expect_column_values_to_not_be_in_set": _set,
    "expect_column_values_to_match_regex": _regex,
    "expect_column_values_to_not_match_regex": _regex,
    "expect_column_value_lengths_to_be_between": _lengths,
    "expect_column_value_lengths_to_equal": _length,
    "expect_column_pair_values_a_to_be_greater_than_b": _greater,
    "expect_column_pair_values_to_be_equal": _equal,
    "expect_multicolumn_sum_to_equal": _sum,
}


def row_conditions(kind: Kind, pool: Pool) -> st.SearchStrategy[Document]:
    """As far as the strict reader goes: "and" anywhere, "or" outermost."""
    leaf = _comparisons(kind, pool) | _nullities(kind)
    both = _group("and", leaf)
    return leaf | both | _group("and", leaf | both) | _group("or", leaf | both)


def _group(form: str, parts: st.SearchStrategy[Document]) -> st.SearchStrategy[Document]:
    return st.fixed_dictionaries({"type": st.just(form), "conditions": st.lists(parts, min_size=1, max_size=3)})


def _nullities(kind: Kind) -> st.SearchStrategy[Document]:
    return st.fixed_dictionaries(
        {"type": st.just("nullity"), "column": st.fixed_dictionaries({"name": names(kind)}), "is_null": st.booleans()}
    )


@st.composite
def _comparisons(draw: st.DrawFn, kind: Kind, pool: Pool) -> Document:
    name = draw(names(kind))
    column_type = COLUMNS[kind][name].type
    operators = ["==", "!="]
    if column_type in NUMBER:
        operators += ["<", "<=", ">", ">="]
    if column_type != "flag":
        operators += ["IN", "NOT_IN"]
    operator = draw(st.sampled_from(operators))
    fitting = constants(pool, column_type).filter(_is_comparable)
    parameter = draw(st.lists(fitting, min_size=1, max_size=4) if operator in {"IN", "NOT_IN"} else fitting)
    return {"type": "comparison", "column": {"name": name}, "operator": operator, "parameter": parameter}


def _is_comparable(value: Value) -> bool:
    """It becomes part of a query text of pandas, so the reader takes plain texts only."""
    return not isinstance(value, str) or re.fullmatch(r"[^\"'\\`\x00-\x1f@]{0,100}", value) is not None
