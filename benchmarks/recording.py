"""What RECORD costs: the collector that keeps all that it hears against the same one that does not."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from benchmarks.exactness import SYMBOLS, WHOLE, cost, steady

PAIRS = 5
PART_MAX = 0.05
RATES = (1_000, 5_000)


async def run(*, messages: int, seconds: int) -> None:
    """Interleaved pairs of both."""
    print(f"CPU per trade of {len(SYMBOLS)} symbols, recorded and not ({PAIRS} pairs in turn):")
    for per_s in (*RATES, 0):
        plain: list[float] = []
        more: list[float] = []
        for _ in range(PAIRS):
            with tempfile.TemporaryDirectory(prefix="bench-") as folder:
                without = await _cost(per_s, messages, seconds)
                recorded = await _cost(per_s, messages, seconds, RECORD=folder)
                size = _size(folder)
            plain.append(without)
            more.append(recorded - without)
            print(f"  {without:6.2f} µs, recorded {recorded:6.2f} µs, {size:,} bytes", flush=True)
        part = statistics.median(more) / statistics.median(plain)
        rate = f"{per_s:,} trades/s" if per_s else "full rate"
        print(
            f"  {rate}: {statistics.median(more):.2f} µs more a trade, {part:.1%}   bar {PART_MAX:.0%}:"
            f" {'met' if part <= PART_MAX else 'missed'}",
            flush=True,
        )


def _size(folder: str) -> int:
    return sum(path.stat().st_size for path in Path(folder).rglob("*.zst"))


async def _cost(per_s: int, messages: int, seconds: int, **settings: str) -> float:
    if not per_s:
        return await cost(WHOLE, messages, **settings)
    return (await steady(WHOLE, per_s, seconds, **settings))[0]
