"""Valid arguments for every expectation that single records are judged by, made of the values of the rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from hypothesis import strategies as st

from data_collector.validation.rules.arguments import NUMBER
from data_collector.validation.rules.columns import COLUMNS, GATE_COLUMNS, INTEGER_MAX, ColumnType, Kind, Value
from tests.differential.values import REGEXES, Pool

Document = dict[str, object]


def _given(arguments: Mapping[str, st.SearchStrategy[object]]) -> st.SearchStrategy[Document]:
    return st.fixed_dictionaries(arguments)


def _optional_of(arguments: Mapping[str, st.SearchStrategy[object]]) -> st.SearchStrategy[Document]:
    return st.fixed_dictionaries({}, optional=arguments)


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
        given |= draw(_optional_of({"strict_min": st.booleans(), "strict_max": st.booleans()}))
    return given


PAIR_NULLS: Final = ("both_values_are_missing", "either_value_is_missing", "neither")
MANY_NULLS: Final = ("all_values_are_missing", "any_value_is_missing", "never")


def nulls(choices: Sequence[str]) -> st.SearchStrategy[Document]:
    """`ignore_row_if`, or its default."""
    return _optional_of({"ignore_row_if": st.sampled_from(choices)})


def _joined(*parts: st.SearchStrategy[Document]) -> st.SearchStrategy[Document]:
    return st.tuples(*parts).map(lambda found: {name: value for part in found for name, value in part.items()})


def _column(kind: Kind, *types: ColumnType) -> st.SearchStrategy[Document]:
    return _given({"column": names(kind, *types)})


def _pair(kind: Kind, *types: ColumnType) -> st.SearchStrategy[Document]:
    return _given({"column_A": names(kind, *types), "column_B": names(kind, *types)})


def _between(kind: Kind, pool: Pool) -> st.SearchStrategy[Document]:
    return _bounded(kind, _column(kind, *NUMBER), numbers(pool))


def _bounded(
    kind: Kind, columns: st.SearchStrategy[Document], of: st.SearchStrategy[float]
) -> st.SearchStrategy[Document]:
    """Bounds of whole numbers lie within 2^53: beyond, the reader refuses them."""

    def with_bounds(named: Document) -> st.SearchStrategy[Document]:
        whole = {COLUMNS[kind][str(name)].type for name in named.values()} == {"integer"}
        return _joined(st.just(named), bounds(of.filter(_is_constant) if whole else of))

    return columns.flatmap(with_bounds)


def _set(kind: Kind, pool: Pool) -> st.SearchStrategy[Document]:
    def with_values(name: str) -> st.SearchStrategy[Document]:
        values = st.lists(constants(pool, COLUMNS[kind][name].type), max_size=5)
        return _given({"column": st.just(name), "value_set": values})

    return names(kind).flatmap(with_values)


def _regex(kind: Kind, pool: Pool) -> st.SearchStrategy[Document]:
    patterns = st.sampled_from(REGEXES) | st.sampled_from([re.escape(text) for text in pool.text])
    return _joined(_column(kind, "text"), _given({"regex": patterns}))


def _lengths(kind: Kind, pool: Pool) -> st.SearchStrategy[Document]:
    return _joined(_column(kind, "text"), bounds(st.sampled_from([len(text) for text in pool.text] + [0, 1])))


def _length(kind: Kind, pool: Pool) -> st.SearchStrategy[Document]:
    values = st.sampled_from([len(text) for text in pool.text])
    return _joined(_column(kind, "text"), _given({"value": values}))


def _greater(kind: Kind, _: Pool) -> st.SearchStrategy[Document]:
    flag = _optional_of({"or_equal": st.booleans()})
    return _joined(_pair(kind, *NUMBER), flag, nulls(PAIR_NULLS))


def _equal(kind: Kind, _: Pool) -> st.SearchStrategy[Document]:
    texts: tuple[ColumnType, ...] = ("text", "flag")
    return _joined(_pair(kind, *NUMBER) | _pair(kind, *texts), nulls(PAIR_NULLS))


def _sum(kind: Kind, pool: Pool) -> st.SearchStrategy[Document]:
    columns = st.lists(names(kind, "decimal"), min_size=2, max_size=7, unique=True)
    totals = numbers(pool) | st.tuples(numbers(pool), numbers(pool)).map(sum).filter(_is_constant)
    return _joined(_given({"column_list": columns, "sum_total": totals}), nulls(MANY_NULLS))


def _close(pool: Pool) -> st.SearchStrategy[float]:
    return st.sampled_from([0, 1, 0.5, 1e-9, 1e-6, 1e-4, 60_000, *(abs(n) for n in pool.decimal if abs(n) < 1e20)])


def _optional(**arguments: st.SearchStrategy[float]) -> st.SearchStrategy[Document]:
    return _optional_of(arguments)


def _difference(kind: Kind, pool: Pool) -> st.SearchStrategy[Document]:
    return _joined(_bounded(kind, _pair(kind, *NUMBER), numbers(pool) | _close(pool)), nulls(PAIR_NULLS))


def _ratio(kind: Kind, pool: Pool) -> st.SearchStrategy[Document]:
    return _joined(_pair(kind, *NUMBER), bounds(numbers(pool) | _close(pool), strict=False), nulls(PAIR_NULLS))


def _multiple(kind: Kind, pool: Pool) -> st.SearchStrategy[Document]:
    return _joined(_pair(kind, *NUMBER), _optional(tolerance=_close(pool)), nulls(PAIR_NULLS[1:2]))


def _open_time(kind: Kind, _: Pool) -> st.SearchStrategy[Document]:
    columns = _given({"column_A": names(kind, "text"), "column_B": names(kind, "integer")})
    return _joined(columns, nulls(PAIR_NULLS))


def _close_time(kind: Kind, _: Pool) -> st.SearchStrategy[Document]:
    times = st.lists(names(kind, "integer"), min_size=2, max_size=2, unique=True)
    columns = st.tuples(names(kind, "text"), times).map(lambda found: [found[0], *found[1]])
    return _joined(_given({"column_list": columns}), nulls(MANY_NULLS))


def _several(kind: Kind, count: int) -> st.SearchStrategy[Document]:
    columns = st.lists(names(kind, *NUMBER), min_size=count, max_size=count, unique=True)
    return _given({"column_list": columns})


def _difference_equal(kind: Kind, pool: Pool) -> st.SearchStrategy[Document]:
    near = _close(pool)
    optional = _optional(offset=near | numbers(pool), tolerance=near, relative=near)
    return _joined(_several(kind, 3), optional, nulls(MANY_NULLS))


def _product_equal(kind: Kind, pool: Pool) -> st.SearchStrategy[Document]:
    near = _close(pool)
    optional = _optional(factor=near | numbers(pool), tolerance=near, relative=near)
    return _joined(_several(kind, 3), optional, nulls(MANY_NULLS))


def _amount(kind: Kind, pool: Pool) -> st.SearchStrategy[Document]:
    near = _close(pool)
    return _joined(_several(kind, 4), _optional(tolerance=near, relative=near), nulls(MANY_NULLS))


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
    "expect_column_pair_difference_to_be_between": _difference,
    "expect_column_pair_ratio_to_be_between": _ratio,
    "expect_column_pair_values_to_be_multiple": _multiple,
    "expect_column_pair_open_time_to_fit_interval": _open_time,
    "expect_multicolumn_close_time_to_fit_interval": _close_time,
    "expect_multicolumn_difference_to_equal": _difference_equal,
    "expect_multicolumn_product_to_equal": _product_equal,
    "expect_multicolumn_amount_to_be_at_least_product": _amount,
    "expect_multicolumn_amount_to_be_at_most_product": _amount,
}


def row_conditions(kind: Kind, pool: Pool) -> st.SearchStrategy[Document]:
    """As far as the strict reader goes: "and" anywhere, "or" outermost."""
    leaf = _comparisons(kind, pool) | _nullities(kind)
    both = _group("and", leaf)
    return leaf | both | _group("and", leaf | both) | _group("or", leaf | both)


def _group(form: str, parts: st.SearchStrategy[Document]) -> st.SearchStrategy[Document]:
    return _given({"type": st.just(form), "conditions": st.lists(parts, min_size=1, max_size=3)})


def _nullities(kind: Kind) -> st.SearchStrategy[Document]:
    return _given({"type": st.just("nullity"), "column": _given({"name": names(kind)}), "is_null": st.booleans()})


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
