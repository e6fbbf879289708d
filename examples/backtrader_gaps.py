"""What a backtest with Backtrader does about missing candles: it does not trade until its average is whole again.

An average over a gap is one of other candles than it says. `missing` tells each bar how many are missing before it,
and `gaps` of the feed tells why.

Usage: backtrader_gaps.py [symbol] [interval] [start]
"""

import argparse

import backtrader as bt

from data_collector.client import Client
from data_collector.client.adapters.backtrader import CandleFeed

PERIOD = 20


class AboveAverage(bt.Strategy):
    def __init__(self):
        self.average = bt.indicators.SMA(period=PERIOD)
        self.whole_bars = 0
        self.passed = 0

    def prenext(self):
        self.next()

    def next(self):
        self.whole_bars = 1 if self.data.missing[0] else self.whole_bars + 1
        if self.whole_bars < PERIOD:
            self.passed += 1
            self.close()
        else:
            self.order_target_size(target=int(self.data.close[0] > self.average[0]))


arguments = argparse.ArgumentParser()
arguments.add_argument("symbol", nargs="?", default="BTCUSDT")
arguments.add_argument("interval", nargs="?", default="1m")
arguments.add_argument("start", nargs="?", default="-1d")
asked = arguments.parse_args()
with Client() as client:
    feed = CandleFeed(client=client, symbol=asked.symbol, interval=asked.interval, start=asked.start)
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.broker.setcash(1_000_000)
    cerebro.adddata(feed)
    cerebro.addstrategy(AboveAverage)
    (strategy,) = cerebro.run()

for gap in feed.gaps:
    print(gap.sentence)
bars = f"{len(strategy)} bars of {asked.symbol} {asked.interval}"
print(f"{bars}, {len(feed.gaps)} gaps; {strategy.passed} bars were passed over.")
print(f"Worth at the end: {cerebro.broker.getvalue():,.2f}")
