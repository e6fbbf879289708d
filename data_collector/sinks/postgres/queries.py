"""The SQL of the reader. Numbers come as their text, times as whole ms."""

from __future__ import annotations

# A double holds seconds to a quarter of a microsecond and the server rounds to whole ones: ms stay what they were.
_AT = "to_timestamp({}::bigint / 1000.0)"

_OPEN_MS = '(extract(epoch from "timestamp") * 1000)::bigint as open_ms'

_KLINE = f"""{_OPEN_MS}, open::text, high::text, low::text, close::text, volume::text,
  coalesce(trades, 0) as trades, coalesce(quote_volume, 0)::text as quote_volume,
  coalesce(taker_buy_base_volume, 0)::text as taker_buy_base_volume,
  coalesce(taker_buy_quote_volume, 0)::text as taker_buy_quote_volume"""

_KLINE_RANGE = f"""exchange = $1 and symbol = $2 and interval = $3
  and "timestamp" >= {_AT.format("$4")} and "timestamp" < {_AT.format("$5")}"""

KLINES = f'select {_KLINE} from market_data_ohlcv where {_KLINE_RANGE} order by "timestamp" limit $6'  # noqa: S608

OPEN_TIMES = f'select {_OPEN_MS} from market_data_ohlcv where {_KLINE_RANGE} order by "timestamp"'  # noqa: S608

_SPAN_MS = '(extract(epoch from {}("timestamp")) * 1000)::bigint'

SPAN = f"""
select {_SPAN_MS.format("min")} as first, {_SPAN_MS.format("max")} as last
from market_data_ohlcv where exchange = $1 and symbol = $2 and interval = $3
  -- A program may have put a row at infinity, which is no number, or before any exchange.
  and "timestamp" >= '1900-01-01 00:00:00+00' and "timestamp" < '10000-01-01 00:00:00+00'
"""  # noqa: S608

_TRADE = """trade_id, (extract(epoch from "timestamp") * 1000000)::bigint as time_us, price::text, quantity::text,
  is_buyer_maker, buyer_order_id, seller_order_id"""

TRADES = f"""
select {_TRADE} from market_data_trades
where exchange = $1 and symbol = $2 and trade_id >= $3
  and "timestamp" >= {_AT.format("$4")} and "timestamp" < {_AT.format("$5")}
order by trade_id limit $6
"""  # noqa: S608

TRADES_BY_ID = f"""
select {_TRADE} from market_data_trades
where exchange = $1 and symbol = $2 and trade_id between $3 and $4 order by trade_id limit $5
"""  # noqa: S608

TRADE_FROM = """
select trade_id, floor(extract(epoch from "timestamp") * 1000)::bigint as time_ms from market_data_trades
where exchange = $1 and symbol = $2 and trade_id >= $3 order by trade_id limit 1
"""

TRADE_SPAN = """
select min(trade_id) as first, max(trade_id) as last from market_data_trades where exchange = $1 and symbol = $2
"""

TRADE_HOLES = """
select before + 1 as first, trade_id - 1 as last from (
  select trade_id, lag(trade_id, 1, $3::bigint - 1) over (order by trade_id) as before from (
    select trade_id from market_data_trades
    where exchange = $1 and symbol = $2 and trade_id between $3::bigint and $4::bigint
    union all select $4::bigint + 1
  ) as ids
) as pairs
where trade_id > before + 1 order by trade_id
"""

GAPS = """
select first, last, count, reason from market_data_gaps
where exchange = $1 and symbol = $2 and channel = $3 and interval = $4 order by first
"""
