"""Series that are remembered: each is filled out of history and follows the market, in a thread of its own.

A thread writes the file of its series and nobody else does; who answers questions reads it.
"""

from __future__ import annotations

import threading
import time
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Final

from data_collector.client import Client
from data_collector.client.adapters.memory import Memory
from data_collector.client.errors import ClientError, UnknownSymbol
from data_collector.client.terms.times import Time
from data_collector.model.backoff import Backoff
from data_collector.model.calendar import LENGTHS_MS
from data_collector.observe.logs import get_log
from data_collector.service.memory.messages import SERIES_MAX, Orders

IDLE_S: Final = 120.0
"""So long a series keeps its place since it was asked about."""

CANDLES_MAX: Final = 1 << 17
"""That a new file begins with: three months of minutes. Each takes some 200 bytes of memory."""

SMALL_WINDOW: Final = 8
"""Of the side that writes: it compares nothing."""

FILLED_AT_ONCE: Final = 2
"""Reading history is work for the stores, too."""

LOOK_BACK_FIRST_S: Final = 2.0
LOOK_BACK_LONGEST_S: Final = 600.0
"""How soon it is looked whether history has more by now: a collector that was started a moment ago still fetches the
past, and an operator may backfill years of it. Each find begins these anew."""

HOLES_MAX: Final = 20
"""The newest, that are looked into: some stay for good."""

PAGE_CANDLES: Final = 50_000

WAIT_S: Final = 1.0
"""For news of the market, at a time."""

RETRY_FIRST_S: Final = 1.0
RETRY_LONGEST_S: Final = 30.0

Series = tuple[str, str]
"""Symbol and interval."""


class Follower:
    """One series, followed until `end`."""

    def __init__(self, orders: Orders, series: Series, filling: threading.Semaphore) -> None:
        self.series = series
        self.asked_s = time.monotonic()
        self.candles = 0
        self.version = 0
        """Changes with the file; 0 while it cannot be asked."""
        self.fault: str | None = None
        """Why it does not follow the market now."""
        self._orders = orders
        self._filling = filling
        self._is_over = threading.Event()
        threading.Thread(target=self._run, name=" ".join(series), daemon=True).start()

    def end(self) -> None:
        """The thread ends within a moment."""
        self._is_over.set()

    def _run(self) -> None:
        backoff = Backoff(RETRY_FIRST_S, RETRY_LONGEST_S, jitter=False)
        while not self._is_over.is_set():
            started_s = time.monotonic()
            try:
                self._follow()
            except UnknownSymbol:
                # It has not spoken yet, and that is no fault.
                self.fault = None
            except ClientError as error:
                self.fault = str(error).rstrip(".")
            except Exception as error:  # noqa: BLE001 - no other series must suffer, and this one is tried again
                get_log().exception("memory_series_failed", series=self.series)
                self.fault = f"a bug ({type(error).__name__}), which the log tells more of"
            self._is_over.wait(backoff.next_delay_s(served_s=time.monotonic() - started_s))

    def _follow(self) -> None:
        """Raises `ClientError`."""
        orders, (symbol, interval) = self._orders, self.series
        with (
            Client(
                orders.store_url, api=orders.api_url, database=orders.database_url, exchange=orders.exchange
            ) as client,
            Memory(orders.folder, symbol, interval, SMALL_WINDOW, exchange=orders.exchange) as memory,
        ):
            with self._filling:
                memory.fill(client, self._start_ms, partial(self._tell, memory))
            self._note(memory)
            looking = Backoff(LOOK_BACK_FIRST_S, LOOK_BACK_LONGEST_S, jitter=False)
            look_s = time.monotonic() + looking.next_delay_s()
            live = client.live(f"{symbol}:{interval}", start="now", position=memory.position, revisions=True)
            while not self._is_over.is_set() and (batch := live.poll(WAIT_S)) is not None:
                self.fault = None
                if batch.items:
                    memory.take(batch.items)
                    self._note(memory)
                if time.monotonic() > look_s:
                    if self._look_back(client, memory):
                        looking.reset()
                    look_s = time.monotonic() + looking.next_delay_s()

    @property
    def _start_ms(self) -> int | None:
        """Nothing older is read; None where that has no bound."""
        length_ms = LENGTHS_MS.get(self.series[1])
        return None if length_ms is None else max(0, time.time_ns() // 1_000_000 - CANDLES_MAX * length_ms)

    def _look_back(self, client: Client, memory: Memory) -> bool:
        """Take what history has by now before the oldest candle and between others; whether it had any."""
        lacking: list[tuple[Time | None, Time | None]] = [*memory.holes[-HOLES_MAX:]]
        if len(memory) < CANDLES_MAX:
            lacking.append((self._start_ms, memory.first))
        known = len(memory)
        with self._filling:
            for begin, end in lacking:
                found = iter(client.klines(*self.series, begin, end, gaps="skip"))
                while page := list(islice(found, PAGE_CANDLES)):
                    memory.take(page)
                    self._note(memory)
        return len(memory) > known

    def _tell(self, memory: Memory, _reached: datetime) -> None:
        self.candles = len(memory)

    def _note(self, memory: Memory) -> None:
        self.candles = len(memory)
        self.version += 1


class Following:
    """All that are followed, a bounded number. For one thread, but for what `Follower` says of itself."""

    def __init__(self, orders: Orders) -> None:
        """Begins with the first of the series that are ordered."""
        self._orders = orders
        self._filling = threading.Semaphore(FILLED_AT_ONCE)
        self._followers: dict[Series, Follower] = {}
        for symbol, interval in orders.series[:SERIES_MAX]:
            self._begin((symbol, interval))

    @property
    def followers(self) -> list[Follower]:
        """Those of now."""
        return list(self._followers.values())

    def of(self, series: Series) -> Follower | None:
        """Follow it from now on, if it is not followed yet; None where there is no place for it."""
        found = self._followers.get(series) or self._placed(series)
        if found is not None:
            found.asked_s = time.monotonic()
        return found

    def _placed(self, series: Series) -> Follower | None:
        if len(self._followers) >= SERIES_MAX:
            idle = min(self._followers.values(), key=lambda each: each.asked_s)
            if time.monotonic() - idle.asked_s < IDLE_S:
                return None
            idle.end()
            del self._followers[idle.series]
        return self._begin(series)

    def _begin(self, series: Series) -> Follower:
        self._followers[series] = follower = Follower(self._orders, series, self._filling)
        return follower
