"""Where a stream of trades leaves an epoch that is over."""

from __future__ import annotations

from data_collector.model.keys import StoreKeys
from data_collector.model.sink import EpochEnd
from data_collector.sinks.redis.connection import StoreConnection
from data_collector.sinks.redis.entries import StreamEntry, entry_id, first_entry, last_entry, pages_of, trade_of
from data_collector.sinks.redis.stored_records import epoch_or_first, trade_or_none

PAGE = 1000


async def end_of_epoch(connection: StoreConnection, keys: StoreKeys, symbol: str, epoch: int) -> EpochEnd:
    """Found by halving: times of entries rise, and so do epochs. Raises `SinkUnavailable`."""
    stream = (connection, keys.key("trades", symbol), symbol)
    first, last = await first_entry(*stream), await last_entry(*stream)
    late_ids = frozenset([
        trade.trade_id
        async for page in pages_of(connection, keys.key("late", symbol), symbol, PAGE)
        for trade in (trade_or_none(each.fields.get("data", "")) for each in page if _epoch(each) == epoch)
        if trade is not None
    ])  # fmt: skip
    if first is None or last is None or _epoch(first) > epoch:
        last = None
    elif _epoch(last) > epoch:
        low_ms, high_ms = entry_id(first.id).ms, entry_id(last.id).ms
        while high_ms - low_ms > 1:
            middle_ms = (low_ms + high_ms) // 2
            entry = await last_entry(*stream, str(middle_ms))
            if entry is not None and _epoch(entry) > epoch:
                high_ms = middle_ms
            else:
                low_ms = middle_ms
        # An epoch begins with a later time than all before.
        first, last = await first_entry(*stream, str(high_ms)), await last_entry(*stream, str(low_ms))
    else:
        first = None
    last_id = entry_id(last.id).number if last is not None and _epoch(last) == epoch else None
    return EpochEnd(last_id, epoch if first is None else _epoch(first), _time_ms(first), late_ids)


def _epoch(entry: StreamEntry) -> int:
    return epoch_or_first(entry.fields)


def _time_ms(entry: StreamEntry | None) -> int | None:
    trade = None if entry is None else trade_of(entry)
    return None if trade is None else trade.time_ms
