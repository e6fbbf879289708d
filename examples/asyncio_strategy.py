"""The skeleton of a strategy with asyncio: history first, then live without a seam; it decides when it has caught up.

A strategy of your own is another `decide`. It sees closed candles in order, each once, and begins anew after a gap.

Usage: asyncio_strategy.py [symbol] [interval]
"""

import argparse
import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal

from data_collector.client import AsyncClient, Gap, Kline

FAST, SLOW = 5, 20


def decide(closes: Sequence[Decimal]) -> str:
    fast, slow = sum(closes[-FAST:]) / FAST, sum(closes) / SLOW
    return "long" if fast > slow else "flat"


async def main(series: str) -> None:
    closes: deque[Decimal] = deque(maxlen=SLOW)
    position = "flat"
    async with AsyncClient() as client:
        live = await client.live(series, start="-1h")
        print(f"{series}: the last hour first; then each candle is told when it closes.", flush=True)
        async for item in live:
            match item:
                case Gap():
                    print(item.sentence, flush=True)
                    closes.clear()
                case Kline():
                    closes.append(item.close)
            if len(closes) == SLOW and live.is_caught_up:
                wanted = decide(list(closes))
                print(f"{closes[-1]} {position} -> {wanted}", flush=True)
                position = wanted


arguments = argparse.ArgumentParser()
arguments.add_argument("symbol", nargs="?", default="BTCUSDT")
arguments.add_argument("interval", nargs="?", default="1m")
asked = arguments.parse_args()
with suppress(KeyboardInterrupt):
    asyncio.run(main(f"{asked.symbol}:{asked.interval}"))
