"""Records as a lying exchange tells them. Pure."""

from __future__ import annotations

from msgspec import structs

from data_collector.model.records import Kline, Record, Ticker, Trade
from data_collector.simulator.control.faults import Lie


def lying_record(record: Record, lie: Lie) -> Record:
    """What is told in place of a record; only trades, klines and tickers are lied about."""
    match record:
        case Trade(time_ms=time_ms, event_ms=event_ms):
            return structs.replace(
                record, trade_id=record.trade_id + lie.ids, time_ms=time_ms + lie.times_ms,
                event_ms=event_ms + lie.times_ms, price=lie.price or record.price,
            )  # fmt: skip
        case Kline(open_ms=open_ms, close_ms=close_ms, event_ms=event_ms):
            return structs.replace(
                record, open_ms=open_ms + lie.times_ms, close_ms=close_ms + lie.times_ms,
                event_ms=event_ms + lie.times_ms, is_closed=record.is_closed or lie.closes,
            )  # fmt: skip
        case Ticker(event_ms=event_ms, last_id=last_id, last_price=price):
            return structs.replace(
                record, event_ms=event_ms + lie.times_ms, last_id=None if last_id is None else last_id + lie.ids,
                last_price=lie.price or price,
            )  # fmt: skip
        case _:
            return record
