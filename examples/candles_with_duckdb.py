"""Candles that DuckDB makes of exported trades, exactly; where they are not the exchange's own; and what is missing.

Needs duckdb, and an export of both:

    data-collector export --symbols BTCUSDT --intervals 1m --trades --out exports/btc

Usage: candles_with_duckdb.py [folder] [symbol]
"""

import argparse
from pathlib import Path
from urllib.parse import quote

import duckdb

arguments = argparse.ArgumentParser()
arguments.add_argument("folder", nargs="?", default="exports/btc", type=Path)
arguments.add_argument("symbol", nargs="?", default="BTCUSDT")
asked = arguments.parse_args()
stem = asked.folder / quote(asked.symbol, safe="")
database = duckdb.connect()
database.sql("SET TimeZone = 'UTC'")
database.read_parquet(f"{stem}-trades.parquet").create_view("trades")
database.read_parquet(f"{stem}-1m.parquet").create_view("candles")
database.read_json(str(asked.folder / "manifest.json")).create_view("manifest")

# The id says which trade was the first of a minute, where several have one time. Sums of decimals are exact.
database.sql("""
    CREATE TABLE made AS
    SELECT
        time_bucket(INTERVAL '1 minute', timestamp) AS timestamp,
        arg_min(price, trade_id) AS open, max(price) AS high, min(price) AS low, arg_max(price, trade_id) AS close,
        sum(quantity) AS volume, count(*) AS trades
    FROM trades GROUP BY ALL ORDER BY ALL
""")
print(f"Candles of the trades of {asked.symbol}, the newest:")
print(database.sql("SELECT timestamp, open, close, volume, trades FROM made ORDER BY timestamp DESC LIMIT 3"))

# The first and the last minute may be cut by the range of the export.
both = database.sql("""
    SELECT candles.timestamp, candles.volume, made.volume AS of_trades,
        (candles.open, candles.high, candles.low, candles.close, candles.volume)
        IS NOT DISTINCT FROM (made.open, made.high, made.low, made.close, made.volume) AS same
    FROM candles JOIN made USING (timestamp)
    WHERE timestamp > (SELECT min(timestamp) FROM made) AND timestamp < (SELECT max(timestamp) FROM made)
    ORDER BY ALL
""")
same, count = both.aggregate("count(*) FILTER (same), count(*)").fetchall()[0]
print(f"{same} of {count} candles are those of their trades, to the last digit. The first others:")
print(both.filter("NOT same").limit(3))

print("Missing, as the export's manifest has it:")
print(
    database.sql("""
    SELECT file.file, gap.first, gap.last, gap.count, gap.reason
    FROM (SELECT file, unnest(file.gaps) AS gap FROM (SELECT unnest(files) AS file FROM manifest))
""")
)
