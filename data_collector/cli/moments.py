"""Times as people write them on the command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from data_collector.model.calendar import MS_OF_UNIT
from data_collector.model.errors import Misconfigured

_BACK = re.compile(r"-(\d{1,6})([smhdw])")

LAST_YEAR = 2200
"""Beyond, a time in ms means a slip of the keyboard."""


def moment_ms(text: str, now_ms: int, *, option: str) -> int:
    """`2024-01-31`, `2024-01-31T12:00`, `now`, or `-30d` (also s, m, h, w); without an offset it is UTC."""
    text = text.strip()
    if text == "now":
        return now_ms
    back = _BACK.fullmatch(text)
    if back is not None:
        return max(0, now_ms - int(back[1]) * MS_OF_UNIT[back[2]])
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Misconfigured(
            f"{option} {text!r} is no time; write 2024-01-31, 2024-01-31T12:00, now, or -30d (s, m, h, d, w)."
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    if not 1970 <= moment.year <= LAST_YEAR:
        raise Misconfigured(f"{option} {text!r} is out of range; exchanges have data of 2010 and later.")
    return max(0, round(moment.timestamp() * 1000))
