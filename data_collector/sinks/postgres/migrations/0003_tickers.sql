-- 24-hour statistics as they were when somebody looked: a sample of them, not all. Times are the exchange's.

-- A hypertable where TimescaleDB is installed, and partitions anywhere else.
do $$
declare
  timescale text := (select extnamespace::regnamespace from pg_extension where extname = 'timescaledb');
begin
  execute format(
    $table$
      create table market_data_tickers (
        exchange text not null default 'binance',
        symbol text not null,
        "timestamp" timestamptz not null,
        price_change numeric not null,
        price_change_percent numeric not null,
        weighted_avg_price numeric not null,
        prev_close_price numeric not null,
        last_price numeric not null,
        last_qty numeric not null,
        bid_price numeric not null,
        bid_qty numeric not null,
        ask_price numeric not null,
        ask_qty numeric not null,
        open_price numeric not null,
        high_price numeric not null,
        low_price numeric not null,
        volume numeric not null,
        quote_volume numeric not null,
        open_time timestamptz not null,
        close_time timestamptz not null,
        first_id bigint not null,
        last_id bigint not null,
        count bigint not null,
        recorded_at timestamptz not null default now(),
        primary key (exchange, symbol, "timestamp")
      ) %s
    $table$,
    case when timescale is null then 'partition by range ("timestamp")' else '' end
  );
  if timescale is not null then
    -- A week each: there are hundreds of rows a second, nobody fills in the past, and few keep years of them.
    execute format(
      $hypertable$
        select %s.create_hypertable(
          'market_data_tickers', 'timestamp', chunk_time_interval => interval '7 days', create_default_indexes => false
        )
      $hypertable$,
      timescale
    );
    return;
  end if;
  -- Nobody fills in the past of them, so the years begin with this table.
  for year in 2025..2040 loop
    execute format(
      'create table market_data_tickers_%s partition of market_data_tickers for values from (%L) to (%L)',
      year, year || '-01-01 00:00:00+00', year + 1 || '-01-01 00:00:00+00'
    );
  end loop;
  create table market_data_tickers_default partition of market_data_tickers default;
end
$$;

-- Rows come in the order of time, so that what is too old lies together.
create index market_data_tickers_time on market_data_tickers using brin ("timestamp");
