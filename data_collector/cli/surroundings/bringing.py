"""Candles of the last days for a collector that has just begun, brought by a `backfill` of its own."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from data_collector.model.errors import Unavailable
from data_collector.model.keys import FIRST_EXCHANGE

SYMBOLS_MAX: Final = 10
"""A week of these is a hundred thousand candles or so."""

AGAIN_S: Final = 2.0
"""How long after a backfill that found no database, which takes a while to come up, the next one begins."""

AGAIN_MAX: Final = 60


class Bringing:
    """`begin` it once the collector runs, and `end` it with the collector."""

    def __init__(
        self, past: str, symbols: Sequence[str], intervals: Sequence[str], folder: Path, environment: Mapping[str, str]
    ) -> None:
        """`past` is how far back, such as `7d`; nothing is brought where it is empty."""
        self._told_in = folder / "past.txt"
        self._environment = environment
        # Seconds of a week are millions.
        wanted = [interval for interval in intervals if interval != "1s"] if past else []
        self._arguments = [
            "backfill", "--from", f"-{past}", "--symbols", ",".join(symbols[:SYMBOLS_MAX]),
            "--intervals", ",".join(wanted),
        ]  # fmt: skip
        exchange = environment.get("EXCHANGES", FIRST_EXCHANGE)
        if exchange != FIRST_EXCHANGE:
            # For those who type it again elsewhere.
            self._arguments += ["--exchange", exchange]
        self._past = past
        self._is_wanted = bool(wanted)
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
        code = Unavailable.exit_code
        for _ in range(AGAIN_MAX):
            code = self._run()
            if code != Unavailable.exit_code or self._ending.wait(AGAIN_S):
                break
        if self._ending.is_set():
            return
        if code == 0:
            print(f"Candles of the past ({self._past}) have been brought.", flush=True)
        else:
            again = " ".join(self._arguments)
            print(
                f"Candles of the past ({self._past}) could not be brought (exit code {code}, {self._told_in}); "
                f"`data-collector {again}` tries it again.",
                flush=True,
            )

    def _run(self) -> int:
        with self._told_in.open("wb") as output:
            with self._lock:
                if self._ending.is_set():
                    return Unavailable.exit_code
                # A session of its own: Ctrl-C must reach the collector first.
                self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
                    [sys.executable, "-m", "data_collector", *self._arguments],
                    start_new_session=True, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                    env=self._environment,
                )  # fmt: skip
            return self._process.wait()
