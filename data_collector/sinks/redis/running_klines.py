"""What a store has of klines that are running: from which on they go on after a restart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from data_collector.model.calendar import DAY_MS, LENGTHS_MS, Calendar
from data_collector.model.keys import StoreKeys
from data_collector.model.records import Kline, Trade
from data_collector.model.sink import RunningKlines
from data_collector.model.wire import open_time_text
from data_collector.sinks.redis.connection import StoreConnection
from data_collector.sinks.redis.entries import StreamEntry, entry_id, last_entry, pages_of, texts_told, trade_of
from data_collector.sinks.redis.stored_records import epoch_or_first, kline_or_none

PAGE = 2_000

TRADES_MAX = 200_000
"""More of one symbol would keep a start waiting; REST tells these klines."""

PARTS_MAX = 2_000
"""Klines that a longer one is summed up from."""


async def running_klines(
    connection: StoreConnection, keys: StoreKeys, calendar: Calendar, symbol: str, due: Mapping[str, int], epoch: int
) -> RunningKlines | None:
    """Of the klines that are `due` of each interval; None where their trades are not all here.

    Raises `SinkUnavailable`.
    """
    intervals = sorted(due, key=lambda interval: LENGTHS_MS.get(interval, 31 * DAY_MS))
    since_ms = due[intervals[0]]
    key = keys.key("trades", symbol)
    before = await last_entry(connection, key, symbol, str(since_ms - 1))
    if before is None or trade_of(before) is None or not _is_of(before, epoch):
        return None
    next_id = entry_id(before.id).number + 1
    trades = await _trades(connection, key, symbol, since_ms, next_id, epoch)
    if trades is None:
        return None
    parts: dict[str, list[Kline]] = {}
    for position, interval in enumerate(intervals):
        if due[interval] == since_ms:
            parts[interval] = []
        for shorter in reversed(intervals[:position]):
            opens = _opens(interval, due[interval], shorter, due[shorter])
            if interval in parts or shorter not in parts or opens is None:
                continue
            found = await _closed(connection, keys, calendar, symbol, shorter, opens)
            if found is not None:
                parts[interval] = found + parts[shorter]
    return RunningKlines(since_ms, next_id, trades, parts)


def _opens(interval: str, due_ms: int, shorter: str, shorter_due_ms: int) -> range | None:
    """Open times of the shorter klines that lie in the longer one and have closed; None where they do not fit in."""
    step_ms, length_ms = LENGTHS_MS.get(shorter), LENGTHS_MS.get(interval, DAY_MS)
    if step_ms is None or length_ms % step_ms or (shorter_due_ms - due_ms) % step_ms or shorter_due_ms < due_ms:
        return None
    opens = range(due_ms, shorter_due_ms, step_ms)
    return opens if len(opens) <= PARTS_MAX else None


async def _trades(
    connection: StoreConnection, key: str, symbol: str, since_ms: int, next_id: int, epoch: int
) -> list[Trade] | None:  # fmt: skip
    """Those from a time on, the first of which has that id; None where some are not here, or too many are."""
    trades: list[Trade] = []
    async for entries in pages_of(connection, key, symbol, PAGE, start=str(since_ms)):
        for entry in entries:
            trade = trade_of(entry)
            if trade is None or trade.trade_id != next_id or not _is_of(entry, epoch) or len(trades) >= TRADES_MAX:
                return None
            trades.append(trade)
            next_id += 1
    return trades


def _is_of(entry: StreamEntry, epoch: int) -> bool:
    return epoch_or_first(entry.fields) == epoch


async def _closed(
    connection: StoreConnection, keys: StoreKeys, calendar: Calendar, symbol: str, interval: str, opens: Sequence[int]
) -> list[Kline] | None:  # fmt: skip
    """All of them; None where one is not here, or not all of its numbers are known."""
    if not opens:
        return []
    names = [keys.kline(symbol, interval, open_time_text(open_ms)) for open_ms in opens]
    (reply,) = await connection.execute([("MGET", *names)])
    texts = texts_told(reply, f"klines of {symbol}", len(names))
    klines = [None if text is None else kline_or_none(text, calendar) for text in texts]
    whole = [each for each in klines if each is not None and each.is_closed and each.quote_volume is not None]
    return whole if len(whole) == len(opens) else None
