"""Samples of 24-hour tickers in PostgreSQL: one row for each event time, and the first that came of it stays."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
import msgspec

from data_collector.model.records import Ticker
from data_collector.sinks.postgres.writing import count_of

_STATISTICS = (
    "price_change", "price_change_percent", "weighted_avg_price", "prev_close_price", "last_price", "last_qty",
    "bid_price", "bid_qty", "ask_price", "ask_qty", "open_price", "high_price", "low_price", "volume", "quote_volume",
)  # fmt: skip

_IDS = ("first_id", "last_id", "count")

_INSERT = f"""
insert into market_data_tickers
  (exchange, symbol, "timestamp", open_time, close_time, {", ".join(_IDS)}, {", ".join(_STATISTICS)})
select $1, symbol, to_timestamp(event_ms / 1000.0), to_timestamp(open_time / 1000.0), to_timestamp(close_time / 1000.0),
  {", ".join(_IDS)}, {", ".join(_STATISTICS)}
from json_to_recordset($2::json) as given (
  symbol text, event_ms bigint, open_time bigint, close_time bigint,
  {", ".join(f"{name} bigint" for name in _IDS)}, {", ".join(f"{name} numeric" for name in _STATISTICS)}
)
order by symbol, event_ms
on conflict do nothing
"""  # noqa: S608 - fixed column names
"""The rows travel as one JSON text: they are few, and numbers in it are texts, so that no digit is lost."""


async def put_tickers(connection: asyncpg.Connection, tickers: Sequence[Ticker], *, exchange: str) -> int:
    """Store them and return how many were new; what the driver raises is not translated."""
    return count_of(await connection.execute(_INSERT, exchange, msgspec.json.encode(tickers).decode()))
