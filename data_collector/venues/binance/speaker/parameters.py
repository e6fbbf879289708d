"""The query of a REST request, read as strictly as the exchange reads it. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import msgspec

from data_collector.model.calendar import HOUR_MS, MINUTE_MS
from data_collector.simulator.market.candles import INTERVALS

LIMIT_DEFAULT, LIMIT_MAX = 500, 1000

MICROSECONDS_FROM = 10**14
"""Times at least this large are microseconds; as milliseconds they would lie 3,000 years ahead."""

_SYMBOL_RANGE = "^[\\\\w\\\\-._&&[^a-z]]{1,50}$"
_NUMBER_RANGE = "^[0-9]{1,20}$"
_ZONE = re.compile(r"([+-]?)(\d{1,2})(?::(\d{2}))?")
ZONE_MIN_MS, ZONE_MAX_MS = -12 * HOUR_MS, 14 * HOUR_MS


class RestRefusal(Exception):
    """The request gets an error: an HTTP status, a code and a text."""

    def __init__(self, code: int, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def check_names(query: Mapping[str, str], allowed: Collection[str]) -> None:
    """Refuse parameters that the endpoint does not read, and empty ones."""
    known = [name for name in query if name in allowed]
    if len(known) < len(query):
        message = f"Not all sent parameters were read; read '{len(known)}' parameter(s) but was sent '{len(query)}'."
        raise RestRefusal(-1104, message)
    for name in known:
        if not query[name]:
            raise RestRefusal(-1105, f"Parameter '{name}' was empty.")


def mandatory(query: Mapping[str, str], name: str) -> str:
    """A parameter that must be there."""
    if name not in query:
        raise RestRefusal(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
    return query[name]


def symbol_text(text: str) -> str:
    """A symbol that has the right form; whether it is listed is another question."""
    if not re.fullmatch(r"[\w\-.]{1,50}", text) or re.search("[a-z]", text):
        raise RestRefusal(-1100, f"Illegal characters found in parameter 'symbol'; legal range is '{_SYMBOL_RANGE}'.")
    return text


def symbol_list(text: str) -> list[str]:
    """`["BTCUSDT","ETHUSDT"]`, without blanks and without repetition."""
    try:
        symbols = msgspec.json.decode(text, type=list[str])
    except msgspec.DecodeError as error:
        raise RestRefusal(
            -1100, "Illegal characters found in parameter 'symbols'; legal range is '^\\[(\"[^a-z\"]+\",?)+\\]$'."
        ) from error
    if " " in text or not symbols:
        raise RestRefusal(-1100, "Illegal characters found in parameter 'symbols'.")
    if len(set(symbols)) < len(symbols):
        raise RestRefusal(-1151, "Symbol is present multiple times in the list.")
    return [symbol_text(symbol) for symbol in symbols]


def number(query: Mapping[str, str], name: str) -> int | None:
    """A whole number that is not negative; None when it was not sent."""
    text = query.get(name)
    if text is None:
        return None
    if not re.fullmatch(_NUMBER_RANGE, text, re.ASCII):
        raise RestRefusal(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{_NUMBER_RANGE}'.")
    return int(text)


def limit(query: Mapping[str, str], *, default: int = LIMIT_DEFAULT, most: int = LIMIT_MAX) -> int:
    """How many rows; more than the endpoint gives is cut to what it gives."""
    wanted = number(query, "limit")
    if wanted is None:
        return default
    if wanted == 0:
        raise RestRefusal(-1130, "Data sent for parameter 'limit' is not valid.")
    return min(wanted, most)


def start_us(query: Mapping[str, str]) -> int | None:
    """`startTime` in microseconds; it may be sent in milliseconds or in microseconds."""
    value = number(query, "startTime")
    if value is None or value >= MICROSECONDS_FROM:
        return value
    return value * 1000


def end_us(query: Mapping[str, str]) -> int | None:
    """`endTime`, the last microsecond that it includes."""
    value = number(query, "endTime")
    if value is None or value >= MICROSECONDS_FROM:
        return value
    return value * 1000 + 999


def interval(query: Mapping[str, str]) -> str:
    """A kline interval; case matters."""
    text = mandatory(query, "interval")
    if text not in INTERVALS:
        raise RestRefusal(-1120, "Invalid interval.")
    return text


def zone_ms(query: Mapping[str, str]) -> int:
    """`timeZone` as an offset east of UTC: `0`, `8`, `-1:00`, `05:45`."""
    text = query.get("timeZone", "0")
    match = _ZONE.fullmatch(text)
    if match is None:
        raise RestRefusal(-1130, "Data sent for parameter 'timeZone' is not valid.")
    offset_ms = int(match[2]) * HOUR_MS + int(match[3] or 0) * MINUTE_MS
    offset_ms = -offset_ms if match[1] == "-" else offset_ms
    if not ZONE_MIN_MS <= offset_ms <= ZONE_MAX_MS:
        raise RestRefusal(-1130, "Data sent for parameter 'timeZone' is not valid.")
    return offset_ms


def time_unit(header: str | None) -> int:
    """How many units of the answer's times make a millisecond, from the header X-MBX-TIME-UNIT."""
    match (header or "MILLISECOND").upper():
        case "MILLISECOND":
            return 1
        case "MICROSECOND":
            return 1000
        case _:
            raise RestRefusal(-1194, "Invalid value for time unit; expected either MICROSECOND or MILLISECOND.")
