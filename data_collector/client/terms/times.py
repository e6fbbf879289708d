"""Points in time as users write them: aware datetimes, ISO texts, days, `-30d`, or milliseconds."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta
from operator import index
from typing import SupportsIndex

from data_collector.client.errors import WrongQuestion
from data_collector.client.records import ms_of
from data_collector.model.calendar import LATEST_MS, MS_OF_UNIT

Time = datetime | str | int
"""An int is milliseconds since 1970, a day without a time is its midnight in UTC."""

Duration = timedelta | str | int
"""`1d`, `12h`, `30m`; an int is milliseconds."""

_DURATION = re.compile(r"(\d{1,9})([smhdw])", re.ASCII)
_MILLISECOND = timedelta(milliseconds=1)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_FORMS = "write 2024-01-31, 2024-01-31T12:00:00+00:00, -30d, an aware datetime, or milliseconds since 1970"


def time_ms(name: str, value: object, now_ms: int) -> int:
    """Milliseconds since 1970, a part of one counts as a whole; `name` is the parameter's. Raises `WrongQuestion`."""
    match value:
        case datetime():
            ms = _ms_of_aware(name, value)
        case str():
            ms = _ms_of_text(name, value, now_ms)
        case SupportsIndex():
            ms = index(value)
        case _:
            raise WrongQuestion(f"{name}={value!r} is no time: {_FORMS}.")
    if not 0 <= ms <= LATEST_MS:
        raise WrongQuestion(f"{name}={value!r} lies outside of the years 1970 to 9999.")
    return ms


def duration_ms(name: str, value: object) -> int:
    """Milliseconds, a part of one counts as a whole. Raises `WrongQuestion`."""
    match value:
        case timedelta():
            ms: int | None = -(-value // _MILLISECOND)
        case str():
            ms = _ms_of_length(value)
        case SupportsIndex():
            ms = index(value)
        case _:
            ms = None
    if ms is None or ms < 0:
        raise WrongQuestion(f"{name}={value!r} is no length of time: write 30m, 12h, 1d, a timedelta, or milliseconds.")
    return ms


def now_ms() -> int:
    """By this machine's clock."""
    return time.time_ns() // 1_000_000


def _ms_of_text(name: str, text: str, now_ms: int) -> int:
    ago_ms = _ms_of_length(text.removeprefix("-")) if text.startswith("-") else None
    if ago_ms is not None:
        return now_ms - ago_ms
    whole = f"{text}T00:00:00+00:00" if _DAY.fullmatch(text) else text
    try:
        moment = datetime.fromisoformat(whole)
    except ValueError:
        raise WrongQuestion(f"{name}={text!r} is no time: {_FORMS}.") from None
    return _ms_of_aware(name, moment)


def _ms_of_length(text: str) -> int | None:
    found = _DURATION.fullmatch(text)
    return None if found is None else int(found[1]) * MS_OF_UNIT[found[2]]


def _ms_of_aware(name: str, moment: datetime) -> int:
    if moment.utcoffset() is None:
        raise WrongQuestion(
            f"{name}={moment.isoformat()!r} has no time zone, so nobody can tell which moment is meant: "
            "write +00:00 behind it, or give the datetime tzinfo=timezone.utc."
        )
    ms = ms_of(moment)
    return ms + 1 if moment.microsecond % 1000 else ms
