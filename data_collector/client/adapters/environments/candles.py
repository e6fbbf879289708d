"""Candles as rows: checked, cut in two by time, and where none is missing between them."""

from __future__ import annotations

from datetime import datetime
from inspect import iscoroutinefunction
from itertools import pairwise
from typing import Final, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from data_collector.client.errors import WrongQuestion
from data_collector.client.records import time_of
from data_collector.client.terms.times import Duration, Time, duration_ms, now_ms, time_ms
from data_collector.model.calendar import DAY_MS

Rows = npt.NDArray[np.void]
Integers = npt.NDArray[np.int64]

PRICES: Final = ("open", "high", "low", "close")

_MONTH_DAYS: Final = (28, 31)


@runtime_checkable
class Readable(Protocol):
    """What the client gives: `client.klines(…)`, and what `read()` makes of it."""

    def to_numpy(self) -> Rows:
        """A structured array with the client's columns."""


Candles = Rows | Readable


def split(candles: Candles, at: Time, embargo: Duration = 0) -> tuple[Rows, Rows]:
    """Candles to learn from, which opened before `at`, and later ones to be judged by.

    What opened within `embargo` from `at` on is in neither: it still moves with what was learned. Raises
    `WrongQuestion`.
    """
    rows = rows_of(candles)
    opened_ms = times_ms(rows)
    at_ms = time_ms("at", at, now_ms())
    later_ms = time_ms("at + embargo", at_ms + duration_ms("embargo", embargo), 0)
    parts = rows[opened_ms < at_ms], rows[opened_ms >= later_ms]
    for part, where in zip(parts, (f"before {time_of(at_ms)}", f"from {time_of(later_ms)} on"), strict=True):
        if not len(part):
            raise WrongQuestion(f"No candle opened {where}; {_ends(opened_ms)}.")
    return parts


def rows_of(candles: Candles) -> Rows:
    """Raises `WrongQuestion` for what are no candles, or none in order."""
    rows = candles if isinstance(candles, np.ndarray) else _read(candles)
    lacking = {"timestamp", *PRICES, "volume"}.difference(rows.dtype.names or ())
    if lacking or rows.ndim != 1:
        raise WrongQuestion(
            f"These are no candles: there is no {', '.join(sorted(lacking)) or 'single row of them'}. Give "
            "client.klines(…), or what its to_numpy() gives."
        )
    if rows.dtype["timestamp"].kind != "M":
        raise WrongQuestion("The column timestamp holds no times (datetime64): give what klines(…).to_numpy() gives.")
    _check_order(times_ms(rows))
    for name in (*PRICES, "volume"):
        _check_numbers(rows, name)
    return rows


def times_ms(rows: Rows) -> Integers:
    """Open times."""
    return rows["timestamp"].astype("datetime64[ms]").astype(np.int64)


def spans_of(rows: Rows) -> list[slice]:
    """Rows without a missing candle between them: what lies further apart than the nearest ones has a gap."""
    distances_ms = np.diff(times_ms(rows))
    shortest_ms = int(distances_ms.min(initial=_MONTH_DAYS[1] * DAY_MS))
    usual_ms = shortest_ms if shortest_ms < _MONTH_DAYS[0] * DAY_MS else _MONTH_DAYS[1] * DAY_MS
    breaks = np.flatnonzero(distances_ms > usual_ms) + 1
    return [slice(first, until) for first, until in pairwise([0, *breaks.tolist(), len(rows)])]


def _read(candles: object) -> Rows:
    if not isinstance(candles, Readable) or iscoroutinefunction(candles.to_numpy):
        raise WrongQuestion(
            f"{type(candles).__name__} is no candles: give client.klines(…), or what its to_numpy() gives; an "
            "AsyncClient's is to be awaited."
        )
    return candles.to_numpy()


def _check_order(opened_ms: Integers) -> None:
    (places,) = np.nonzero(np.diff(opened_ms) <= 0)
    if len(places):
        row = int(places[0]) + 1
        before, here = _time(opened_ms, row - 1), _time(opened_ms, row)
        raise WrongQuestion(f"Candles are not in order: row {row} opened at {here}, and the one before it at {before}.")


def _check_numbers(rows: Rows, name: str) -> None:
    values = rows[name]
    (places,) = np.nonzero(~(np.isfinite(values) & ((values > 0) if name in PRICES else (values >= 0))))
    if len(places):
        row = int(places[0])
        opened = _time(times_ms(rows), row)
        raise WrongQuestion(f"{name} is {values[row]} in row {row}, of {opened}: nothing can be learned from that.")


def _ends(opened_ms: Integers) -> str:
    if not len(opened_ms):
        return "there are none at all"
    return f"there are those of {_time(opened_ms, 0)} to {_time(opened_ms, -1)}"


def _time(opened_ms: Integers, row: int) -> datetime:
    return time_of(int(opened_ms[row]))
