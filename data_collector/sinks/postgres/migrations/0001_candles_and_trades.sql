-- Candles by open time, and trades by id. Numbers keep the digits they came with.

-- Candles lie in a hypertable where TimescaleDB is installed, and in partitions anywhere else.
do $$
declare
  timescale text := (select extnamespace::regnamespace from pg_extension where extname = 'timescaledb');
begin
  execute format(
    $table$
      create table market_data_ohlcv (
        symbol text not null,
        "timestamp" timestamptz not null,
        open numeric not null,
        high numeric not null,
        low numeric not null,
        close numeric not null,
        volume numeric not null,
        interval text not null,
        exchange text not null default 'binance',
        trades bigint,
        quote_volume numeric,
        taker_buy_base_volume numeric,
        taker_buy_quote_volume numeric,
        source text,
        recorded_at timestamptz not null default now(),
        primary key (exchange, symbol, interval, "timestamp")
      ) %s
    $table$,
    case when timescale is null then 'partition by range ("timestamp")' else '' end
  );
  if timescale is not null then
    -- A month each: ten years are 120 chunks, few enough to plan quickly (a week each would be 520). The key begins
    -- with the series, so new rows touch one page of the index per series, however large the chunk is.
    execute format(
      $hypertable$
        select %s.create_hypertable(
          'market_data_ohlcv', 'timestamp', chunk_time_interval => interval '30 days', create_default_indexes => false
        )
      $hypertable$,
      timescale
    );
    return;
  end if;
  -- A year each: few enough to plan quickly, small enough to drop a year at once. Any other date has a place too.
  for year in 2017..2040 loop
    execute format(
      'create table market_data_ohlcv_%s partition of market_data_ohlcv for values from (%L) to (%L)',
      year, year || '-01-01 00:00:00+00', year + 1 || '-01-01 00:00:00+00'
    );
  end loop;
  create table market_data_ohlcv_default partition of market_data_ohlcv default;
end
$$;

-- What a candle was before another one replaced it: together with the table above, what was known at any time.
create table market_data_ohlcv_revisions (
  exchange text not null,
  symbol text not null,
  interval text not null,
  "timestamp" timestamptz not null,
  open numeric not null,
  high numeric not null,
  low numeric not null,
  close numeric not null,
  volume numeric not null,
  trades bigint,
  quote_volume numeric,
  taker_buy_base_volume numeric,
  taker_buy_quote_volume numeric,
  source text,
  known_from timestamptz not null,
  known_until timestamptz not null
);

create index market_data_ohlcv_revisions_key
  on market_data_ohlcv_revisions (exchange, symbol, interval, "timestamp", known_until);

-- Neither partitioned nor a hypertable: the key of such a table must hold the time, and then one trade that comes once
-- with milliseconds and once with microseconds would be two.
create table market_data_trades (
  exchange text not null default 'binance',
  symbol text not null,
  trade_id bigint not null,
  "timestamp" timestamptz not null,
  price numeric not null,
  quantity numeric not null,
  is_buyer_maker boolean not null,
  buyer_order_id bigint,
  seller_order_id bigint,
  source text,
  recorded_at timestamptz not null default now(),
  primary key (exchange, symbol, trade_id)
);

create index market_data_trades_time on market_data_trades using brin ("timestamp");
