"""Goes on with running klines after a restart: out of the store, and of what the spool has beyond it."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from data_collector.model.keys import Key
from data_collector.model.records import Trade
from data_collector.model.sink import place_of
from data_collector.model.venue import Venue
from data_collector.pipeline.sequence.built_klines import BuiltKlines
from data_collector.pipeline.sequence.trade_sequence import TradeSequence
from data_collector.pipeline.spool.spool import Spool
from data_collector.sinks.redis.running_klines import running_klines
from data_collector.sinks.redis.sink import RedisSink
from data_collector.sinks.redis.stored_records import trade_or_none

SPOOLED_MAX = 200_000
"""Trades of a symbol that the spool has and the store has not; with more of them REST tells the running klines."""


async def restore(
    built: BuiltKlines, sequences: Mapping[str, TradeSequence], cursors: Mapping[Key, int], sink: RedisSink,
    spool: Spool, venue: Venue,
) -> None:  # fmt: skip
    """Nothing is built of a kline of which not all is found. Raises `SinkUnavailable`."""
    due: dict[str, dict[str, int]] = {}
    for key, due_ms in cursors.items():
        due.setdefault(key.symbol, {})[key.kline_interval] = due_ms
    restored = 0
    for symbol, sequence in sequences.items():
        builder = built.builders.get(symbol)
        if builder is None or not builder.is_fresh or sequence.next_id < 0 or symbol not in due:
            continue
        asked = symbol, due[symbol], sequence.epoch
        running = await running_klines(await sink.connected(), venue.store_keys, venue.calendar, *asked)
        if running is None:
            continue
        trades = [trade for trade in running.trades if trade.trade_id < sequence.next_id]
        first_id = trades[-1].trade_id + 1 if trades else running.next_id
        beyond = await _spooled(spool, sequence, first_id)
        if beyond is None:
            continue
        builder.begin(running.since_ms)
        for interval, parts in running.parts.items():
            builder.restore(interval, parts)
        for trade in (*trades, *beyond):
            builder.add(trade)
        restored += 1
    if restored:
        structlog.get_logger().info("klines_go_on", symbols=restored)


async def _spooled(spool: Spool, sequence: TradeSequence, first_id: int) -> list[Trade] | None:
    """What was let through from that id on; None where it is not all here."""
    found: list[Trade] = []
    while first_id < sequence.next_id and len(found) < SPOOLED_MAX:
        runs = await spool.read(place_of(sequence.symbol, sequence.epoch), first_id, trades_max=10_000)
        texts = [str(text) for run in runs for text in run.entries[1::2]]
        trades = [trade for trade in map(trade_or_none, texts) if trade is not None]
        if not trades or [trade.trade_id for trade in trades] != list(range(first_id, first_id + len(texts))):
            return None
        found += trades
        first_id += len(trades)
    return [trade for trade in found if trade.trade_id < sequence.next_id] if first_id >= sequence.next_id else None
