"""What a REST answer looks like that is well-formed and not true. Pure."""

from __future__ import annotations

from collections.abc import Collection

from data_collector.simulator.control.faults import RestFault


def missing_positions(rows: list[object], fault: RestFault) -> Collection[int]:
    """Which rows of a page are left out."""
    if fault.within is None:
        first = max(0, (len(rows) - fault.span) // 2)
        return range(first, min(first + fault.span, len(rows)))
    lowest, highest = fault.within
    numbers = enumerate(map(number_of, rows))
    return [position for position, number in numbers if number is not None and lowest <= number <= highest]


def _altered_positions(rows: list[object], fault: RestFault) -> Collection[int]:
    if fault.within is not None:
        return missing_positions(rows, fault)
    return range(len(rows)) if fault.row is None else (fault.row % max(1, len(rows)),)


def number_of(row: object) -> int | None:
    """What rows are found by: an id, or the open time of a kline; in lists it stands first, or last."""
    match row:
        case {"id": found} | {"trade_id": found} | {"tradeId": found} | {"a": found}:
            return _whole(found)
        case [int(number), *_] | [*_, int(number)]:
            return number
        case [first, *_]:
            return _whole(first)
        case _:
            return None


def _whole(value: object) -> int | None:
    """Of a number, or of one that is written as text."""
    if isinstance(value, str):
        return int(value) if value.isdecimal() else None
    return value if isinstance(value, int) else None


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
            missing = missing_positions(body, fault)
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
