"""Ranges that `trades:` and `stream:` do not hold, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct, structs

from data_collector.model.calendar import Calendar, missing_range

GapReason = Literal["lost", "refused", "absent", "skipped"]
"""`lost`: existed and could not be had. `refused`: validation refused it. `absent`: the exchange itself has none.
`skipped`: passed while the collector was not running, or older than the catch-up limit."""


class Gap(Struct, frozen=True):
    """A closed range of sequence numbers of one key that the store passes over."""

    first: int
    """First trade id, or first open time in ms."""
    last: int
    count: int
    reason: GapReason
    rules: tuple[str, ...] = ()
    """Ids of the rules that refused the record; empty for other reasons."""


def explain_ids(first: int, last: int, refused: Mapping[int, tuple[str, ...]], otherwise: GapReason) -> list[Gap]:
    """Cut the hole of trade ids `first`..`last` into gaps of one reason each, in order."""
    gaps: list[Gap] = []
    position = first
    for number in sorted(number for number in refused if first <= number <= last):
        if number > position:
            gaps.append(Gap(position, number - 1, number - position, otherwise))
        rules = refused[number]
        before = gaps[-1] if gaps else None
        if before is not None and before.last == number - 1 and before.rules == rules and before.reason == "refused":
            gaps[-1] = Gap(before.first, number, before.count + 1, "refused", rules)
        else:
            gaps.append(Gap(number, number, 1, "refused", rules))
        position = number + 1
    if position <= last:
        gaps.append(Gap(position, last, last - position + 1, otherwise))
    return gaps


def add_gap(gaps: list[Gap], gap: Gap) -> None:
    """Put a gap directly behind others; of the same reason they are one."""
    before = gaps[-1] if gaps else None
    if before is not None and (before.reason, before.rules) == (gap.reason, gap.rules):
        gaps[-1] = structs.replace(before, last=gap.last, count=before.count + gap.count)
    else:
        gaps.append(gap)


def gaps_after(gaps: Sequence[Gap], last_id: int) -> list[Gap]:
    """What lies beyond `last_id` of gaps of trade ids; one that it cuts begins after it."""
    after: list[Gap] = []
    for gap in gaps:
        if gap.first > last_id:
            after.append(gap)
        elif gap.last > last_id:
            after.append(structs.replace(gap, first=last_id + 1, count=gap.last - last_id))
    return after


def explained_from(calendar: Calendar, interval: str, gaps: Sequence[Gap], first_ms: int) -> list[Gap]:
    """Gaps of open times without what lies before `first_ms`, an open time."""
    later: list[Gap] = []
    for gap in gaps:
        if gap.first >= first_ms:
            later.append(gap)
        elif gap.last >= first_ms:
            _, before = missing_range(calendar, interval, gap.first, first_ms)
            later.append(structs.replace(gap, first=first_ms, count=gap.count - before))
    return later
