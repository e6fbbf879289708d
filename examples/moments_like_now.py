"""When the market looked like now, and what came then: told anew with each candle that closes.

What followed any moments stands beside what followed those that were alike. Where both are nearly the same, the shape
says nothing, and most of the time it does.

Usage: moments_like_now.py [symbol] [interval]

What it has seen lies in the folder memory, which is of one market: each plain `make demo` is a new one.
"""

import argparse
from contextlib import suppress

from data_collector.client import Client
from data_collector.client.adapters.memory import Memory, NoShape

WINDOW, HORIZONS = 16, (5, 15)


def told(outcome):
    if outcome.n == 0:
        return "none yet"
    low, middle, high = (outcome.quantiles[share] for share in (0.25, 0.5, 0.75))
    return f"{low:+.3%} {middle:+.3%} {high:+.3%} of {outcome.n}, worth {outcome.effective_n:.0f}"


def tell(memory):
    try:
        moments = memory.moments(k=20, horizons=HORIZONS)
    except NoShape as lack:
        print(lack, flush=True)
        return
    for hit in moments.hits[:3]:
        print(f"{hit.start:%Y-%m-%d %H:%M:%S} similarity {hit.similarity:.2f}, later {hit.after[HORIZONS[0]]:+.3%}")
    for forecast in moments.forecasts:
        print(f"{forecast.horizon} candles later: {told(forecast)}; at random: {told(forecast.random)}", flush=True)


arguments = argparse.ArgumentParser()
arguments.add_argument("symbol", nargs="?", default="BTCUSDT")
arguments.add_argument("interval", nargs="?", default="1m")
asked = arguments.parse_args()
series = f"{asked.symbol}:{asked.interval}"
with (
    suppress(KeyboardInterrupt),
    Memory("memory", asked.symbol, asked.interval, WINDOW) as memory,
    Client(exchange=memory.exchange) as client,
):
    print(f"{series}: {memory.fill(client):,} candles added, {len(memory):,} known")
    tell(memory)
    for batch in client.live(series, position=memory.position, revisions=True).batches():
        if memory.take(batch.items):
            tell(memory)
