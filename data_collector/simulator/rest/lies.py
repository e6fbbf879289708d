"""What a REST answer looks like that is well-formed and not true. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from data_collector.model.calendar import LENGTHS_MS
from data_collector.model.grid import longest_ms
from data_collector.simulator.control.faults import RestFault
from data_collector.simulator.rest.parameters import MICROSECONDS_FROM

OVERLAP_STEP_MS = 1000
"""How far a row of an overlap lies back where the question names a time and no interval."""


def lying_query(query: Mapping[str, str], fault: RestFault, now_ms: int) -> Mapping[str, str]:
    """The question that is answered in place of the one that was asked."""
    first, start = query.get("fromId", ""), query.get("startTime", "")
    if fault.kind == "newest" and start.isascii() and start.isdigit():
        oldest_ms = max(0, now_ms - fault.span * longest_ms(query.get("interval", "")))
        return {**query, "startTime": str(max(oldest_ms, int(start)))}
    if fault.kind != "overlap":
        return query
    if first.isascii() and first.isdigit():
        return {**query, "fromId": str(max(0, int(first) - fault.span))}
    if start.isascii() and start.isdigit():
        unit = 1000 if int(start) >= MICROSECONDS_FROM else 1
        back = fault.span * LENGTHS_MS.get(query.get("interval", ""), OVERLAP_STEP_MS) * unit
        return {**query, "startTime": str(max(0, int(start) - back))}
    return query


def filling_query(query: Mapping[str, str], body: object, fault: RestFault) -> Mapping[str, str] | None:
    """The question for the rows that come after a page, to fill it up where some are left out; None for no question.

    Without them the page would tell by its length that something is missing.
    """
    if fault.kind != "missing" or not isinstance(body, list) or not body:
        return None
    last, missing = _number(body[-1]), len(_missing_positions(body, fault))
    start = "startTime" if isinstance(body[-1], list) else "fromId"
    if last is None or start not in query or not missing:
        return None
    return {**query, start: str(last + 1), "limit": str(missing)}


def _missing_positions(rows: list[object], fault: RestFault) -> Collection[int]:
    if fault.within is None:
        first = max(0, (len(rows) - fault.span) // 2)
        return range(first, min(first + fault.span, len(rows)))
    lowest, highest = fault.within
    numbers = enumerate(map(_number, rows))
    return [position for position, number in numbers if number is not None and lowest <= number <= highest]


def _altered_positions(rows: list[object], fault: RestFault) -> Collection[int]:
    if fault.within is not None:
        return _missing_positions(rows, fault)
    return range(len(rows)) if fault.row is None else (fault.row % max(1, len(rows)),)


def _number(row: object) -> int | None:
    """What rows are found by: an id, or the open time of a kline."""
    match row:
        case {"id": int(number)} | {"a": int(number)} | [int(number), *_]:
            return number
        case _:
            return None


def lying_body(body: object, fault: RestFault) -> object:
    """The answer, made untrue. Only lists can be cut and mixed up; objects can be altered."""
    if not isinstance(body, list):
        return _altered(body, fault) if fault.kind == "alter" else body
    middle = len(body) // 2
    match fault.kind:
        case "short":
            return body[: len(body) - middle]
        case "shuffle":
            return [*body[: max(0, middle - 1)], *reversed(body[max(0, middle - 1) : middle + 1]), *body[middle + 1 :]]
        case "missing":
            missing = _missing_positions(body, fault)
            return [row for position, row in enumerate(body) if position not in missing]
        case "alter":
            hit = _altered_positions(body, fault)
            return [_altered(row, fault) if position in hit else row for position, row in enumerate(body)]
        case _:
            return body


def _altered(row: object, fault: RestFault) -> object:
    if isinstance(row, list):
        return [_value(str(position), before, fault) for position, before in enumerate(row)]
    if isinstance(row, dict):
        changed = {key: _value(key, before, fault) for key, before in row.items()}
        return {**changed, **{key: value for key, value in fault.set.items() if key not in row}}
    return row


def _value(key: str, before: object, fault: RestFault) -> object:
    if key in fault.set:
        return fault.set[key]
    return before + fault.add[key] if key in fault.add and isinstance(before, int) else before
