"""Samples store and collector of an exchange for all viewers of `GET /live` together, while there are any."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

from msgspec import Struct, structs

from data_collector import __version__
from data_collector.api.collector import Collector
from data_collector.api.completeness.completeness import trade_counts_apart
from data_collector.api.completeness.former_entries import FormerEntries
from data_collector.api.completeness.gap_answers import GapAnswer
from data_collector.api.completeness.gap_lives import newest_gaps
from data_collector.api.live.events import (
    Access,
    CompletenessRow,
    CompletenessRows,
    Focus,
    Hello,
    Viewer,
    event_bytes,
)
from data_collector.api.live.market import FocusReader, PriceBoard
from data_collector.api.live.state import RecentState
from data_collector.api.store_reading import StoreReading
from data_collector.model.calendar import UtcCalendar
from data_collector.model.errors import SinkUnavailable
from data_collector.model.status import SIMULATED_MARKET, GapTotals, Sample, Snapshot
from data_collector.observe.logs import get_log
from data_collector.settings import Settings
from data_collector.sinks.redis.connection import StoreConnection

VIEWERS_MAX = 50
"""Half of the connections that the server takes, so that health and metrics are always answered."""

MARKET_EVERY_S = 0.2
"""Prices, candles and trades; more slowly with more than a thousand symbols."""

SYMBOLS_PER_S = 5000
"""So many rows are read in a second at most: about 2 % of what a store can do."""

STATE_EVERY_S = 1.0
COMPLETENESS_EVERY_S = 5.0
UNREAD_S = 10.0
"""How long the newest count stands while the store cannot be read."""

TALLIES_PER_TURN = 200
NEWEST_GAPS = 10

_log = get_log()


class TooManyViewers(Exception):
    """The door is full."""


class _Unread(Struct, frozen=True):
    reason: str
    since_s: float
    """By the loop's clock."""


class Places:
    """Of the viewers of all exchanges together."""

    def __init__(self) -> None:
        self._taken = 0

    @contextmanager
    def taken(self) -> Iterator[None]:
        """One, for as long as the block lasts. Raises `TooManyViewers`."""
        if self._taken >= VIEWERS_MAX:
            raise TooManyViewers
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1


class LiveFeed:
    """`run` is kept up by the application; viewers come and go."""

    def __init__(
        self, collector: Collector, settings: Settings, former: FormerEntries, exchanges: Sequence[str],
        judged: Callable[[Snapshot, list[str]], Snapshot],
    ) -> None:  # fmt: skip
        """`exchanges`: all that are collected. `judged` adds what the HTTP process has to tell, and further reasons."""
        self._collector = collector
        self._environment = settings.environment
        self._address = urlsplit(settings.ws_url).netloc.rpartition("@")[2] if "ws_url" in settings.given else None
        self._judged = judged
        self._exchanges = list(exchanges)
        self._exchange = settings.exchange if len(exchanges) > 1 else None
        # Connections of its own: a long answer to somebody else must not hold up prices, nor a count of all streams.
        self._market_store = StoreReading()
        self._count_store = StoreReading()
        self._former = former
        self._viewers: set[Viewer] = set()
        self._watched, self._unwatched = asyncio.Event(), asyncio.Event()
        self._board = PriceBoard()
        self._focuses: dict[Focus, FocusReader] = {}
        self._recent = RecentState(self._exchange)
        self._newest_gaps: list[GapAnswer] = []
        self._kept: dict[str, bytes] = {}
        """The newest of what is the same for everybody, for those who come in between."""
        self._is_over = False
        self._rows: list[CompletenessRow] = []
        self._unread: _Unread | None = None
        """Why nothing can be counted, and since when."""

    @contextmanager
    def viewing(
        self, snapshot: Snapshot, focus: Focus | None, access: Access, woken: asyncio.Event
    ) -> Iterator[Viewer]:
        """A viewer for as long as the block lasts, who knows the newest snapshot at once."""
        viewer = Viewer(focus, access, self._exchange, woken)
        if self._is_over:
            viewer.end()
        viewer.offer_hello(self._hello(snapshot, access))
        for name, event in self._kept.items():
            viewer.offer_encoded(name, event)
        viewer.offer_prices(_now_ms(), self._board.rows.values())
        if focus is not None and focus in self._focuses:
            self._focuses[focus].catch_up(viewer)
        self._viewers.add(viewer)
        self._watched.set()
        self._unwatched.clear()
        try:
            yield viewer
        finally:
            self._viewers.discard(viewer)
            if not self._viewers:
                self._forget()

    async def run(self) -> None:
        """Until cancelled. A bug in here ends nothing but what is being looked at, and is logged."""
        while True:
            await self._watched.wait()
            try:
                async with asyncio.TaskGroup() as tasks:
                    following = [
                        tasks.create_task(each)
                        for each in (self._follow_market(), self._follow_state(), self._follow_completeness())
                    ]
                    await self._unwatched.wait()
                    for task in following:
                        task.cancel()
            except ExceptionGroup:
                _log.exception("live_feed_failed")
                await asyncio.sleep(STATE_EVERY_S)

    def samples(self) -> list[Sample]:
        """For the metrics page."""
        return [Sample("data_collector_live_viewers", len(self._viewers))]

    def end(self) -> None:
        """The service ends: so does every stream."""
        self._is_over = True
        for viewer in self._viewers:
            viewer.end()

    def close(self) -> None:
        """Drop the connections to the store."""
        self._market_store.close()
        self._count_store.close()

    async def _follow_market(self) -> None:
        while True:
            snapshot = await self._collector.status()
            for viewer in self._viewers:
                viewer.offer_hello(self._hello(snapshot, viewer.access))
            if snapshot.store_url is not None:
                try:
                    async with self._market_store.turn(snapshot.store_url) as connection:
                        rows = await self._board.changed(connection, snapshot.store_keys, snapshot.symbols)
                        for viewer in self._viewers:
                            viewer.offer_prices(_now_ms(), rows)
                        for focus, reader in self._readers(snapshot).items():
                            await self._look(focus, reader, connection)
                except SinkUnavailable:
                    # `state` says so, with the reason, when nothing can be counted either.
                    await asyncio.sleep(STATE_EVERY_S)
            await asyncio.sleep(max(MARKET_EVERY_S, len(snapshot.symbols) / SYMBOLS_PER_S))

    async def _look(self, focus: Focus, reader: FocusReader, connection: StoreConnection) -> None:
        try:
            await reader.read(connection)
        except SinkUnavailable:
            if not connection.is_open:
                raise
            # Somebody else uses one of its keys, which is told: the others go on.
            return
        reader.offer([viewer for viewer in self._viewers if viewer.focus == focus])

    async def _follow_state(self) -> None:
        while True:
            now_s = asyncio.get_running_loop().time()
            snapshot = self._judged(await self._collector.status(), _reasons_of(self._unread, now_s))
            state = self._recent.state_of(snapshot, self._environment, self._newest_gaps, now_s)
            self._offer("state", event_bytes(state))
            await asyncio.sleep(STATE_EVERY_S)

    async def _follow_completeness(self) -> None:
        while True:
            snapshot = await self._collector.status()
            wait_s = COMPLETENESS_EVERY_S
            if snapshot.store_url is not None:
                try:
                    await self._count(snapshot, snapshot.store_url)
                    self._unread = None
                except SinkUnavailable as error:
                    wait_s = STATE_EVERY_S
                    self._note_unread(str(error))
            await asyncio.sleep(wait_s if snapshot.store_url is not None else STATE_EVERY_S)

    async def _count(self, snapshot: Snapshot, store_url: str) -> None:
        rows: list[CompletenessRow] = []
        healed: dict[str, GapTotals] = {each.symbol: each for each in snapshot.gaps.totals if each.channel == "trade"}
        open_gaps = [life.key.symbol for life in snapshot.gaps.open]
        for start in range(0, len(snapshot.symbols), TALLIES_PER_TURN):
            symbols = snapshot.symbols[start : start + TALLIES_PER_TURN]
            async with self._count_store.turn(store_url) as connection:
                asked = snapshot.store_keys, symbols, self._former, snapshot.foreign
                counts = await trade_counts_apart(connection, *asked)
            for symbol, count in counts.items():
                came = sum(healed[symbol].healed.values()) if symbol in healed else 0
                rows.append(
                    CompletenessRow(
                        symbol, count.percentage, count.is_proven, count.held, count.expected,
                        count.declared.get("lost", 0), came, open_gaps.count(symbol),
                    )
                )  # fmt: skip
        self._rows = rows
        self._offer("completeness", event_bytes(CompletenessRows(rows, self._exchange)))
        self._newest_gaps = await newest_gaps(
            self._count_store, store_url, snapshot.store_keys, snapshot.symbols, snapshot.gaps, NEWEST_GAPS
        )

    def _note_unread(self, reason: str) -> None:
        """What was counted long ago proves nothing of now."""
        now_s = asyncio.get_running_loop().time()
        if self._unread is None:
            self._unread = _Unread(reason, now_s)
        elif now_s - self._unread.since_s >= UNREAD_S and any(row.proven for row in self._rows):
            self._rows = [structs.replace(row, proven=False) for row in self._rows]
            self._offer("completeness", event_bytes(CompletenessRows(self._rows, self._exchange)))

    def _forget(self) -> None:
        """Nobody looks any more; what is known will be old when somebody does."""
        self._watched.clear()
        self._unwatched.set()
        self._kept, self._focuses, self._newest_gaps, self._unread, self._rows = {}, {}, [], None, []
        self._board = PriceBoard()

    def _hello(self, snapshot: Snapshot, access: Access) -> Hello:
        return Hello(
            __version__, self._environment, "data-collector", snapshot.symbols, snapshot.intervals, access,
            snapshot.exchange, self._exchanges, (snapshot.source or "").startswith(SIMULATED_MARKET), self._address,
        )  # fmt: skip

    def _readers(self, snapshot: Snapshot) -> dict[Focus, FocusReader]:
        wanted = {viewer.focus for viewer in self._viewers if viewer.focus is not None}
        self._focuses = {
            focus: self._focuses.get(focus) or FocusReader(focus, snapshot.store_keys, UtcCalendar(), self._exchange)
            for focus in wanted
            if focus.symbol in snapshot.symbols
        }
        return self._focuses

    def _offer(self, name: str, event: bytes) -> None:
        self._kept[name] = event
        for viewer in self._viewers:
            viewer.offer_encoded(name, event)


def _reasons_of(unread: _Unread | None, now_s: float) -> list[str]:
    """The collector may be well while nobody here can look."""
    if unread is None or now_s - unread.since_s < UNREAD_S:
        return []
    return [f"this side has not been able to read the store for {now_s - unread.since_s:.0f} s: {unread.reason}"]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
