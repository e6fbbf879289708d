"""History out of PostgreSQL's tables: the queries of each page, copied out as CSV."""

from __future__ import annotations

from data_collector.client.reading.questions import Plan, ask_database
from data_collector.client.reading.rows import TRADE_COLUMNS
from data_collector.client.reading.stored import Page
from data_collector.client.records import ms_of
from data_collector.model.gaps import Gap
from data_collector.model.keys import Key

PAGE_ROWS = 50_000

_AT = "to_timestamp({}::bigint / 1000.0)"
_TIME = """to_char("timestamp" at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')"""
_ORIGIN = "source, array_to_string(warnings, ',')"

KLINES = f"""
select symbol, {_TIME}, interval, open, high, low, close, volume, trades, true,
  quote_volume, taker_buy_base_volume, taker_buy_quote_volume, {_ORIGIN}
from market_data_ohlcv
where exchange = $1 and symbol = $2 and interval = $3
  and "timestamp" >= {_AT.format("$4")} and "timestamp" < {_AT.format("$5")}
order by "timestamp" limit {PAGE_ROWS}
"""  # noqa: S608 (of our own words)

TRADES = f"""
select symbol, {_TIME}, trade_id, price, quantity, buyer_order_id, seller_order_id, is_buyer_maker, {_ORIGIN}
from market_data_trades
where exchange = $1 and symbol = $2 and epoch = $3 and trade_id >= $4 and "timestamp" < {_AT.format("$5")}
order by trade_id limit {PAGE_ROWS}
"""  # noqa: S608 (of our own words)

TRADE_SPAN = "select min(trade_id), max(trade_id) from market_data_trades where exchange = $1 and symbol = $2 and epoch = $3"

TRADE_FROM = """
select trade_id, floor(extract(epoch from "timestamp") * 1000)::bigint from market_data_trades
where exchange = $1 and symbol = $2 and epoch = $3 and trade_id >= $4 order by trade_id limit 1
"""
