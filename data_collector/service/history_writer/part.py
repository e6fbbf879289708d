"""PostgreSQL as one part of the collector: the writer process is started, told what to write, and brought back."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import structlog
from msgspec import structs

from data_collector.child import Link, LinkLost, start_child
from data_collector.embedded.postgres import EmbeddedPostgres
from data_collector.model.backoff import Backoff
from data_collector.model.errors import Misconfigured, SinkUnavailable, Unavailable
from data_collector.model.status import HistoryStatus, Snapshot
from data_collector.model.venue import Venue
from data_collector.observe.counters import Counters
from data_collector.service.history_writer.loss_repair import LossRepair
from data_collector.service.history_writer.messages import PROGRESS, Lost, Orders, Progress, stored_rows
from data_collector.service.part import Part, PartHealth, Spawn
from data_collector.service.resubscription import Resubscription
from data_collector.service.store import StoreHome
from data_collector.settings import Settings
from data_collector.settings.texts import EMBEDDED
from data_collector.sinks.postgres.failures import named_failures, place_of
from data_collector.sinks.postgres.forgetting import tables_to_forget
from data_collector.sinks.postgres.migrate import migrate
from data_collector.sinks.postgres.pool import PostgresPool, open_pool
from data_collector.time_limit import time_limit

COMMAND: Final = (sys.executable, "-m", "data_collector", "history-writer")
"""`--fd N` is appended: the end of the socket pair on which it hears from us."""

SILENT_S: Final = 90.0
"""It speaks once a second, and the longest it waits for PostgreSQL is a minute: past this it is stuck."""

LATE_S: Final = 3.0
"""So many seconds without a word of it are told."""

ORDERS_CHECK_S: Final = 1.0
RESTART_FIRST_S: Final = 0.5
RESTART_LONGEST_S: Final = 30.0
STOP_S: Final = 1.0
"""It ends when it sees that we hung up; one that is killed loses nothing, and a reload has 5 s for everything."""

REFUSALS_TOLD: Final = 5
"""Symbols that `/health` names with the reason."""

TABLES_S: Final = 60.0
"""A start does not wait longer for the tables of a subclass: the writer brings them up to date."""

BRING_BACK_S: Final = 5.0
STARTING: Final = "starting"


class History(Part):
    """What the service holds of PostgreSQL. Nothing of it can disturb the path to the store."""

    awaited = "PostgreSQL to write everything out"

    def __init__(
        self, settings: Settings, folder: Path, venue: Venue, counters: Counters, store: StoreHome,
        subscribed: Resubscription, epochs: Mapping[str, int], *, klines: bool, empty: bool,
    ) -> None:  # fmt: skip
        """Written is what is `subscribed` and in the `store`, and the numbers of `epochs`.

        Without `klines` where a subclass stores those itself. `empty` throws away what the embedded server held.
        """
        url = None if settings.database_url is None else settings.database_url.get_secret_value()
        self._venue = venue
        self._klines, self._trades, self._tickers = klines, settings.postgres_trades, settings.postgres_tickers
        self._keep_days = (
            settings.retention_days_klines, settings.retention_days_trades, settings.retention_days_tickers,
        )  # fmt: skip
        self._repair = LossRepair(settings)
        self._counters = counters
        self._log = structlog.get_logger()
        self._embedded = EmbeddedPostgres(folder / "postgres", log=self._log) if url == EMBEDDED else None
        self._url = url if self._embedded is None else None
        self._url_known = asyncio.Event()
        if self._url is not None:
            self._url_known.set()
        self._is_on = url is not None
        self._empty = empty
        self._progress = Progress(down_reason=STARTING)
        self._heard_s = time.monotonic()
        """When the writer spoke last."""
        self._restarts = -1
        self._lost_before: tuple[Lost, ...] = ()
        """As the writer before told it."""
        self._counted = stored_rows()
        """Of writers that have ended, as the next two."""
        self._deleted: dict[str, int] = dict.fromkeys(tables_to_forget(*self._keep_days), 0)
        self._deletion_failures = 0
        self._unreadable = 0
        self._store = store
        self._subscribed = subscribed
        self._epochs = epochs

    def start(self, spawn: Spawn) -> None:
        """See `Part`."""
        if self._embedded is not None:
            spawn("embedded postgres", self._keep_embedded)
        if self._is_on and (self._klines or self._trades or self._tickers or self._deleted):
            spawn("history", self._keep_writing)
            spawn("history repair", self._bring_lost)

    async def open_pool(self) -> PostgresPool | None:
        """For a subclass, with our tables made; None without PostgreSQL. Waits for the embedded one to come up.

        Neither a server that is away nor foreign tables are a reason to stop: the pool connects when it is asked to,
        and `/health` tells. Raises `Misconfigured` for a URL that cannot be read.
        """
        if not self._is_on:
            return None
        url = await self._until_url()
        pool = await open_pool(url, lazy=True, exchange=self._venue.name)
        try:
            async with time_limit(TABLES_S):
                with named_failures(place_of(url)):
                    async with pool.acquire() as connection:
                        await migrate(connection)
        except TimeoutError:
            self._log.warning("history_awaited", reason="the tables are being brought up to date, which takes long")
        except (SinkUnavailable, Misconfigured) as error:
            self._log.warning("history_awaited", reason=str(error))
        except BaseException:
            pool.terminate()
            raise
        return pool

    async def close(self) -> None:
        """Stop the embedded server. The writer ends with its task."""
        if self._embedded is not None:
            await self._embedded.stop()

    def report(self, snapshot: Snapshot) -> PartHealth:
        """How far the writer is, and where to read."""
        snapshot.history = status = self._status()
        if self._is_on:
            self._set_gauges(status)
        if self._embedded is not None:
            snapshot.database_url = self._url
        return PartHealth(self._reasons())

    @property
    def _newest_progress(self) -> Progress:
        """The writer's last words, and how long they have been its last."""
        progress, silent_s = self._progress, time.monotonic() - self._heard_s
        if silent_s <= LATE_S or self._restarts < 0:
            return progress
        told = f"the history writer has said nothing for {silent_s:.0f} s"
        return structs.replace(
            progress,
            down_reason=progress.down_reason or told,
            lag_seconds=round(progress.lag_seconds + silent_s, 3),
        )

    def _reasons(self) -> list[str]:
        progress = self._newest_progress
        if not self._is_on or (progress.down_reason == STARTING and self._restarts < 0):
            return []
        if progress.down_reason is not None:
            waits = f"the store keeps what waits (since {progress.lag_seconds:.0f} s)"
            return [f"history: {progress.down_reason}; {waits}", *progress.dropped_reasons]
        reasons = [
            f"history: the rows of {symbol} are refused, the others are written; {_kept(symbol, progress)}: {reason}"
            for symbol, reason in sorted(progress.refused.items())[:REFUSALS_TOLD]
        ]
        if len(progress.refused) > REFUSALS_TOLD:
            reasons.append(f"history: so are those of {len(progress.refused) - REFUSALS_TOLD} more symbols (/status)")
        if progress.unreadable_reason is not None:
            reasons.append(
                f"history: {progress.unreadable:,} entries of the store are none of ours and were left out; somebody "
                f"else writes there: {progress.unreadable_reason}"
            )
        lost = [each for each in progress.lost if each not in self._repair.brought]
        reasons += [self._repair.told(each) for each in lost[:REFUSALS_TOLD]]
        if progress.deletion_reason is not None:
            told = "history: rows older than their retention stay, new ones are written"
            reasons.append(f"{told}: {progress.deletion_reason}")
        return reasons + progress.dropped_reasons

    def _status(self) -> HistoryStatus:
        if not self._is_on:
            return HistoryStatus()
        progress = self._newest_progress
        return HistoryStatus(
            state="running" if progress.down_reason is None else "down",
            reason=progress.down_reason,
            database="embedded" if self._url is None else place_of(self._url),
            rows={channel: self._counted[channel] + progress.rows.get(channel, 0) for channel in self._counted},
            replaced=progress.changed,
            refused=progress.refused,
            lag_seconds=progress.lag_seconds,
            lag_entries=progress.lag_entries,
            restarts=max(0, self._restarts),
            is_beginning=not self._url_known.is_set() and progress.down_reason == STARTING,
            deleted={table: rows + progress.deleted.get(table, 0) for table, rows in self._deleted.items()},
            deletion_reason=progress.deletion_reason,
        )

    def _set_gauges(self, status: HistoryStatus) -> None:
        counters = self._counters
        counters.set("data_collector_history_up", 1 if status.state == "running" else 0)
        counters.set("data_collector_history_lag_seconds", status.lag_seconds)
        if status.lag_entries is not None:
            counters.set("data_collector_history_lag_entries", status.lag_entries)
        counters.set("data_collector_history_refused_symbols", len(status.refused))
        counters.set("data_collector_history_writer_starts_total", self._restarts + 1)
        for channel, rows in status.rows.items():
            counters.set("data_collector_history_rows_total", rows, channel=channel)
        for table, rows in status.deleted.items():
            counters.set("data_collector_history_rows_deleted_total", rows, table=table)
        failures = self._deletion_failures + self._progress.deletion_failures
        counters.set("data_collector_history_deletion_failures_total", failures)
        unreadable = self._unreadable + self._progress.unreadable
        counters.set("data_collector_history_entries_unreadable_total", unreadable)
        if self._progress.deletion_completed_s is not None:
            completed_s = self._progress.deletion_completed_s
            counters.set("data_collector_history_deletion_completed_timestamp_seconds", completed_s)

    async def _bring_lost(self) -> None:
        await self._repair.run(lambda: self._progress.lost, lambda: self._url)

    async def _keep_embedded(self) -> None:
        assert self._embedded is not None, "the task is made only then"
        while True:
            try:
                if self._empty:
                    self._empty = False
                    await self._embedded.empty()
                await self._embedded.start()
                self._url = self._embedded.dsn
                self._url_known.set()
                await self._embedded.wait()
                self._log.error("embedded_postgres_ended")
            except (Misconfigured, Unavailable) as error:
                self._progress = Progress(down_reason=str(error), lost=self._progress.lost)
                self._log.error("embedded_postgres_not_started", reason=str(error), retry_s=BRING_BACK_S)
                await asyncio.sleep(BRING_BACK_S)

    async def _keep_writing(self) -> None:
        """Bring the writer back whenever it ends; what it had not written is still in the store."""
        backoff = Backoff(RESTART_FIRST_S, RESTART_LONGEST_S, jitter=False)
        while True:
            await self._until_url()
            started_s = time.monotonic()
            self._restarts += 1
            if not self._restarts:
                self._heard_s = started_s
            try:
                reason = await self._write_once()
            except OSError as error:
                reason = f"the history writer cannot be started ({error.strerror})"
            self._count_ended(self._progress)
            self._lost_before = tuple(self._progress.lost)
            self._progress = Progress(down_reason=reason, lost=self._progress.lost)
            wait_s = backoff.next_delay_s(served_s=time.monotonic() - started_s)
            self._log.error("history_writer_ended", reason=reason, restart_s=wait_s)
            await asyncio.sleep(wait_s)

    def _count_ended(self, last: Progress) -> None:
        for channel in self._counted:
            self._counted[channel] += last.rows.get(channel, 0)
        for table in self._deleted:
            self._deleted[table] += last.deleted.get(table, 0)
        self._deletion_failures += last.deletion_failures
        self._unreadable += last.unreadable

    async def _until_url(self) -> str:
        await self._url_known.wait()
        assert self._url is not None, "that is when the event is set"
        return self._url

    async def _orders(self) -> Orders:
        url, address = await self._until_url(), self._store.address
        assert address is not None, "the task begins when the store is open"
        venue, symbols = self._venue, self._subscribed.current.symbols
        return Orders(
            url, address.whole, venue.key_prefix, venue.name, symbols, self._klines, self._trades, self._tickers,
            *self._keep_days, dict(self._epochs), self._lost_before,
        )  # fmt: skip

    async def _write_once(self) -> str:
        """Start the writer and hear from it until it ends; returns why that was."""
        child = await start_child(COMMAND, PROGRESS)
        self._log.info("history_writer_started", pid=child.pid)
        ordering = asyncio.create_task(self._order(child.link))
        try:
            return await self._listen(child.link)
        finally:
            ordering.cancel()
            # What is under way is rolled back when it is killed.
            await child.end(STOP_S)

    async def _listen(self, link: Link[Progress]) -> str:
        while True:
            try:
                async with time_limit(SILENT_S):
                    self._progress = await link.receive()
                    self._heard_s = time.monotonic()
            except LinkLost:
                return "the history writer has died and is started again"
            except TimeoutError:
                return f"the history writer was silent for {SILENT_S:.0f} s and was killed"

    async def _order(self, link: Link[Progress]) -> None:
        """Tell it what to write, now and whenever that changes."""
        sent: Orders | None = None
        with contextlib.suppress(LinkLost):
            while True:
                newest = await self._orders()
                if newest != sent:
                    await link.send(newest)
                    sent = newest
                await asyncio.sleep(ORDERS_CHECK_S)


def _kept(symbol: str, progress: Progress) -> str:
    if symbol in progress.trimmed:
        return "the store has already trimmed some of what waited, which a backfill can bring once rows are taken"
    return "the store keeps what waits"
