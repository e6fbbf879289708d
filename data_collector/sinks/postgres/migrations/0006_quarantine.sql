-- What validation refused of the past, as it came, and by which rules; and of a refused range in the table of gaps too.

create table market_data_quarantine (
  exchange text not null default 'binance',
  symbol text not null,
  channel text not null check (channel in ('trade', 'kline')),
  interval text not null default '',
  epoch integer not null default 0,
  key bigint not null,
  record json not null,
  rules text[] not null,
  source text not null,
  at timestamptz not null default now(),
  primary key (exchange, symbol, channel, interval, epoch, key)
);

alter table market_data_gaps add column rules text[] not null default '{}';
