"""The collector as a class to subclass.

    class MyCollector(DataCollector):
        async def on_kline(self, data: dict) -> None:
            print(data["symbol"], data["close"])

    collector = MyCollector()
    await collector.start()
    ...
    await collector.stop()

Settings come from the environment and `.env`, as everywhere; keyword arguments replace them. Hooks run in a task of
their own behind a bounded queue, one record after the other, so that a slow hook delays neither the feed nor the store.
Hooks that are not overridden cost nothing.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import ClassVar

import structlog

from data_collector.model.errors import Misconfigured, Transient
from data_collector.model.keys import FIRST_EXCHANGE, Channel
from data_collector.model.records import AggregateTrade, Kline, MiniTicker, Quote, Record, Ticker, Trade
from data_collector.model.status import Snapshot
from data_collector.model.subscriptions import Change, DesiredSubscriptions
from data_collector.model.venue import Venue
from data_collector.model.wire import kline_object, ticker_object, trade_object
from data_collector.observe.logs import configure_logs
from data_collector.service.service import Service
from data_collector.settings import load_settings
from data_collector.settings.fields import FIELDS, variable_of, variables
from data_collector.sinks.postgres.pool import PostgresPool
from data_collector.time_limit import time_limit
from data_collector.venues.discovery import find_venue

HOOK_QUEUE_MAX = 10_000
"""Records that wait for a hook; when full, the oldest is dropped and counted (`hook_dropped`). The store has it."""

HOOK_DRAIN_S = 5.0
"""How long a stop waits for hooks to take what is left."""


class DataCollector:
    """A collector of one exchange. Subclasses name it and override hooks."""

    exchange: ClassVar[str | Venue] = FIRST_EXCHANGE
    """Name of a shipped exchange, or a `Venue` of your own (docs/adding-a-venue.md)."""

    extra_channels: ClassVar[tuple[Channel, ...]] = ()
    """Channels to decode for `on_record` alone: any of `aggTrade`, `miniTicker`, `quote`."""

    def __init__(self, **settings: object) -> None:
        """`DataCollector(symbols=["BTCUSDT"], redis_url="redis://…")`: names of the settings in lower case.

        `symbols`, `ws_url`, `rest_url` and `api_key` are those of the exchange, whatever its name. Raises
        `Misconfigured` with every fault at once.
        """
        exchange = self.exchange
        venue = find_venue(exchange) if isinstance(exchange, str) else exchange
        given = _as_environment(settings, venue.name)
        environ = {name: text for name, text in os.environ.items() if name.removesuffix("_FILE") not in given} | given
        hooked = self._hooks()
        self.pg_pool: PostgresPool | None = None
        """An asyncpg pool, from `start` on, when DATABASE_URL is set."""
        self.hook_dropped = 0
        """Records that a slow hook did not get."""
        self._queue: asyncio.Queue[Record] = asyncio.Queue(HOOK_QUEUE_MAX)
        self._hooked = hooked
        self._service = Service(
            load_settings(environ, exchange=venue),
            venue=venue,
            tap=self._tap if hooked else None,
            extra_channels=self.extra_channels,
            klines_elsewhere=bool(hooked) and hooked["store_in_postgres"],
        )
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Return when records are being collected. Raises what keeps the collector from it."""
        if not structlog.is_configured():
            # The library's own default prints local variables with a traceback, and those may hold a password.
            configure_logs()
        running = asyncio.create_task(self._service.run())
        collecting = asyncio.create_task(self._service.wait_collecting())
        self._tasks = [running]
        await asyncio.wait((running, collecting), return_when=asyncio.FIRST_COMPLETED)
        collecting.cancel()
        if running.done():
            await running
            raise Transient("The collector ended before it collected anything.")
        self.pg_pool = await self._service.history.open_pool()
        if self._hooked:
            self._tasks.append(asyncio.create_task(self._run_hooks()))

    async def stop(self) -> None:
        """Stop in order: what was received is stored and given to the hooks. Raises what ended the collector, if so."""
        if not self._tasks:
            return
        await self._service.stop()
        running, *hooks = self._tasks
        try:
            await running
            if hooks:
                async with time_limit(HOOK_DRAIN_S):
                    await self._queue.join()
        except TimeoutError:
            self.hook_dropped += self._queue.qsize()
        finally:
            for task in hooks:
                task.cancel()
            await asyncio.wait(self._tasks)
            self._tasks = []
            if self.pg_pool is not None:
                self.pg_pool.terminate()
                self.pg_pool = None

    async def wait(self) -> None:
        """Return when the collector has ended, raising what ended it."""
        await self._tasks[0]

    async def change_subscriptions(
        self, *, symbols: Sequence[str] | None = None, intervals: Sequence[str] | None = None,
        channels: Sequence[str] | None = None,
    ) -> Change:  # fmt: skip
        """Collect these from now on, until the process ends; what is left out stays, and no other stream is touched.

        Raises `Misconfigured` with every fault at once, and `Transient` when it cannot be done now.
        """
        given = [None if words is None else tuple(words) for words in (symbols, intervals, channels)]
        status = await self._service.resubscribe(DesiredSubscriptions(*given))
        if status.refusal is not None:
            reasons = " ".join(status.refusal.reasons)
            raise Misconfigured(reasons) if status.refusal.kind == "impossible" else Transient(reasons)
        assert status.done is not None, "it is done or refused"
        return status.done

    def status(self) -> Snapshot:
        """Counts, connections and health, as `/status` and `/health` show them."""
        return self._service.snapshot()

    async def on_kline(self, data: dict[str, object]) -> None:
        """Override: each open and closed kline, keys as in the kline record, numbers as `Decimal`."""

    async def on_trade(self, data: dict[str, object]) -> None:
        """Override: each trade, keys as in the trade record."""

    async def on_ticker(self, data: dict[str, object]) -> None:
        """Override: each 24-hour ticker, keys as in `latest:`."""

    async def store_in_postgres(self, data: dict[str, object]) -> None:
        """Override: each closed kline; `self.pg_pool` is there for it, and nobody else stores klines there then."""

    async def on_record(self, record: Record) -> None:
        """Override: each record that no other hook is about, as it is: those of `extra_channels`."""

    def _hooks(self) -> dict[str, bool]:
        names = ("on_kline", "on_trade", "on_ticker", "store_in_postgres", "on_record")
        overridden = {name: getattr(type(self), name) is not getattr(DataCollector, name) for name in names}
        return overridden if any(overridden.values()) else {}

    def _tap(self, record: Record) -> None:
        if not self._wants(record):
            return
        if self._queue.full():
            self._queue.get_nowait()
            self._queue.task_done()
            self.hook_dropped += 1
        self._queue.put_nowait(record)

    def _wants(self, record: Record) -> bool:
        hooked = self._hooked
        match record:
            case Trade():
                return hooked["on_trade"]
            case Kline():
                return hooked["on_kline"] or (record.is_closed and hooked["store_in_postgres"])
            case Ticker():
                return hooked["on_ticker"]
            case AggregateTrade() | MiniTicker() | Quote():
                return hooked["on_record"]

    async def _run_hooks(self) -> None:
        while True:
            record = await self._queue.get()
            try:
                await self._call_hooks(record)
            except Exception:  # noqa: BLE001 - the user's code: its faults must not stop the collector, and are told
                structlog.get_logger().exception("hook_failed", record=type(record).__name__)
            finally:
                self._queue.task_done()

    async def _call_hooks(self, record: Record) -> None:
        match record:
            case Trade():
                await self.on_trade(trade_object(record))
            case Kline():
                if self._hooked["on_kline"]:
                    await self.on_kline(kline_object(record))
                if record.is_closed and self._hooked["store_in_postgres"]:
                    await self.store_in_postgres(kline_object(record))
            case Ticker():
                await self.on_ticker(ticker_object(record))
            case AggregateTrade() | MiniTicker() | Quote():
                await self.on_record(record)


def _as_environment(settings: Mapping[str, object], exchange: str) -> dict[str, str]:
    """Keyword arguments as variables: `rest_url` is that of the exchange which is collected."""
    names = {name.lower(): name for name in variables(exchange)} | {
        each: variable_of(each, exchange) for each in FIELDS
    }
    del names["exchange"], names["exchanges"]
    unknown = sorted(settings.keys() - names.keys())
    if unknown:
        raise Misconfigured(f"There are no settings named {', '.join(unknown)}; docs/settings.md lists them.")
    return {names[name]: _text(value) for name, value in settings.items() if value is not None}


def _text(value: object) -> str:
    """A setting as the environment would hold it."""
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    if isinstance(value, bool):
        return str(int(value))
    return str(value)
