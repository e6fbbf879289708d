"""Users' patterns: each search has a limit of time, and what is searched one of length.

They are Python's own, as Great Expectations takes them, but run by `regex`, which can be stopped: Python's `re` looks
for `^([A-Z0-9]+)+$` in forty characters for hours, on the event loop.
"""

from __future__ import annotations

import re
import time
from typing import Final

import regex
import structlog

SEARCH_S_MAX: Final = 0.005

LATE_MAX: Final = 10
LATE_WINDOW_S: Final = 1.0
"""After so many late searches in that time a pattern is not tried on new texts: a twentieth of the loop's time."""

TEXT_CHARACTERS_MAX: Final = 1_000
"""Symbols have some ten; longer texts keep no rule."""

KNOWN_MAX: Final = 1_024
"""Texts whose answer is remembered: symbols and intervals are few."""

LATE: Final = "late"
"""Stands for what was not found out in time."""


class Pattern:
    """One `regex` of a rule."""

    __slots__ = ("_known", "_late_s", "_log", "_pattern", "late", "text")

    def __init__(self, text: str) -> None:
        """Raises `ValueError` for a broken one."""
        try:
            re.compile(text)
            self._pattern = regex.compile(text, regex.V0)
        except (re.error, regex.error, RecursionError, OverflowError) as error:
            raise ValueError(f"the regex {text!r} is broken: {error}") from error
        self.text = text
        self.late = 0
        """Searches that were given up."""
        self._late_s: list[float] = []
        self._known: dict[str, object] = {}
        self._log = structlog.get_logger()

    def search(self, text: str) -> object:
        """What is found; None also for what was not found out in time."""
        found = self.search_or_late(text)
        return None if found is LATE else found

    def search_or_late(self, text: str) -> object:
        """What is found, None, or `LATE`."""
        if text in self._known:
            return self._known[text]
        if len(text) > TEXT_CHARACTERS_MAX or self._is_tired():
            return LATE
        try:
            found: object = self._pattern.search(text, timeout=SEARCH_S_MAX) is not None or None
        except TimeoutError:
            found = self._note_late(text)
        if len(self._known) >= KNOWN_MAX:
            del self._known[next(iter(self._known))]
        self._known[text] = found
        return found

    def _is_tired(self) -> bool:
        if self._late_s and time.monotonic() - self._late_s[0] > LATE_WINDOW_S:
            del self._late_s[0]
        return len(self._late_s) >= LATE_MAX

    def _note_late(self, text: str) -> object:
        self._late_s.append(time.monotonic())
        self.late += 1
        if self.late == 1:
            self._log.error(
                "regex_too_slow", regex=self.text, text=text,
                advice="it backtracks without end: what it is not told of in time keeps no rule; write it plainer",
            )  # fmt: skip
        return LATE
