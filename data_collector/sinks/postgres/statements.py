"""The SQL of the writer: a batch goes into a table of its own connection, and from there to where it belongs.

Rows are inserted in the order of their key, so that two writers of the same rows wait for each other and do not lock
each other out.
"""

from __future__ import annotations

from zlib import crc32


def _named(kind: str, columns: str) -> str:
    """Other columns have another name: a pooler's connection may hold the table of another version of this program."""
    return f"{kind}_{crc32(columns.encode()):08x}"


_KLINES = """
  symbol text, interval text, "timestamp" timestamptz, open numeric, high numeric, low numeric, close numeric,
  volume numeric, trades bigint, quote_volume numeric, taker_buy_base_volume numeric, taker_buy_quote_volume numeric,
  source text, warnings text[],
  -- Whichever of two tables without statistics the planner begins with, the other is not read through for each row.
  primary key (symbol, interval, "timestamp")
"""

_TRADES = """
  symbol text, epoch integer, trade_id bigint, "timestamp" timestamptz, price numeric, quantity numeric,
  is_buyer_maker boolean, buyer_order_id bigint, seller_order_id bigint, source text, warnings text[]
"""

STAGED_KLINES = _named("staged_klines", _KLINES)
STAGED_TRADES = _named("staged_trades", _TRADES)

STAGE_KLINES = f"""
create temp table if not exists {STAGED_KLINES} ({_KLINES}) on commit delete rows;
truncate {STAGED_KLINES}
"""

STAGE_TRADES = f"""
create temp table if not exists {STAGED_TRADES} ({_TRADES}) on commit delete rows;
truncate {STAGED_TRADES}
"""

_KLINE_VALUES = """open, high, low, close, volume, trades, quote_volume, taker_buy_base_volume,
  taker_buy_quote_volume, source, warnings"""

_IS_WANTED = """(
  source is distinct from 'built' or not exists (
    select from market_data_gaps as gap
    where gap.exchange = $1 and gap.symbol = staged.symbol and gap.channel = 'kline'
      and gap.interval = staged.interval and gap.reason = 'absent'
      and (extract(epoch from staged."timestamp") * 1000)::bigint between gap.first and gap.last
  )
)"""
"""A built candle of which the exchange proved to have none does not come back with the stream that told it."""

INSERT_KLINES = f"""
insert into market_data_ohlcv (exchange, symbol, interval, "timestamp", {_KLINE_VALUES})
select $1, symbol, interval, "timestamp", {_KLINE_VALUES}
from {STAGED_KLINES} as staged where {_IS_WANTED}
order by symbol, interval, "timestamp"
on conflict do nothing
"""  # noqa: S608 - fixed column names

STAGED_TIMES = f'select min("timestamp") as first, max("timestamp") as last from {STAGED_KLINES}'  # noqa: S608

# They are $2 and $3, so that the planner knows which partitions or chunks it needs.
_SAME_KLINE = """stored.exchange = $1 and stored.symbol = staged.symbol and stored.interval = staged.interval
  and stored."timestamp" = staged."timestamp"
  and stored."timestamp" between $2::timestamptz and $3::timestamptz"""

_KLINE_DIFFERS = """(stored.open, stored.high, stored.low, stored.close, stored.volume) is distinct from
    (staged.open, staged.high, staged.low, staged.close, staged.volume)
  or stored.trades <> staged.trades or stored.quote_volume <> staged.quote_volume
  or stored.taker_buy_base_volume <> staged.taker_buy_base_volume
  or stored.taker_buy_quote_volume <> staged.taker_buy_quote_volume"""

_MAY_LACK = ("trades", "quote_volume", "taker_buy_base_volume", "taker_buy_quote_volume")

_KLINE_LACKS = " or ".join(f"stored.{name} is null and staged.{name} is not null" for name in _MAY_LACK)

_CHANGED_AT = "greatest(now(), stored.recorded_at)"
"""A transaction that waited for another began before it: its time would go back, and two klines be known at once."""

FORGET_OLD_KLINES = f"""
delete from {STAGED_KLINES} as staged using market_data_ohlcv_revisions as stored
where {_SAME_KLINE} and stored.source = staged.source and stored.source = any($4::text[]) and not ({_KLINE_DIFFERS})
"""  # noqa: S608
"""What was already replaced does not come back because somebody reads the stream again from its beginning. Only of
sources from which it can have come so: a correction that a backfill told first, and that the older kline replaced
since, is news where `late:` tells it."""

KEEP_REVISIONS = f"""
insert into market_data_ohlcv_revisions
  (exchange, symbol, interval, "timestamp", {_KLINE_VALUES}, known_from, known_until)
select stored.exchange, stored.symbol, stored.interval, stored."timestamp", stored.open, stored.high, stored.low,
  stored.close, stored.volume, stored.trades, stored.quote_volume, stored.taker_buy_base_volume,
  stored.taker_buy_quote_volume, stored.source, stored.warnings, stored.recorded_at, {_CHANGED_AT}
from {STAGED_KLINES} as staged join market_data_ohlcv as stored on {_SAME_KLINE}
where {_KLINE_DIFFERS}
"""  # noqa: S608

WITHDRAW_KLINES = f"""
with gone as (
  delete from market_data_ohlcv as stored
  where exchange = $1 and symbol = $2 and interval = $3 and "timestamp" = any($4::timestamptz[])
  returning *
)
insert into market_data_ohlcv_revisions
  (exchange, symbol, interval, "timestamp", {_KLINE_VALUES}, known_from, known_until)
select exchange, symbol, interval, "timestamp", {_KLINE_VALUES}, recorded_at, greatest(now(), recorded_at) from gone
"""  # noqa: S608
"""What turned out not to exist at the exchange; that it was told stays known."""

REPLACE_KLINES = f"""
update market_data_ohlcv as stored
set open = staged.open, high = staged.high, low = staged.low, close = staged.close, volume = staged.volume,
  trades = staged.trades, quote_volume = staged.quote_volume, taker_buy_base_volume = staged.taker_buy_base_volume,
  taker_buy_quote_volume = staged.taker_buy_quote_volume, source = staged.source, warnings = staged.warnings,
  recorded_at = {_CHANGED_AT}
from {STAGED_KLINES} as staged
where {_SAME_KLINE} and ({_KLINE_DIFFERS})
"""  # noqa: S608

COUNT_KLINES = f"""
select count(*), count(*) filter (where exists (
  select from market_data_ohlcv as stored where {_SAME_KLINE} and not coalesce({_KLINE_DIFFERS}, false)
)) from {STAGED_KLINES} as staged where {_IS_WANTED}
"""  # noqa: S608
"""Of the staged ones all, and those that are there as they were given."""

FILL_KLINES = f"""
update market_data_ohlcv as stored
set {", ".join(f"{name} = coalesce(stored.{name}, staged.{name})" for name in _MAY_LACK)}, source = staged.source,
  warnings = staged.warnings
from {STAGED_KLINES} as staged
where {_SAME_KLINE} and ({_KLINE_LACKS})
"""  # noqa: S608
"""Those that say the same and more."""

LOCK_KLINES = f"""
select count(*) from (
  select from market_data_ohlcv as stored join {STAGED_KLINES} as staged on {_SAME_KLINE}
  order by stored.symbol, stored.interval, stored."timestamp" for update of stored
) as locked
"""  # noqa: S608
"""Whoever comes second compares with what the first one wrote."""

_TRADE_VALUES = "price, quantity, is_buyer_maker, buyer_order_id, seller_order_id, source, warnings"

INSERT_TRADES = f"""
insert into market_data_trades (exchange, symbol, epoch, trade_id, "timestamp", {_TRADE_VALUES})
select $1, symbol, epoch, trade_id, "timestamp", {_TRADE_VALUES}
from {STAGED_TRADES} order by symbol, epoch, trade_id
on conflict do nothing
"""  # noqa: S608

_SAME_TRADE = """stored.exchange = $1 and stored.symbol = staged.symbol and stored.epoch = staged.epoch
  and stored.trade_id = staged.trade_id"""

_TRADE_DIFFERS = """(stored.price, stored.quantity) is distinct from (staged.price, staged.quantity)
    or stored.is_buyer_maker is distinct from coalesce(staged.is_buyer_maker, stored.is_buyer_maker)
    or (stored."timestamp" <> staged."timestamp"
      -- Milliseconds that agree with stored microseconds are no news.
      and date_trunc('milliseconds', stored."timestamp") <> staged."timestamp")"""

COUNT_TRADES = f"""
select count(*), count(*) filter (where exists (
  select from market_data_trades as stored where {_SAME_TRADE} and not coalesce({_TRADE_DIFFERS}, false)
)) from {STAGED_TRADES} as staged
"""  # noqa: S608
"""As `COUNT_KLINES`."""

REPLACE_TRADES = f"""
update market_data_trades as stored
set "timestamp" = staged."timestamp", price = staged.price, quantity = staged.quantity,
  is_buyer_maker = coalesce(staged.is_buyer_maker, stored.is_buyer_maker),
  source = staged.source, warnings = staged.warnings, recorded_at = now(),
  buyer_order_id = coalesce(staged.buyer_order_id, stored.buyer_order_id),
  seller_order_id = coalesce(staged.seller_order_id, stored.seller_order_id)
from {STAGED_TRADES} as staged
where {_SAME_TRADE} and ({_TRADE_DIFFERS})
"""  # noqa: S608

IS_EMPTY_OF_KLINES = """
select not exists (
  select from market_data_ohlcv where exchange = $1 and symbol = $2 and interval = $3
    and "timestamp" between to_timestamp($4::bigint / 1000.0) and to_timestamp($5::bigint / 1000.0)
)
"""

IS_EMPTY_OF_TRADES = """
select not exists (
  select from market_data_trades
  where exchange = $1 and symbol = $2 and epoch = $3 and trade_id between $4::bigint and $5::bigint
)
"""

NESTED_LOOPS = """
set local enable_hashjoin = off; set local enable_mergejoin = off; set local plan_cache_mode = force_custom_plan
"""
"""The staged rows are few and the stored ones many; a fresh table has no statistics that would tell the planner. And a
plan for any time at all would look for each row in each partition or chunk."""

TICKER_STATISTICS = (
    "price_change", "price_change_percent", "weighted_avg_price", "prev_close_price", "last_price", "last_qty",
    "bid_price", "bid_qty", "ask_price", "ask_qty", "open_price", "high_price", "low_price", "volume", "quote_volume",
)  # fmt: skip

TICKER_IDS = ("first_id", "last_id", "count")

COUNT_TICKERS = """
select count(*) from json_to_recordset($2::json) as given (symbol text, event_ms bigint)
where exists (
  select from market_data_tickers as stored
  where stored.exchange = $1 and stored.symbol = given.symbol
    and stored."timestamp" = to_timestamp(given.event_ms / 1000.0)
)
"""

PUT_TICKERS = f"""
insert into market_data_tickers
  (exchange, symbol, "timestamp", open_time, close_time, {", ".join(TICKER_IDS)}, {", ".join(TICKER_STATISTICS)})
select $1, symbol, to_timestamp(event_ms / 1000.0), to_timestamp(open_time / 1000.0), to_timestamp(close_time / 1000.0),
  {", ".join(TICKER_IDS)}, {", ".join(TICKER_STATISTICS)}
from json_to_recordset($2::json) as given (
  symbol text, event_ms bigint, open_time bigint, close_time bigint,
  {", ".join(f"{name} bigint" for name in TICKER_IDS)}, {", ".join(f"{name} numeric" for name in TICKER_STATISTICS)}
)
order by symbol, event_ms
on conflict do nothing
"""  # noqa: S608 - fixed column names
"""One row for each event time, and the first that came of it stays. The rows travel as one JSON text: they are few,
and numbers in it are texts, so that no digit is lost."""

PUT_GAP = """
insert into market_data_gaps (exchange, symbol, channel, interval, first, last, count, reason, rules, epoch)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
on conflict (exchange, symbol, channel, interval, epoch, first)
do update set last = excluded.last, count = excluded.count, reason = excluded.reason, rules = excluded.rules,
  recorded_at = now()
where market_data_gaps.reason <> 'absent' or excluded.reason = 'absent'
"""
"""What the exchange was proven not to have stays so."""

COUNT_GAPS = """
select count(*) from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::integer[])
  as given(exchange, symbol, channel, interval, first, epoch)
where exists (
  select from market_data_gaps as stored
  where (stored.exchange, stored.symbol, stored.channel, stored.interval, stored.first, stored.epoch)
    = (given.exchange, given.symbol, given.channel, given.interval, given.first, given.epoch)
)
"""
"""Of those given by their key, how many are there."""

TRADES_UP_TO = """
select case
  when exists (
    select from market_data_trades where exchange = $1 and symbol = $2 and epoch = $3 and trade_id = $4::bigint
  ) then $4::bigint
  else (
    select max(trade_id) from market_data_trades
    where exchange = $1 and symbol = $2 and epoch = $3 and trade_id < $5::bigint
  )
end
"""

EXPLAINED_TRADES = """
select (
  select count(*) from market_data_trades
  where exchange = $1 and symbol = $2 and epoch = $3 and trade_id between $4::bigint and $5::bigint
) + (
  select coalesce(sum(count), 0) from market_data_gaps
  where exchange = $1 and symbol = $2 and channel = 'trade' and epoch = $3 and reason <> 'skipped'
    and first >= $4::bigint and last <= $5::bigint
)
"""

EPOCHS = "select symbol, max(epoch) as epoch from market_data_epochs where exchange = $1 group by symbol"

PUT_EPOCH = """
insert into market_data_epochs (exchange, symbol, epoch) values ($1, $2, $3) on conflict do nothing
"""

CURSORS = "select name, position from market_data_cursors where exchange = $1"

PUT_CURSOR = """
insert into market_data_cursors (exchange, name, position) values ($1, $2, $3)
on conflict (exchange, name) do update set position = excluded.position, recorded_at = now()
"""
