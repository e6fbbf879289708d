-- An exchange need not tell all of it: what it does not is null.
alter table market_data_tickers
  alter column bid_qty drop not null,
  alter column ask_qty drop not null,
  alter column quote_volume drop not null,
  alter column open_time drop not null,
  alter column close_time drop not null,
  alter column first_id drop not null,
  alter column last_id drop not null,
  alter column count drop not null;
