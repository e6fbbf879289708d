"""When the first chart of the page can be looked at: it is told once the page gets a candle for it."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from data_collector.model.calendar import LENGTHS_MS, MS_OF_UNIT
from data_collector.observe.output import tell

LOOK_S: Final = 0.5
ANSWER_S: Final = 10.0
ANSWER_BYTES_MAX: Final = 1024 * 1024
CANDLES: Final = 500
"""What a chart shows of the past without being moved."""


class FirstChart:
    """`begin` it once the service has begun, and `end` it with the service."""

    def __init__(self, symbol: str, intervals: Sequence[str], *, begun_s: float) -> None:
        """`begun_s`: when the command began, by the monotonic clock."""
        self._symbol = symbol
        self._interval = shown_first(intervals)
        self._begun_s = begun_s
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, url: str) -> None:
        """At the first call; it looks beside us, through the API at `url`."""
        if self._thread is None and self._interval is not None:
            asked = url, self._symbol, self._interval
            self._thread = threading.Thread(target=self._await, args=asked, name="first chart", daemon=True)
            self._thread.start()

    def end(self) -> None:
        """Look no more."""
        self._ending.set()

    def _await(self, url: str, symbol: str, interval: str) -> None:
        while not self._ending.wait(LOOK_S):
            count = candles_at(url, symbol, interval)
            if count:
                candles = f"{count} {'candle' if count == 1 else 'candles'} of {symbol} {interval}"
                after_s = time.monotonic() - self._begun_s
                place = chart_url(url, symbol, interval)
                tell(f"The first chart can be looked at, {after_s:.0f} s after the start: {place}  ({candles})")
                return


def shown_first(intervals: Sequence[str]) -> str | None:
    """The interval that the page shows first: the shortest from a minute on. None where there are no candles."""
    from_a_minute = [each for each in intervals if LENGTHS_MS.get(each, 0) >= MS_OF_UNIT["m"]]
    return min(from_a_minute, key=LENGTHS_MS.__getitem__, default=next(iter(intervals), None))


def chart_url(url: str, symbol: str, interval: str) -> str:
    """Where the page shows it."""
    return f"{url}/#{quote(symbol, safe='')}/{interval}"


def candles_at(url: str, symbol: str, interval: str) -> int:
    """How many candles the page would get for its chart, the one that runs among them; 0 where nothing answers."""
    begin_ms = int(time.time() * 1000) - CANDLES * LENGTHS_MS.get(interval, MS_OF_UNIT["m"])
    asked = f"{url}/klines/{quote(symbol, safe='')}?interval={interval}&from={begin_ms}&limit={CANDLES}&open=1"
    request = urllib.request.Request(asked, headers={"Accept": "application/json"})  # noqa: S310 - our own address
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:  # noqa: S310 - our own address
            records = json.loads(answer.read(ANSWER_BYTES_MAX))["records"]
    except (OSError, ValueError):
        # Not yet: the answers that are errors are among these.
        return 0
    return len(records)
