-- Where a row is from: rules that it is marked with, beside the source. And what an exchange may not tell is null.

alter table market_data_ohlcv add column warnings text[];
alter table market_data_ohlcv_revisions add column warnings text[];
alter table market_data_trades add column warnings text[];

alter table market_data_trades alter column is_buyer_maker drop not null;
