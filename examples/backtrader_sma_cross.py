"""A cross of two moving averages with Backtrader, over the last hour and then live, without a seam.

Orders go to the broker that Backtrader simulates: nothing is traded. For a backtest alone give the feed `end=` in the
place of `live=True`.

Usage: backtrader_sma_cross.py [symbol] [interval]
"""

import argparse
from contextlib import suppress

import backtrader as bt

from data_collector.client import Client, Gap
from data_collector.client.adapters.backtrader import CandleFeed


class SmaCross(bt.Strategy):
    params = (("fast", 5), ("slow", 20))

    def __init__(self):
        fast, slow = (bt.indicators.SMA(period=period) for period in (self.p.fast, self.p.slow))
        self.cross = bt.indicators.CrossOver(fast, slow)

    def notify_data(self, data, status, *args, **kwargs):
        if status == data.DELAYED:
            print("Older bars come.", flush=True)
        elif status == data.LIVE:
            print("Live: bars come as they close.", flush=True)
        elif status == data.CONNBROKEN:
            print(*(found.sentence if isinstance(found, Gap) else found for found in args), flush=True)

    def notify_order(self, order):
        if order.status == order.Completed:
            side = "bought" if order.isbuy() else "sold"
            print(f"{side} at {order.executed.price} before {self.data.datetime.datetime()}", flush=True)

    def next(self):
        if self.position and self.cross < 0:
            self.close()
        elif not self.position and self.cross > 0:
            self.buy()


arguments = argparse.ArgumentParser()
arguments.add_argument("symbol", nargs="?", default="BTCUSDT")
arguments.add_argument("interval", nargs="?", default="1m")
asked = arguments.parse_args()
with suppress(KeyboardInterrupt), Client() as client:
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.broker.setcash(1_000_000)
    cerebro.adddata(CandleFeed(client=client, symbol=asked.symbol, interval=asked.interval, start="-1h", live=True))
    cerebro.addstrategy(SmaCross)
    print(f"{asked.symbol} {asked.interval}, until Ctrl-C", flush=True)
    cerebro.run()
