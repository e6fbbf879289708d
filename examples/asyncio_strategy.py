"""The skeleton of a strategy with asyncio: history first, then live without a seam; it decides when it has caught up.

A strategy of your own is another `decide`. It sees closed candles in order, each once, and begins anew after a gap.
"""

import asyncio
import sys
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
        async for item in live:
            match item:
                case Gap():
                    print(item.sentence)
                    closes.clear()
                case Kline():
                    closes.append(item.close)
            if len(closes) == SLOW and live.is_caught_up:
                wanted = decide(list(closes))
                print(f"{closes[-1]} {position} -> {wanted}", flush=True)
                position = wanted


with suppress(KeyboardInterrupt):
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "BTCUSDT:1m"))
