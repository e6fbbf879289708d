"""Which rows of a frame a `row_condition` selects: our own count, which that of Great Expectations is held against."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Final

import numpy as np
from pandas import DataFrame

from data_collector.validation.audit.memory import Column, Mask

_COMPARED: Final[Mapping[str, np.ufunc]] = {
    "==": np.equal, "!=": np.not_equal, "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal,
}  # fmt: skip


def selected(condition: object, frame: DataFrame) -> Mask:
    """One flag a row. Null is unequal to everything and in no order with anything."""
    if not isinstance(condition, dict):
        return np.ones(len(frame), dtype=np.bool_)
    form = condition["type"]
    if form in ("and", "or"):
        masks = [selected(part, frame) for part in condition["conditions"]]
        return reduce(np.logical_and if form == "and" else np.logical_or, masks)
    column = frame[condition["column"]["name"]].to_numpy()
    if form == "nullity":
        return _is_null(column) if condition["is_null"] else ~_is_null(column)
    sign, parameter = condition["operator"], condition["parameter"]
    if sign in ("IN", "NOT_IN"):
        chosen = frozenset(parameter)
        return np.array([(value in chosen) == (sign == "IN") for value in column.tolist()], dtype=np.bool_)
    return np.array(_COMPARED[sign](column, parameter), dtype=np.bool_)


def _is_null(column: Column) -> Mask:
    return np.array([value is None or value != value for value in column.tolist()], dtype=np.bool_)  # noqa: PLR0124
