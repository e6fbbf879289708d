-- What the tables do not hold and why, and how far the live writer has read.

create table market_data_gaps (
  exchange text not null default 'binance',
  symbol text not null,
  channel text not null check (channel in ('trade', 'kline')),
  interval text not null default '',
  first bigint not null,
  last bigint not null check (last >= first),
  count bigint not null,
  reason text not null,
  recorded_at timestamptz not null default now(),
  primary key (exchange, symbol, channel, interval, first)
);

create table market_data_cursors (
  exchange text not null default 'binance',
  name text not null,
  position text not null,
  recorded_at timestamptz not null default now(),
  primary key (exchange, name)
);
