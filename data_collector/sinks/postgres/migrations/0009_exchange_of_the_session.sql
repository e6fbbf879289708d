-- A row that names no exchange is of the one that the session is for: `data-collector/NAME` is told by the name of the
-- application, which poolers carry along. Other sessions are for the first exchange, as ever.

do $$
declare
  name text;
begin
  foreach name in array array[
    'market_data_ohlcv', 'market_data_trades', 'market_data_tickers', 'market_data_gaps', 'market_data_cursors',
    'market_data_epochs', 'market_data_quarantine'
  ] loop
    execute format(
      $default$
        alter table %I alter column exchange set default
          coalesce(substring(current_setting('application_name') from '^data-collector/([^ ]+)'), 'binance')
      $default$,
      name
    );
  end loop;
end
$$;
