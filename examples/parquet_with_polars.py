"""Trades as one Parquet file, written a page at a time, and candles of ten seconds made of it by Polars.

Needs pyarrow and Polars.
A symbol of another exchange than Binance has its name before it: kraken:BTC/USD.

Usage: parquet_with_polars.py [symbol] [file]
"""

import argparse
from itertools import chain

import polars as pl
import pyarrow.parquet as pq

from data_collector.client import Client

arguments = argparse.ArgumentParser()
arguments.add_argument("symbol", nargs="?", default="BTCUSDT")
arguments.add_argument("file", nargs="?", default="trades.parquet")
asked = arguments.parse_args()
with Client() as client:
    pages = client.trades(asked.symbol, start="-1h").pages(100_000)
    first = next(pages)
    with pq.ParquetWriter(asked.file, first.to_arrow().schema) as file:
        for page in chain([first], pages):
            file.write_table(page.to_arrow())
            for gap in page.gaps:
                print(gap.sentence)

price = pl.col("price")
candles = (
    pl.scan_parquet(asked.file)
    .group_by_dynamic("timestamp", every="10s")
    .agg(
        price.first().alias("open"),
        price.max().alias("high"),
        price.min().alias("low"),
        price.last().alias("close"),
        pl.col("quantity").sum().alias("volume"),
    )
)
found = candles.collect()
since = found["timestamp"].min()
print(f"{asked.symbol}: trades since {since} are in {asked.file}. The newest candles of ten seconds:")
print(found.tail())
