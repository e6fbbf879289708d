"""Questions that are answered in place of those that were asked, so that a page is well-formed and not true. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from data_collector.model.calendar import LENGTHS_MS
from data_collector.model.grid import longest_ms
from data_collector.simulator.control.faults import RestFault
from data_collector.simulator.rest.lies import missing_positions, number_of
from data_collector.venues.binance.speaker.parameters import MICROSECONDS_FROM

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
    last, missing = number_of(body[-1]), len(missing_positions(body, fault))
    start = "startTime" if isinstance(body[-1], list) else "fromId"
    if last is None or start not in query or not missing:
        return None
    return {**query, start: str(last + 1), "limit": str(missing)}
