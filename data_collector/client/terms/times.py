"""Points in time as users write them: aware datetimes, ISO texts, days, `-30d`, or milliseconds."""

from __future__ import annotations

import re
import time
from datetime import datetime
from operator import index
from typing import SupportsIndex

from data_collector.client.errors import WrongQuestion
from data_collector.client.records import ms_of
from data_collector.model.calendar import LATEST_MS, MS_OF_UNIT

Time = datetime | str | int
"""An int is milliseconds since 1970, a day without a time is its midnight in UTC."""

_AGO = re.compile(r"-(\d{1,9})([smhdw])", re.ASCII)
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


def now_ms() -> int:
    """By this machine's clock."""
    return time.time_ns() // 1_000_000


def _ms_of_text(name: str, text: str, now_ms: int) -> int:
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return now_ms - int(ago[1]) * MS_OF_UNIT[ago[2]]
    whole = f"{text}T00:00:00+00:00" if _DAY.fullmatch(text) else text
    try:
        moment = datetime.fromisoformat(whole)
    except ValueError:
        raise WrongQuestion(f"{name}={text!r} is no time: {_FORMS}.") from None
    return _ms_of_aware(name, moment)


def _ms_of_aware(name: str, moment: datetime) -> int:
    if moment.utcoffset() is None:
        raise WrongQuestion(
            f"{name}={moment.isoformat()!r} has no time zone, so nobody can tell which moment is meant: "
            "write +00:00 behind it, or give the datetime tzinfo=timezone.utc."
        )
    ms = ms_of(moment)
    return ms + 1 if moment.microsecond % 1000 else ms
