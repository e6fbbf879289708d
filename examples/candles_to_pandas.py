"""The last day of candles as a pandas frame, with what is missing in it, and one candle an hour made of them.

Needs pandas. A demo brings a week of them within half a minute of its start.
"""

import sys

from data_collector.client import Client

symbol, interval = sys.argv[1:] or ["BTCUSDT", "1m"]
with Client() as client:
    candles = client.klines(symbol, interval, start="-1d").read()
frame = candles.to_pandas()

print(frame[["open", "high", "low", "close", "volume"]].tail())
for gap in candles.gaps:
    print(gap.sentence)

hourly = frame.resample("1h").agg({"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"})
# An hour with a gap in it is no hour: there are fewer candles than the others have.
counts = frame["close"].resample("1h").count()
print(hourly[counts == counts.max()].tail())
