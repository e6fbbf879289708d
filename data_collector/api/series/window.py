"""What a reader asks of a series: which symbol, from when, until when; faults are sentences that name the parameter."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from msgspec import Struct

from data_collector.model.calendar import INTERVALS, LATEST_MS
from data_collector.model.grid import longest_ms

_OFFSET_WITHOUT_PLUS = len("2024-01-01T12:00:00 00:00")


class WrongParameter(Exception):
    """Its message is the sentence."""


class Window(Struct, frozen=True):
    """A stretch of one series, by the times of its records."""

    symbol: str
    interval: str = ""
    """Empty for trades."""
    from_ms: int = 0
    to_ms: int = LATEST_MS
    """Not included."""
    epoch: int = 0
    """In which trade ids are unique."""

    def holds(self, time_ms: int) -> bool:
        return self.from_ms <= time_ms < self.to_ms


def smallest(intervals: Sequence[str]) -> str:
    """Of those that are collected. Raises `WrongParameter` without one."""
    if not intervals:
        raise WrongParameter("interval: none is collected here; name one, such as 1m.")
    return min(intervals, key=longest_ms)


def window_of(symbol: str, interval: str | None, from_text: str | None, to_text: str | None) -> Window:
    """The stretch that is asked for, without `interval` of trades. Raises `WrongParameter`."""
    if interval is not None and interval not in INTERVALS:
        raise WrongParameter("interval: exchanges have intervals such as 1m, 5m, 1h, 1d and 1M (m is minute, M month).")
    from_ms = 0 if from_text is None else _time_ms("from", from_text)
    to_ms = LATEST_MS if to_text is None else _time_ms("to", to_text)
    if from_ms > to_ms:
        raise WrongParameter("from: it lies after `to`.")
    return Window(symbol, interval or "", from_ms, to_ms)


def _time_ms(name: str, text: str) -> int:
    """Milliseconds since 1970, or ISO-8601, UTC where it has no offset. A part of a millisecond counts as a whole."""
    if text.isascii() and text.isdigit() and len(text) > 8:
        ms = int(text)
    else:
        # A plus sign that was not escaped is a space in a URL.
        mended = f"{text[:-6]}+{text[-5:]}" if len(text) >= _OFFSET_WITHOUT_PLUS and text[-6] == " " else text
        try:
            time = datetime.fromisoformat(mended)
        except ValueError:
            raise WrongParameter(
                f"{name}: write a time as 2024-01-31, 2024-01-31T12:00:00Z, or in milliseconds since 1970."
            ) from None
        aware = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
        since = aware - datetime(1970, 1, 1, tzinfo=UTC)
        ms = (since.days * 86_400 + since.seconds) * 1000 - -since.microseconds // 1000
    if not 0 <= ms <= LATEST_MS:
        raise WrongParameter(f"{name}: years from 1970 to 9999 can be asked for.")
    return ms
