-- Trade ids are unique within an epoch of their market; what is here is of the first one. The key of trades is made anew,
-- which reads the whole table: some minutes for a billion rows, in which nothing else can use it.

alter table market_data_trades add column epoch integer not null default 0;
alter table market_data_gaps add column epoch integer not null default 0;

do $$
declare
  name text;
begin
  select conname into name from pg_constraint where conrelid = 'market_data_trades'::regclass and contype = 'p';
  execute format('alter table market_data_trades drop constraint %I', name);
  select conname into name from pg_constraint where conrelid = 'market_data_gaps'::regclass and contype = 'p';
  execute format('alter table market_data_gaps drop constraint %I', name);
end
$$;

alter table market_data_trades add primary key (exchange, symbol, epoch, trade_id);
alter table market_data_gaps add primary key (exchange, symbol, channel, interval, epoch, first);

-- The epochs of markets that are not in their first one.
create table market_data_epochs (
  exchange text not null default 'binance',
  symbol text not null,
  epoch integer not null,
  recorded_at timestamptz not null default now(),
  primary key (exchange, symbol, epoch)
);
