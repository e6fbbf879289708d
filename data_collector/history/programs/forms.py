"""Programs that have files of their own: what they know, and what their files do not hold. Without pyarrow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from data_collector.history.export_format import STATED_DECIMALS
from data_collector.model.calendar import DAY_MS, HOUR_MS, LENGTHS_MS, MINUTE_MS
from data_collector.model.errors import Misconfigured
from data_collector.model.keys import Key

Program = Literal["freqtrade", "nautilus"]

FIXED_PLACES = 16
"""Decimal places of NautilusTrader's fixed-point numbers."""


KNOWN: dict[Program, str] = {
    "freqtrade": "less than a minute",
    "nautilus": "minutes that do not divide an hour",
}

MONTH_MS = 28 * DAY_MS
"""At least."""


class ProgramForm(Struct, frozen=True):
    """What people are told of a program's files."""

    numbers: str
    """Their form."""
    notes: tuple[str, ...]
    """Sentences."""


FORMS: dict[Program, ProgramForm] = {
    "freqtrade": ProgramForm(
        STATED_DECIMALS["float"],
        (
            "freqtrade computes with float64, so each number is the nearest one to the stored text.",
            "Its files hold no quote volume, no number of trades, and no microseconds of a trade.",
            "They hold no gaps: freqtrade fills them with candles without volume; manifest.json has the true ones.",
        ),
    ),
    "nautilus": ProgramForm(
        f"fixed point of {FIXED_PLACES} places, exact",
        (
            "Numbers are exact. Zeros at their ends are not kept: a symbol has as many places as its longest number.",
            "A bar has the time at which it ended. Bars hold no quote volume and no number of trades.",
            "The catalog holds no gaps: they stand in manifest.json.",
            "Its instruments have no fees and no limits, because the database does not know them: set yours.",
        ),
    ),
}


def demand_known(program: Program, series: Iterable[Key]) -> None:
    """Raises `Misconfigured` for intervals that the program cannot open candles of."""
    intervals = dict.fromkeys(each.interval for each in series if each.interval is not None)
    unknown = ", ".join(each for each in intervals if not _knows(program, LENGTHS_MS.get(each, MONTH_MS)))
    if unknown:
        raise Misconfigured(f"--as {program}: it has no candles of {KNOWN[program]}; leave out {unknown}.")


def _knows(program: Program, length_ms: int) -> bool:
    if program == "freqtrade":
        return length_ms >= MINUTE_MS
    return length_ms >= HOUR_MS or HOUR_MS % length_ms == 0
