"""The trades of one symbol and UTC day, from the store and from the exchange: what a certificate compares."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import UTC, date, datetime
from functools import partial
from typing import TypeVar

from data_collector.model.backoff import Backoff
from data_collector.model.calendar import DAY_MS
from data_collector.model.errors import Unavailable, VenueUnreachable
from data_collector.model.gaps import Gap
from data_collector.model.records import Trade
from data_collector.model.venue import TradePlace, TradesApi
from data_collector.sinks.redis.connection import StoreConnection
from data_collector.sinks.redis.entries import declared_pages, last_entry, pages_of, trade_of
from data_collector.sinks.redis.stored_records import epoch_or_first

STORE_PAGE_ENTRIES = 2000

LATE_MS = 60_000
"""Entry ids never go back in time, so an entry may stand behind its own time; so much is read beyond the day."""

REST_ATTEMPTS = 6
REST_WAIT_LONGEST_S = 120.0

Progress = Callable[[float, int], None]
"""Gets how much of the exchange's side is done (0 to 1), and how many trades that were."""

Answer = TypeVar("Answer")


def span_of(day: date) -> range:
    """The milliseconds from midnight to midnight, UTC."""
    start_ms = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000
    return range(start_ms, start_ms + DAY_MS)


async def newest_epoch(connection: StoreConnection, key: str, symbol: str) -> int:
    """The one that the exchange knows too. Raises `SinkUnavailable`."""
    newest = await last_entry(connection, key, symbol)
    return 0 if newest is None else epoch_or_first(newest.fields)


async def trades_of_store(
    connection: StoreConnection, key: str, symbol: str, span: range, *, epoch: int
) -> AsyncIterator[Trade]:  # fmt: skip
    """Of one epoch, in the order of ids. Raises `SinkUnavailable`, or `Unavailable` for an entry that is no trade."""
    start, end = f"{span.start}-0", f"{span.stop + LATE_MS}-0"
    async for entries in pages_of(connection, key, symbol, STORE_PAGE_ENTRIES, start=start, end=end):
        for entry in entries:
            if epoch_or_first(entry.fields) != epoch:
                continue
            trade = trade_of(entry)
            if trade is None:
                # A certificate says of no day that it is whole which somebody else has written into.
                raise Unavailable(f"Entry {entry.id} of {key} is none that a collector has written.")
            if trade.time_ms in span:
                yield trade


async def declared_trades(connection: StoreConnection, key: str, symbol: str, *, epoch: int) -> list[Gap]:
    """What `gaps:` says of an epoch's trades, all of it (the stream is bounded). Raises `SinkUnavailable`."""
    return [
        found.gap
        async for page in declared_pages(connection, key, symbol)
        for found in page
        if found.key.channel == "trade" and found.epoch == epoch
    ]


async def trades_of_file(
    chunks: Iterable[list[Trade]], span: range, progress: Progress | None = None
) -> AsyncIterator[Trade]:
    """What a published file has, in its order. Raises `BadFile`."""
    count = 0
    for chunk in chunks:
        for trade in chunk:
            yield trade
        count += len(chunk)
        if progress is not None:
            progress(_share(chunk[-1], span), count)
        await asyncio.sleep(0)


async def trades_of_rest(
    rest: TradesApi, symbol: str, span: range, progress: Progress | None = None
) -> AsyncIterator[Trade]:
    """Asked by id, page by page. Raises `VenueUnreachable` after some attempts, and `VenueRefused`."""
    due = await _retried(partial(rest.first_trade_id, symbol, span.start))
    count = 0
    near: TradePlace | None = None
    while due is not None:
        page = await _retried(partial(rest.trades, symbol, due, near=near))
        trades = page.trades
        for trade in trades:
            if trade.time_ms in span:
                count += 1
                yield trade
        if page.reaches_head or not trades or trades[-1].time_ms >= span.stop:
            return
        due, near = trades[-1].trade_id + 1, TradePlace.of(trades[-1])
        if progress is not None:
            progress(_share(trades[-1], span), count)


async def _retried(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """A day is thousands of requests: one that fails is no reason to begin again."""
    backoff = Backoff(cap_s=REST_WAIT_LONGEST_S, jitter=False)
    for _ in range(REST_ATTEMPTS - 1):
        try:
            return await ask()
        except VenueUnreachable as error:
            wait_s = backoff.next_delay_s(retry_after_s=error.retry_after_s)
            if wait_s > REST_WAIT_LONGEST_S:
                raise
            await asyncio.sleep(wait_s)
    return await ask()


def _share(trade: Trade, span: range) -> float:
    return (trade.time_ms - span.start) / len(span)
