"""Candles of the last days for a collector that has just begun, brought by a `backfill` of its own."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from data_collector.model.errors import Unavailable
from data_collector.model.keys import FIRST_EXCHANGE
from data_collector.observe.output import tell

SYMBOLS_MAX: Final = 10
"""A week of these is a hundred thousand candles or so."""

AGAIN_S: Final = 2.0
"""How long after a backfill that found no database, which takes a while to come up, the next one begins."""

AGAIN_MAX: Final = 60


class Past(Struct, frozen=True):
    """What one `backfill` brings."""

    back: str
    """From how long ago on, such as `7d`."""
    intervals: tuple[str, ...]


class Bringing:
    """`begin` it once the collector runs, and `end` it with the collector."""

    def __init__(
        self, pasts: Sequence[Past], symbols: Sequence[str], folder: Path, environment: Mapping[str, str]
    ) -> None:  # fmt: skip
        """One of `pasts` after the other."""
        self._told_in = folder / "past.txt"
        self._environment = environment
        exchange = environment.get("EXCHANGES", FIRST_EXCHANGE)
        self._more = ["--symbols", ",".join(symbols[:SYMBOLS_MAX])]
        self._of = "of the past"
        if exchange != FIRST_EXCHANGE:
            # For those who type it again elsewhere.
            self._more += ["--exchange", exchange]
            self._of += f" of {exchange}"
        self._pasts = pasts
        self._is_wanted = bool(pasts)
        self._ending = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def begin(self) -> None:
        """At the first call; it goes on beside us."""
        if self._is_wanted:
            self._is_wanted = False
            self._thread = threading.Thread(target=self._bring, name="past", daemon=True)
            self._thread.start()

    @property
    def is_going_on(self) -> bool:
        """Whether it is at work."""
        return self._thread is not None and self._thread.is_alive()

    def end(self) -> None:
        """Begin nothing more, and end what goes on."""
        with self._lock:
            self._ending.set()
            if self._process is not None:
                self._process.terminate()

    def _bring(self) -> None:
        self._told_in.unlink(missing_ok=True)
        brought: list[Past] = []
        for past in self._pasts:
            arguments = ["backfill", "--from", f"-{past.back}", *self._more, "--intervals", ",".join(past.intervals)]
            code = self._until_asked(arguments)
            if self._ending.is_set():
                return
            if code == 0:
                brought.append(past)
                continue
            tell(
                f"Candles {self._of} ({_told([past])}) could not be brought (exit code {code}, {self._told_in}); "
                f"`data-collector {' '.join(arguments)}` tries it again."
            )
        if brought:
            tell(f"Candles {self._of} ({_told(brought)}) have been brought.")

    def _until_asked(self, arguments: Sequence[str]) -> int:
        """The exit code, once there was a database."""
        code = Unavailable.exit_code
        for _ in range(AGAIN_MAX):
            code = self._run(arguments)
            if code != Unavailable.exit_code or self._ending.wait(AGAIN_S):
                break
        return code

    def _run(self, arguments: Sequence[str]) -> int:
        with self._told_in.open("ab") as output:
            with self._lock:
                if self._ending.is_set():
                    return Unavailable.exit_code
                # A session of its own: Ctrl-C must reach the collector first.
                self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
                    [sys.executable, "-m", "data_collector", *arguments],
                    start_new_session=True, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                    env=self._environment,
                )  # fmt: skip
            return self._process.wait()


def _told(pasts: Sequence[Past]) -> str:
    """`7d`, or where they differ `1h, 15m: 7d; 1m: 12h`."""
    found: dict[str, list[str]] = {}
    for past in pasts:
        found.setdefault(past.back, []).extend(past.intervals)
    if len(found) == 1:
        return next(iter(found))
    return "; ".join(f"{', '.join(intervals)}: {back}" for back, intervals in found.items())
