"""Rows for the rules from records as people have them: the JSON of docs/api.md, with whatever is known beside it.

A row may lack anything; what is missing is null, and a rule about presence says so. What has the wrong type is no row.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

import msgspec
from msgspec import Struct, defstruct

from data_collector.model.calendar import UtcCalendar
from data_collector.model.channels import CHANNELS
from data_collector.validation.gate.compiler import whole
from data_collector.validation.rules.columns import COLUMNS, GATE_COLUMNS, KINDS, ColumnType, Kind, Value

_TYPES: dict[ColumnType, object] = {
    "text": str | None, "decimal": float | None, "integer": int | None, "flag": bool | None,
}  # fmt: skip

ROW_TYPES: dict[Kind, type[Struct]] = {
    kind: defstruct(
        f"{kind.capitalize()}Row",
        [("timestamp", str | None, None)]
        + [(name, _TYPES[COLUMNS[kind][name].type], None) for name in GATE_COLUMNS[kind]],
    )
    for kind in KINDS
}
"""Per kind what a row is decoded into: the record's keys and the columns beside them, each of which may be missing."""

_calendar = UtcCalendar()


def values_of_row(kind: Kind, row: Struct) -> list[Value]:
    """A decoded row's values in the order of `GATE_COLUMNS`; times are filled in from `timestamp`."""
    given: dict[str, Value] = msgspec.structs.asdict(row)
    timestamp = given.pop("timestamp")
    time_column = CHANNELS[kind].time
    if given[time_column] is None and isinstance(timestamp, str):
        given[time_column] = _milliseconds(timestamp)
    if kind == "kline" and given["close_ms"] is None:
        given["close_ms"] = _close_ms(given["interval"], given["open_ms"])
    return [_as_column(given[name], COLUMNS[kind][name].type) for name in GATE_COLUMNS[kind]]


def _as_column(value: Value, column_type: ColumnType) -> Value:
    if column_type == "decimal" and isinstance(value, int | float):
        number = float(value)
        return None if math.isnan(number) else number
    return whole(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _milliseconds(timestamp: str) -> int | None:
    try:
        moment = datetime.fromisoformat(timestamp)
        return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def _close_ms(interval: Value, open_ms: Value) -> int | None:
    if not isinstance(interval, str) or not isinstance(open_ms, int):
        return None
    try:
        return _calendar.next_open_ms(interval, open_ms) - 1
    except (ValueError, KeyError, OverflowError, OSError):
        return None
