"""The history writer: a process of its own that follows the store and writes what it reads to PostgreSQL.

The buffer is the store's own streams: while PostgreSQL is away nothing is read, and afterwards reading goes on behind
the cursor, which is written in the same transaction as the rows. So nothing is written twice and nothing is left out,
whichever of the three processes dies; what the store had trimmed meanwhile is told, and the backfill finds it.
Tickers are no stream: of them there is a sample.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import structlog

from data_collector.child import Link, LinkLost, open_link
from data_collector.model.backoff import Backoff
from data_collector.model.errors import Misconfigured, RowsRefused, SinkUnavailable
from data_collector.model.records import Ticker
from data_collector.model.store_url import parse_store_url
from data_collector.observe.logs import name_exchange
from data_collector.observe.output import dropped_reasons
from data_collector.service.history_writer.forgetting import Forgetting
from data_collector.service.history_writer.losses import Losses
from data_collector.service.history_writer.messages import ORDERS, Orders, Progress, stored_rows
from data_collector.service.history_writer.reading import BEGINNING, ReadBatch, Rows, StreamReader
from data_collector.service.history_writer.refused_trades import RefusedTrades
from data_collector.service.history_writer.sampling import TickerSampler
from data_collector.sinks.postgres.following import FollowedDatabase
from data_collector.sinks.postgres.rights import rights_to_write
from data_collector.sinks.redis.connection import StoreConnection
from data_collector.time_limit import time_limit

POLL_S = 1.0
"""How old a row gets before it is in PostgreSQL. Reading more often costs the store more than it is worth."""

PROGRESS_S = 1.0
LOOK_BACK_S = 10.0
"""How often it is asked whether the store has lost what was read already."""

HELD_UP_S = 5.0
"""Between two reads; past this the store may have trimmed what was not read."""
COUNT_S = 3.0
"""How often entries that wait are counted while there are some."""

NO_STREAM = " is no stream: delete or rename it"

UNREADABLE_TOLD_S = 600.0
"""How long it is told that an entry was left out."""

RETRY_FIRST_S = 0.5
RETRY_LONGEST_S = 10.0

RETRY_REFUSED_S = 60.0
"""Between two tries of what PostgreSQL refuses as it is: somebody has to mend something before."""


class HistoryWriter:
    """Runs until cancelled. All it knows is in the store and in PostgreSQL."""

    def __init__(self, orders: Orders, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` tells when old rows are looked for."""
        self._orders = orders
        self._changed = asyncio.Event()
        self._down_reason: str | None = "connecting"
        self._rows = stored_rows()
        self._replaced = 0
        self._unreadable = 0
        self._unreadable_reason: str | None = None
        self._unreadable_s = 0.0
        """When it came."""
        self._lag_s = 0.0
        self._lag_entries: int | None = None
        self._counted_s = 0.0
        """When entries that wait were counted last."""
        self._cursors: dict[str, str] | None = None
        """How far rows are in PostgreSQL; None before it told."""
        self._epochs: dict[str, int] = {}
        """Of symbols whose trades in PostgreSQL are not in their first epoch."""
        self._refused: dict[str, str] = {}
        """Symbols whose rows PostgreSQL refuses, and why: their streams are left alone until `_retry_s`."""
        self._retry_s = 0.0
        self._unfit: set[str] = set()
        """Those whose names the database cannot hold."""
        self._refused_trades = RefusedTrades({})
        self._told: dict[str, str] = {}
        """The same, as the starter knows it: it does not blink while they are tried again."""
        self._trimmed: list[str] = []
        """Of these symbols the store has thrown away some of what waited."""
        self._caught_up_s = time.monotonic()
        self._read_s = time.monotonic()
        """When a read began last."""
        self._forgetting = Forgetting(clock)
        self._losses = Losses(clock, orders.lost)
        self._log = structlog.get_logger()

    @property
    def progress(self) -> Progress:
        """For the starter."""
        down_reason, held_up_s = self._down_reason, time.monotonic() - self._read_s
        if down_reason is None and held_up_s > HELD_UP_S:
            down_reason = f"PostgreSQL, or the store, has not answered for {held_up_s:.0f} s"
        lag_s = self._lag_s if down_reason is None else round(time.monotonic() - self._caught_up_s, 3)
        forgetting, is_told = self._forgetting, time.monotonic() - self._unreadable_s < UNREADABLE_TOLD_S
        return Progress(
            down_reason, dict(self._rows), self._replaced, self._told, self._unreadable, lag_s,
            self._lag_entries, dict(forgetting.deleted), forgetting.failures, forgetting.reason, forgetting.completed_s,
            self._trimmed, self._unreadable_reason if is_told else None, self._losses.told,
            dropped_reasons("the history writer"),
        )  # fmt: skip

    def use(self, orders: Orders) -> None:
        """Follow these from the next read on."""
        self._orders = orders
        self._changed.set()

    async def run(self) -> None:
        """Follow, and try again for as long as either side is away or refuses: somebody may mend it."""
        backoff = Backoff(RETRY_FIRST_S, RETRY_LONGEST_S, jitter=False)
        while True:
            try:
                await self._follow()
            except (SinkUnavailable, Misconfigured) as error:
                if self._down_reason is None:
                    backoff.reset()
                self._tell_down(str(error))
                await asyncio.sleep(backoff.next_delay_s())

    async def _follow(self) -> None:
        orders = self._orders
        self._changed.clear()
        address = parse_store_url(orders.store_url)
        connection = await StoreConnection.connect(address)
        database: FollowedDatabase | None = None
        try:
            if self._cursors is not None:
                # PostgreSQL may be away for long: how much waits is told meanwhile.
                waiting = StreamReader(connection, orders, self._cursors)
                await waiting.leave_out_foreign()
                await self._count_waiting(waiting)
            rights = rights_to_write(klines=orders.klines, trades=orders.trades, tickers=orders.tickers)
            store = f"{address.place}/{address.database}"
            database = await FollowedDatabase.open(
                orders.database_url, orders.exchange, rights, store=store, tell=self._tell_down
            )
            self._cursors = await database.cursors()
            self._refused_trades = RefusedTrades(self._cursors)
            self._epochs = await database.epochs()
            reader = StreamReader(connection, orders, self._cursors, self._epochs)
            await self._leave_out_foreign(reader)
            await self._begin_anew(reader, database)
            self._log.info("history_up", candles_in=await database.layout())
            self._down_reason = None
            await self._read_on(reader, TickerSampler(connection, orders), database)
        finally:
            connection.close()
            if database is not None:
                database.close()

    async def _read_on(self, reader: StreamReader, sampler: TickerSampler, database: FollowedDatabase) -> None:
        """Until orders change."""
        looked_back_s, self._read_s = 0.0, time.monotonic()
        while not self._changed.is_set():
            if time.monotonic() - self._read_s > HELD_UP_S:
                # A PostgreSQL that is slow and one that is away come to the same.
                await self._tell_trimmed(reader)
            self._read_s = time.monotonic()
            if time.monotonic() - looked_back_s > LOOK_BACK_S:
                looked_back_s = time.monotonic()
                await self._leave_out_foreign(reader)
                for name in await reader.go_back_where_the_store_lost():
                    self._log.warning("history_stream_begins_anew", stream=name)
            if self._refused and time.monotonic() > self._retry_s:
                await self._begin_anew(reader, database)
            batch = await reader.read()
            self._unreadable += batch.unreadable
            if batch.unreadable_reason is not None:
                self._unreadable_reason, self._unreadable_s = batch.unreadable_reason, time.monotonic()
            await self._record_trimmed(batch, reader, database)
            if batch.has_rows or batch.is_full:
                await self._write(batch, reader, database)
                self._cursors = dict(reader.cursors)
            await self._sample(sampler, reader, database)
            self._told = dict(self._refused)
            await self._forgetting.step(database, self._orders)
            await self._losses.look(database)
            self._lag_s = await reader.lag_s() if batch.is_full or self._refused else 0.0
            await self._keep_refused(reader, database)
            trimmed = reader.trimmed_held | self._refused_trades.trimmed
            self._trimmed = sorted(trimmed.intersection(self._refused))
            if batch.is_full:
                # Behind: trimming may overtake the cursor meanwhile.
                await self._tell_trimmed(reader)
                await self._count_waiting(reader)
            else:
                if self._refused:
                    await self._count_waiting(reader)
                else:
                    self._lag_entries = 0
                self._caught_up_s = time.monotonic()
                with contextlib.suppress(TimeoutError):
                    async with time_limit(POLL_S):
                        await self._changed.wait()

    async def _leave_out_foreign(self, reader: StreamReader) -> None:
        await reader.leave_out_foreign()
        for name in sorted(reader.foreign):
            self._unreadable_reason, self._unreadable_s = f"{name}{NO_STREAM}", time.monotonic()
        if not reader.foreign and (self._unreadable_reason or "").endswith(NO_STREAM):
            self._unreadable_reason = None

    async def _keep_refused(self, reader: StreamReader, database: FollowedDatabase) -> None:
        for symbol, first in reader.held_trades.items():
            if symbol in self._refused:
                with self._isolated(symbol, reader):
                    fits = symbol not in self._unfit
                    place = await self._refused_trades.keep(symbol, first, database, fits=fits)
                    if reader.cursors[first.stream] == BEGINNING:
                        self._cursors = {**(self._cursors or {}), first.stream: place}
                        reader.cursors[first.stream] = place

    async def _count_waiting(self, reader: StreamReader) -> None:
        """Not at every read: it is three questions for each stream."""
        if time.monotonic() - self._counted_s > COUNT_S:
            self._lag_entries = await reader.waiting()
            self._counted_s = time.monotonic()

    async def _tell_trimmed(self, reader: StreamReader) -> None:
        """Of candles; trades that were trimmed are seen when one behind them is read."""
        for found in await reader.trimmed():
            self._losses.note_klines(found)

    async def _record_trimmed(self, batch: ReadBatch, reader: StreamReader, database: FollowedDatabase) -> None:
        """Before what was read behind them is written: the place to read on from moves with that."""
        for found in batch.trimmed:
            with self._isolated(found.symbol, reader):
                await self._keep_epochs({found.symbol: found.epoch}, database)
                await self._losses.record_trades(found, database)

    async def _keep_epochs(self, epochs: Mapping[str, int], database: FollowedDatabase) -> None:
        newer = {symbol: epoch for symbol, epoch in epochs.items() if epoch > self._epochs.get(symbol, 0)}
        if newer:
            await database.put_epochs(newer)
            self._epochs |= newer

    async def _begin_anew(self, reader: StreamReader, database: FollowedDatabase) -> None:
        """With all symbols but those whose names the database cannot hold."""
        self._refused.clear()
        reader.release()
        unfit = await database.unfit(self._orders.symbols)
        self._unfit = set(unfit)
        for symbol, reason in unfit.items():
            self._refuse(symbol, reason, reader)
        for symbol in self._orders.symbols:
            if symbol in self._orders.epochs and symbol not in self._refused:
                with self._isolated(symbol, reader):
                    await self._keep_epochs({symbol: self._orders.epochs[symbol]}, database)
        await self._tell_trimmed(reader)

    @contextlib.contextmanager
    def _isolated(self, symbol: str, reader: StreamReader) -> Iterator[None]:
        """What PostgreSQL refuses of a symbol stays in the store; it is tried again, since somebody may mend that."""
        try:
            yield
        except RowsRefused as error:
            self._refuse(symbol, str(error), reader)

    def _refuse(self, symbol: str, reason: str, reader: StreamReader) -> None:
        if self._told.get(symbol) != reason:
            self._log.warning("history_rows_refused", symbol=symbol, reason=reason)
        self._refused[symbol] = reason
        self._retry_s = time.monotonic() + RETRY_REFUSED_S
        reader.hold(symbol, self._cursors or {})

    async def _write(self, batch: ReadBatch, reader: StreamReader, database: FollowedDatabase) -> None:
        try:
            await self._put(batch.whole(), database)
        except RowsRefused:
            for symbol, part in batch.parts.items():
                with self._isolated(symbol, reader):
                    await self._put(part, database)

    async def _put(self, rows: Rows, database: FollowedDatabase) -> None:
        await self._keep_epochs({row.record.symbol: row.epoch for row in rows.trades if row.epoch}, database)
        gaps = [(declared.key, declared.gap, declared.epoch) for declared in rows.gaps]
        of_klines, of_trades = await database.put(rows.klines, rows.revised, rows.trades, gaps, rows.cursors)
        self._rows["kline"] += of_klines.added
        self._rows["trade"] += of_trades.added
        self._replaced += of_klines.changed + of_trades.changed

    async def _sample(self, sampler: TickerSampler, reader: StreamReader, database: FollowedDatabase) -> None:
        tickers = [ticker for ticker in await sampler.read() if ticker.symbol not in self._refused]
        try:
            await self._put_tickers(tickers, sampler, database)
        except RowsRefused:
            for ticker in tickers:
                with self._isolated(ticker.symbol, reader):
                    await self._put_tickers([ticker], sampler, database)

    async def _put_tickers(
        self, tickers: Sequence[Ticker], sampler: TickerSampler, database: FollowedDatabase
    ) -> None:  # fmt: skip
        if tickers:
            self._rows["ticker"] += await database.put_tickers(tickers)
            sampler.take(tickers)

    def _tell_down(self, reason: str) -> None:
        if self._down_reason != reason:
            self._log.warning("history_down", reason=reason)
        self._down_reason = reason


async def serve_history(end: socket.socket) -> None:
    """Write what the starter orders, until it hangs up."""
    link = await open_link(end, ORDERS)
    try:
        orders = await link.receive()
    except LinkLost:
        return
    name_exchange(orders.exchange)
    history = HistoryWriter(orders)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(history.run()), group.create_task(_tell(link, history))]
        with contextlib.suppress(LinkLost):
            while True:
                history.use(await link.receive())
        for task in tasks:
            task.cancel()


async def _tell(link: Link[Orders], history: HistoryWriter) -> None:
    with contextlib.suppress(LinkLost):
        while True:
            await link.send(history.progress)
            await asyncio.sleep(PROGRESS_S)
