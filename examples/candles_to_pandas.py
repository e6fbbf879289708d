"""The last day of candles as a pandas frame, with what is missing in it, and one candle an hour made of them.

Needs pandas. A demo has the candles of a week half a minute after its start.
A symbol of another exchange than Binance has its name before it: kraken:BTC/USD.

Usage: candles_to_pandas.py [symbol] [interval]
"""

import argparse

from data_collector.client import Client, ClientError

arguments = argparse.ArgumentParser()
arguments.add_argument("symbol", nargs="?", default="BTCUSDT")
arguments.add_argument("interval", nargs="?", default="1m")
asked = arguments.parse_args()
try:
    with Client() as client:
        candles = client.klines(asked.symbol, asked.interval, start="-1d").read()
except ClientError as error:
    raise SystemExit(f"{error}") from None
frame = candles.to_pandas()

print(f"{len(candles)} candles of {asked.symbol} {asked.interval}")
print(frame[["open", "high", "low", "close", "volume"]].tail())
for gap in candles.gaps:
    print(gap.sentence)

hourly = frame.resample("1h").agg({"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"})
# An hour with a gap in it is no hour: there are fewer candles than the others have.
counts = frame["close"].resample("1h").count()
print(hourly[counts == counts.max()].tail())
