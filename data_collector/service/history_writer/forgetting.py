"""When the history writer deletes what is older than the retention, and what becomes of a deletion that fails.

Life cycle: `step` is called between two reads of the store, whether the writer has caught up or not: one that never
catches up would fill the disk otherwise. A step deletes no more rows than a read brings, so neither runs away from the
other. A table that cannot be deleted from is told as a reason, and the others go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from data_collector.model.errors import Misconfigured, SinkUnavailable
from data_collector.service.history_writer.messages import Orders
from data_collector.sinks.postgres.following import FollowedDatabase
from data_collector.sinks.postgres.forgetting import (
    ROWS_PER_STATEMENT,
    OldSeries,
    OldTable,
    tables_to_forget,
)

PERIOD_S = 3600.0
RETRY_S = 60.0
"""After a round in which something failed: whoever holds a lock, or may grant a right, needs a moment."""

STATEMENTS_PER_STEP = 5
"""10,000 rows, as many as one read of the store brings."""


class Forgetting:
    """Rounds over all tables that have a retention, a few statements at a time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due_s = float("-inf")
        self._tables: list[tuple[OldTable, int]] | None = None
        """What is left of this round, with its days; None between two rounds."""
        self._series: list[OldSeries] = []
        """What is left of the table at work."""
        self._rows = 0
        """Deleted in this round."""
        self._faults: list[str] = []
        """Those of this round, each of them once."""
        self._log = structlog.get_logger()
        self.reason: str | None = None
        """Why old rows stay; None after a round without a fault."""
        self.deleted: dict[str, int] = {}
        """Table to rows that went since the start."""
        self.failures = 0
        self.completed_s: float | None = None
        """When a round last ended without a fault, in seconds since 1970."""

    async def step(self, database: FollowedDatabase, orders: Orders) -> None:
        """Delete some of what is too old, if it is time for that. Failures are told by `reason`."""
        if self._tables is None:
            if self._clock() < self._due_s:
                return
            tables = tables_to_forget(orders.keep_klines_days, orders.keep_trades_days, orders.keep_tickers_days)
            if not tables:
                return
            self._tables = list(tables.items())
        for _ in range(STATEMENTS_PER_STEP):
            if not self._series and not self._tables:
                self._end_round()
                return
            try:
                await self._next_statement(database, self._tables)
            except (SinkUnavailable, Misconfigured) as error:
                self._fail(str(error))

    async def _next_statement(self, database: FollowedDatabase, tables: list[tuple[OldTable, int]]) -> None:
        if not self._series:
            table, days = tables.pop(0)
            if chunks := await database.drop_chunks(table, days):
                self._log.info("history_chunks_dropped", table=table, chunks=chunks)
            self._series = await database.old_series(table, days)
            return
        series = self._series[-1]
        rows = await database.delete_oldest(series)
        if rows < ROWS_PER_STATEMENT:
            self._series.pop()
        self.deleted[series.table] = self.deleted.get(series.table, 0) + rows
        self._rows += rows

    def _fail(self, fault: str) -> None:
        # The rest of this table would most likely fail for the same reason.
        self._series.clear()
        self.failures += 1
        if fault not in self._faults:
            self._faults.append(fault)
        if self.reason is None:
            self._log.warning("history_rows_not_forgotten", reason=fault)
        self.reason = "; ".join(self._faults)

    def _end_round(self) -> None:
        if self._rows:
            self._log.info("history_rows_forgotten", rows=self._rows)
        if not self._faults:
            self.reason = None
            self.completed_s = time.time()
        self._due_s = self._clock() + (RETRY_S if self._faults else PERIOD_S)
        self._tables, self._rows, self._faults = None, 0, []
