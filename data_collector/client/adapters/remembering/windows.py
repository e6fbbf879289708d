"""All windows of a series: which have a shape, how far their prices move, and exactly how alike two of them are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from data_collector.client.adapters.remembering.answers import NoShape
from data_collector.client.adapters.remembering.candle_file import Rows
from data_collector.client.adapters.remembering.screen import Bounds, Integers, Mask, Screen, Singles
from data_collector.client.adapters.remembering.shape import PRICE, Floats, Shape, channel_values
from data_collector.client.records import CALENDAR, time_of
from data_collector.model.calendar import LENGTHS_MS

_Kind = TypeVar("_Kind", bound=np.generic)

DIGITS: Final = 9
"""Of a similarity: what differs behind them are errors of the last bits, and counts as equal."""

_PIECE_NUMBERS: Final = 1 << 19
"""So many are computed with at once."""


class VectorPage(Struct, frozen=True):
    """Windows in order."""

    open_ms: Integers
    """When they begin."""
    close_ms: Integers
    """When their last candles closed."""
    shapes: Singles
    """A row each."""


NO_VECTORS: Final = VectorPage(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 0), np.float32))


class Windows:
    """Rows come and change; the windows that hold them are computed anew, and depend on nothing else.

    A window has the number of its first row.
    """

    def __init__(self, interval: str, shape: Shape) -> None:
        self.shape = shape
        self.rows = 0
        self.open_ms = np.empty(0, np.int64)
        self._interval = interval
        self._runs = np.empty(0, np.int32)
        """Rows without a gap up to each."""
        self._names = list(dict.fromkeys([PRICE, *shape.weights]))
        self._values = {name: np.empty(0) for name in self._names}
        self._spreads = np.empty(0, np.float32)
        """Of each window, the root of the sum of squares of the price's distances from its mean."""
        self._is_shaped = np.empty(0, np.bool_)
        self._screen = Screen(shape)
        self._kept: tuple[int, Mask] | None = None
        """The horizon that was asked about last, and which windows count for it."""

    @property
    def count(self) -> int:
        """Of windows."""
        return max(0, self.rows - self.shape.window + 1)

    def set_rows(self, first: int, rows: Rows, total: int) -> None:
        """Rows from `first` on are these now, and there are `total` of them."""
        until = first + len(rows)
        self._kept = None
        self._grow(total)
        self.rows = total
        self.open_ms[first:until] = rows["open_ms"]
        for name in self._names:
            self._values[name][first:until] = channel_values(name, rows)
        self._count_runs(first)
        begin, end = max(0, first - self.shape.window + 1), min(until, self.count)
        piece = max(1, _PIECE_NUMBERS // self.shape.window)
        for at in range(begin, end, piece):
            self._measure(at, min(at + piece, end))
        self._screen.refresh(begin, end, self._values, total)

    def holes(self) -> list[tuple[int, int]]:
        """Times (ms) from which on, and before which, candles are missing between others."""
        begun = np.flatnonzero(self._runs[1 : self.rows] == 1) + 1
        before, behind = self.open_ms[begun - 1].tolist(), self.open_ms[begun].tolist()
        return [(CALENDAR.next_open_ms(self._interval, one), other) for one, other in zip(before, behind, strict=True)]

    def newest_row(self, at_ms: int) -> int:
        """How many rows had closed by then."""
        rows = int(np.searchsorted(self.open_ms[: self.rows], at_ms, "left"))
        if rows and CALENDAR.next_open_ms(self._interval, int(self.open_ms[rows - 1])) > at_ms:
            rows -= 1
        return rows

    def gaps(self) -> list[tuple[int, int]]:
        """From when on candles are missing, and until when."""
        rows = np.flatnonzero(self._runs[: self.rows] == 1)[1:]
        return [(int(self.open_ms[row - 1]) + 1, int(self.open_ms[row])) for row in rows.tolist()]

    def demand_shape(self, first: int, until: int) -> None:
        """Raise `NoShape` where the rows from `first` on and before `until` are no window with a shape."""
        window = self.shape.window
        if first < 0:
            raise NoShape(f"There are {until:,} candles by then, and a window has {window:,}.", "short")
        if self._runs[until - 1] < window:
            before = until - int(self._runs[until - 1])
            there = [time_of(int(self.open_ms[row])).isoformat() for row in (before - 1, before)]
            raise NoShape(f"Candles are missing in the window, between {there[0]} and {there[1]}.", "gap")
        if self._is_shaped[first]:
            return
        for name in self._names:
            values = self._values[name][first:until]
            if np.isnan(values).any():
                raise NoShape(
                    f"The {name} of a candle in the window is not told, or 0: where it never is, leave it out of "
                    "channels=.",
                    "untold",
                )
            if (values == values[0]).all():
                raise NoShape(f"The {name} of all {window:,} candles of the window is the same.", "flat")

    def counting(self, count: int, horizon: int) -> Mask:
        """Of each of the first windows, whether it has a shape, and no gap up to the end of the horizon."""
        if self._kept is None or self._kept[0] != horizon:
            length = self.shape.window + horizon
            runs = self._runs[length - 1 : self.rows]
            self._kept = horizon, self._is_shaped[: len(runs)] & (runs >= length)
        return self._kept[1][:count]

    def scaled(self, mask: Mask, first: int, scale: tuple[float, float]) -> Mask:
        """Those of which the volatility ÷ that of window `first` lies between these."""
        spreads, unit = self._spreads[: len(mask)], float(self._spreads[first])
        lowest, highest = (np.float32(ratio * unit) for ratio in scale)
        is_scaled: Mask = (spreads >= lowest) & (spreads <= highest)
        return mask & is_scaled

    def scales(self, starts: Integers, first: int) -> Floats:
        """Volatilities ÷ that of window `first`."""
        scales: Floats = self._spreads[starts].astype(np.float64) / float(self._spreads[first])
        return scales

    def unit(self, first: int) -> Mapping[str, Floats]:
        """By channel, a window's shape: mean 0, length 1."""
        return {name: self._shapes(name, np.array([first]))[0] for name in self.shape.weights}

    def bounds(self, unit: Mapping[str, Floats], counting: Mask) -> Bounds:
        """As of the screen."""
        return self._screen.bounds(unit, counting)

    def similarities(self, unit: Mapping[str, Floats], starts: Integers) -> Floats:
        """The exact ones."""
        piece = max(1, _PIECE_NUMBERS // self.shape.window)
        found = np.zeros(len(starts))
        for at in range(0, len(starts), piece):
            for name, weight in self.shape.parts:
                shapes = self._shapes(name, starts[at : at + piece])
                found[at : at + piece] += weight * np.sum(shapes * unit[name], axis=1)
        return np.clip(np.round(found, DIGITS), -1.0, 1.0).astype(np.float64)

    def vectors(self, starts: Integers) -> npt.NDArray[np.float32]:
        """One behind the other the channels' shapes, so that a product of two is their similarity."""
        parts = [np.sqrt(weight) * self._shapes(name, starts) for name, weight in self.shape.parts]
        return np.concatenate(parts, axis=1).astype(np.float32)

    def returns(self, starts: Integers, horizon: int) -> Floats:
        """Logarithms of the close `horizon` candles behind each window ÷ its last close."""
        price, last = self._values[PRICE], starts + self.shape.window - 1
        return price[last + horizon] - price[last]

    def path(self, start: int, count: int) -> Floats:
        """Logarithms of `count` closes from window `start` on ÷ the window's last close."""
        price = self._values[PRICE][: self.rows]
        path: Floats = price[start : start + count] - price[start + self.shape.window - 1]
        return path

    def _shapes(self, name: str, starts: Integers) -> Floats:
        rows = starts[:, np.newaxis] + np.arange(self.shape.window)
        centred, spreads = _centred(self._values[name][rows])
        shapes: Floats = centred / spreads[:, np.newaxis]
        return shapes

    def _measure(self, begin: int, end: int) -> None:
        """Windows from `begin` on and before `end`."""
        is_shaped, spreads = np.ones(end - begin, np.bool_), dict[str, Floats]()
        for name in self._names:
            values = self._values[name][begin : end + self.shape.window - 1]
            _, spreads[name] = _centred(np.lib.stride_tricks.sliding_window_view(values, self.shape.window))
            is_shaped &= spreads[name] > 0
        self._spreads[begin:end] = spreads[PRICE]
        self._is_shaped[begin:end] = is_shaped
        self._screen.put(begin, spreads, is_shaped)

    def _count_runs(self, first: int) -> None:
        """From row `first` on."""
        begin = max(0, first - 1)
        open_ms = self.open_ms[begin : self.rows]
        follows = np.zeros(len(open_ms), np.bool_)
        if self._interval in LENGTHS_MS:
            follows[1:] = np.diff(open_ms) == LENGTHS_MS[self._interval]
        else:
            due_ms = [CALENDAR.next_open_ms(self._interval, each) for each in open_ms[:-1].tolist()]
            follows[1:] = open_ms[1:] == np.array(due_ms, np.int64)
        places = np.arange(begin, self.rows)
        begun = begin + 1 - int(self._runs[begin]) if first else 0
        breaks = np.where(follows, begun, places)
        breaks[0] = begun
        self._runs[begin : self.rows] = places - np.maximum.accumulate(breaks) + 1

    def _grow(self, rows: int) -> None:
        self.open_ms = _grown(self.open_ms, rows)
        self._runs = _grown(self._runs, rows)
        self._values = {name: _grown(values, rows) for name, values in self._values.items()}
        self._spreads = _grown(self._spreads, rows)
        self._is_shaped = _grown(self._is_shaped, rows)


def _grown(array: npt.NDArray[_Kind], length: int) -> npt.NDArray[_Kind]:
    """The same, with a place for so many at least."""
    if length <= len(array):
        return array
    more = max(length, len(array) + len(array) // 4) - len(array)
    return np.concatenate([array, np.zeros(more, array.dtype)])


def _centred(values: Floats) -> tuple[Floats, Floats]:
    """Rows of distances from their mean, and the length of each; it is exactly 0 where all are the same."""
    # By row, contiguous and on its own, so that the bits do not depend on which rows are computed together.
    distances = np.empty(values.shape)
    np.subtract(values, values[:, :1], out=distances)
    distances -= np.sum(distances, axis=1, keepdims=True) / values.shape[1]
    return distances, np.sqrt(np.sum(distances * distances, axis=1))
