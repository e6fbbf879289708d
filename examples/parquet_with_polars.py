"""Trades as one Parquet file, written a page at a time, and candles of ten seconds made of it by Polars.

Needs pyarrow and Polars.
"""

import sys
from itertools import chain

import polars as pl
import pyarrow.parquet as pq

from data_collector.client import Client

path = sys.argv[1] if len(sys.argv) > 1 else "trades.parquet"
with Client() as client:
    pages = client.trades("BTCUSDT", start="-1h").pages(100_000)
    first = next(pages)
    with pq.ParquetWriter(path, first.to_arrow().schema) as file:
        for page in chain([first], pages):
            file.write_table(page.to_arrow())
            for gap in page.gaps:
                print(gap.sentence)

price = pl.col("price")
candles = (
    pl.scan_parquet(path)
    .group_by_dynamic("timestamp", every="10s")
    .agg(
        price.first().alias("open"),
        price.max().alias("high"),
        price.min().alias("low"),
        price.last().alias("close"),
        pl.col("quantity").sum().alias("volume"),
    )
)
print(candles.collect().tail())
