"""Finds or starts the store, and waits for it as long as the contract says; the sink that writes to it is made here."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

import structlog

from data_collector.embedded.guard import ServersGuard
from data_collector.embedded.lock import FileLock, lock_directory
from data_collector.embedded.peer import command_of
from data_collector.embedded.postgres import EmbeddedPostgres
from data_collector.embedded.valkey import EmbeddedValkey
from data_collector.model.errors import SinkUnavailable, Unavailable
from data_collector.model.status import Snapshot
from data_collector.model.store_url import StoreAddress
from data_collector.model.venue import Venue
from data_collector.observe.counters import Counters
from data_collector.observe.logs import get_log
from data_collector.service.former_stores import tell_left_behind
from data_collector.service.part import Part, PartHealth, Spawn
from data_collector.service.running import CollectorRecord, forget, write_down
from data_collector.settings import Settings, expected_store_bytes
from data_collector.settings.texts import EMBEDDED
from data_collector.sinks.postgres.failures import place_of
from data_collector.sinks.redis.calls import CallBuilder, StoreLimits
from data_collector.sinks.redis.sink import RedisSink

WAIT_S = 60.0
"""For a store that this folder was never filled into: likely a wrong address, so give up with the reason."""

RETRY_S = 0.5

CURE = "Start that store, correct REDIS_URL, or unset REDIS_URL for the embedded server."


class StoreHome(Part):
    """The data folder with its lock, the server in it or the address elsewhere, and our one sink."""

    awaited = "the embedded store to write everything out"

    def __init__(
        self, settings: Settings, folder: Path, venue: Venue, counters: Counters, *, source: str, empty: bool,
        servers: Path | None = None, api: str | None = None,
    ) -> None:  # fmt: skip
        """`source` is what the store is filled from; `empty` throws away what the embedded one held.

        `servers` is where somebody else runs an embedded store and database for us and others, `api` whose we are.
        """
        self._servers, self._api = servers, api
        self._settings = settings
        self._folder = folder
        self._venue = venue
        self._counters = counters
        self._source = source
        self._empty = empty
        self._given = settings.store_address()
        self._lock: FileLock | None = None
        self._guard = ServersGuard(folder)
        self._embedded: EmbeddedValkey | None = None
        self._sink: RedisSink | None = None
        self.was_filled = False
        """Whether this folder had filled the store before this start: one that is empty then has lost everything."""
        self.waiting_for: str | None = None
        """What is in the way while the store is not there yet."""

    @property
    def address(self) -> StoreAddress | None:
        """Where the collector writes; None before `open`."""
        if self._given is not None:
            return self._given
        return None if self._embedded is None else self._embedded.local_address

    def report(self, snapshot: Snapshot) -> PartHealth:
        """Where users read. Whether it takes what is written is told by `Storing`."""
        public = self._given or (None if self._embedded is None else self._embedded.address)
        if public is not None:
            snapshot.store_url, snapshot.redis_url = public.whole, public.masked
            snapshot.source = self._source
        return PartHealth()

    async def open(self) -> None:
        """Lock the folder and start the embedded server if no other store was given.

        Raises `Misconfigured` or `Unavailable`.
        """
        self._lock = await asyncio.to_thread(lock_directory, self._folder)
        url = self._settings.database_url
        if self._given is None or (url is not None and url.get_secret_value() == EMBEDDED):
            await asyncio.to_thread(self._guard.start)
        if self._given is None:
            log = structlog.get_logger()
            if not self._empty:
                await asyncio.to_thread(tell_left_behind, self._folder, log)
            embedded = EmbeddedValkey(self._folder, log=log)
            try:
                await embedded.start()
                if self._empty:
                    await embedded.empty()
            except BaseException:
                await embedded.stop()
                raise
            self._embedded = embedded
        try:
            await asyncio.to_thread(write_down, self._folder, record_of(self._settings, self._servers, self._api))
        except OSError as error:
            # Commands beside us then need to be told by hand where everything is; collecting does not.
            structlog.get_logger().warning("record_not_written", folder=str(self._folder), reason=error.strerror)

    async def connect(self) -> RedisSink:
        """The sink, opened, when the store is there: waited for without end if it was filled before, else `WAIT_S`.

        Raises `Unavailable` when that is over, `Misconfigured` at once.
        """
        self._sink = sink = self._make_sink()
        deadline = time.monotonic() + WAIT_S
        while True:
            try:
                await sink.open()
                break
            except SinkUnavailable as error:
                if self.waiting_for is None:
                    patience = "as long as it takes" if self._marker.exists() else f"for {WAIT_S:.0f} s"
                    structlog.get_logger().warning(
                        "store_awaited", reason=str(error), advice=f"We wait {patience}. {CURE}"
                    )
                self.waiting_for = str(error)
                if time.monotonic() > deadline and not self._marker.exists():
                    raise Unavailable(f"{error} Waited {WAIT_S:.0f} s. {CURE}") from error
            await asyncio.sleep(RETRY_S)
        self.waiting_for = None
        self.was_filled = self.was_filled or (not self._empty and self._marker.exists())
        await asyncio.to_thread(self._marker.touch, 0o600)
        return sink

    def _make_sink(self) -> RedisSink:
        address, settings, venue = self.address, self._settings, self._venue
        assert address is not None, "the store is open"
        limits = StoreLimits(settings.trades_maxlen, settings.stream_maxlen, settings.kline_ttl_s)
        calls = CallBuilder(venue.store_keys, limits, venue.calendar, uuid.uuid4().hex, address.database)
        expected = expected_store_bytes(settings)
        structlog.get_logger().info("store_size_expected", mebibytes=expected // 2**20, symbols=len(settings.symbols))
        return RedisSink(
            address, calls, self._counters, source=self._source, expected_bytes=expected,
            channels=settings.channels,
        )  # fmt: skip

    def start(self, spawn: Spawn) -> None:
        """See `Part`."""
        spawn("store", self.watch)

    async def watch(self) -> None:
        """Bring the embedded server back when it ends; never returns. Waits for ever where there is none."""
        if self._embedded is None:
            await asyncio.Event().wait()
            return
        await self._embedded.keep_up()

    async def close(self) -> None:
        """Close the sink, stop the embedded server with everything written, and unlock the folder."""
        if self._sink is not None:
            await self._sink.close()
        if self._embedded is not None:
            # Whoever is told afterwards why it ended is told of no store.
            embedded, self._embedded = self._embedded, None
            await embedded.stop()
        await asyncio.to_thread(self._guard.end)
        if self._lock is not None:
            await asyncio.to_thread(forget, self._folder)
            self._lock.release()

    @property
    def _marker(self) -> Path:
        # The password may change; the place is what counts.
        place = "embedded" if self._given is None else f"{self._given.place}/{self._given.database}"
        return self._folder / f"filled-{hashlib.sha256(place.encode()).hexdigest()[:16]}"


def record_of(settings: Settings, servers: Path | None = None, api: str | None = None) -> CollectorRecord:
    """This process, collecting with these settings; `servers` is the folder of embedded ones that others run for us."""
    url = None if settings.database_url is None else settings.database_url.get_secret_value()
    return CollectorRecord(
        pid=os.getpid(),
        command=command_of(os.getpid()),
        started_at=datetime.now(UTC).isoformat(),
        exchange=settings.exchange,
        rest_url=settings.rest_url,
        ws_url=settings.ws_url,
        database=url if url is None or url == EMBEDDED else _place(url, servers),
        servers=None if servers is None else str(servers.resolve()),
        api=api,
    )


def _place(url: str, servers: Path | None) -> str:
    """`embedded` for a database that is one of those servers."""
    shared = None if servers is None else EmbeddedPostgres(servers / "postgres", log=get_log())
    return EMBEDDED if shared is not None and shared.running_dsn() == url else place_of(url)
