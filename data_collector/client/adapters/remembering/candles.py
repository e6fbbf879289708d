"""The candles of a memory: their file, and their windows, kept in step."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from data_collector.client.adapters.remembering.candle_file import CandleFile, Header, Rows
from data_collector.client.adapters.remembering.shape import Shape
from data_collector.client.adapters.remembering.windows import Windows

_READ_ROWS: Final = 100_000


class Candles:
    """Methods raise `FileAway`; those that write `FileInUse` too."""

    def __init__(self, folder: Path, header: Header, shape: Shape) -> None:
        """Raises `WrongFile`."""
        self.file = CandleFile(folder, header)
        self.corrections: list[tuple[int, int]] = []
        """First and last open times of candles that were corrected, or came late."""
        self._header = header
        self._shape = shape
        self.windows = self._taken()

    def reload(self) -> None:
        """Take what the file has by now."""
        self.file.reopen()
        self.windows = self._taken()

    def lock(self) -> None:
        """For writing, until it is closed."""
        if not self.file.is_locked:
            before = self.file.state
            self.file.lock()
            if self.file.state != before:
                self.windows = self._taken()

    def merge(self, rows: Rows) -> int:
        """Rows in order: new ones behind the last, corrected ones in their place, late ones between.

        Returns how many were not known.
        """
        if not len(rows):
            return 0
        self.lock()
        known = self.windows.open_ms[: self.windows.rows]
        places = np.searchsorted(known, rows["open_ms"])
        is_behind = places == len(known)
        is_known = ~is_behind
        is_known[is_known] = known[places[is_known]] == rows["open_ms"][is_known]
        for place, row in zip(places[is_known].tolist(), rows[is_known], strict=True):
            self._correct(place, row.reshape(1))
        is_late = ~is_behind & ~is_known
        if is_late.any():
            self._insert(int(places[is_late][0]), rows[is_late])
        self._append(rows[is_behind])
        return int((is_late | is_behind).sum())

    def close(self) -> None:
        """The lock ends."""
        self.file.close()

    def _taken(self) -> Windows:
        windows = Windows(self._header.interval, self._shape)
        for first in range(0, self.file.count, _READ_ROWS):
            rows = self.file.read(first, min(first + _READ_ROWS, self.file.count))
            windows.set_rows(first, rows, first + len(rows))
        return windows

    def _correct(self, place: int, row: Rows) -> None:
        if self.file.read(place, place + 1).tobytes() != row.tobytes():
            self.file.write(place, row)
            self.windows.set_rows(place, row, self.windows.rows)
            self._note(row)

    def _insert(self, place: int, late: Rows) -> None:
        rows = np.concatenate([self.file.read(place, self.windows.rows), late])
        rows = rows[np.argsort(rows["open_ms"], kind="stable")]
        self.file.replace(place, rows)
        self.windows.set_rows(place, rows, place + len(rows))
        self._note(late)

    def _note(self, rows: Rows) -> None:
        self.corrections.append((int(rows["open_ms"][0]), int(rows["open_ms"][-1])))

    def _append(self, rows: Rows) -> None:
        if len(rows):
            first = self.windows.rows
            self.file.write(first, rows)
            self.windows.set_rows(first, rows, first + len(rows))
