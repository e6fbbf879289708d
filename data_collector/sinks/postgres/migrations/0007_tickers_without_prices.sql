-- A window without a trade has no prices, and an empty side of the book has none: zero stood for that.
alter table market_data_tickers
  alter column price_change drop not null,
  alter column price_change_percent drop not null,
  alter column weighted_avg_price drop not null,
  alter column prev_close_price drop not null,
  alter column last_price drop not null,
  alter column last_qty drop not null,
  alter column bid_price drop not null,
  alter column ask_price drop not null,
  alter column open_price drop not null,
  alter column high_price drop not null,
  alter column low_price drop not null;
