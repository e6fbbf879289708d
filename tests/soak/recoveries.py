"""How long it took after a fault until the store had passed the exchange's head of that moment."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping

from data_collector.model.errors import SinkUnavailable
from data_collector.sinks.redis.connection import ReplyError
from tests.soak.scene import Scene

POLL_S = 0.005


class Recoveries:
    """Only of faults that struck alone, with everything recovered before: else the figure is another fault's too."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.failed: dict[str, int] = defaultdict(int)

    async def measure(self, scene: Scene, kind: str, deadline_s: float) -> None:
        """Wait until everything that was traded before now is stored."""
        start = time.monotonic()
        if await passed(scene, await scene.market.heads(), deadline_s):
            self.seconds[kind].append(time.monotonic() - start)
        else:
            self.failed[kind] += 1

    def quantile(self, kind: str, share: float) -> float:
        """Of a kind that was measured."""
        ordered = sorted(self.seconds[kind])
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def tail(scene: Scene, key: str) -> int:
    """The newest trade id of a stream, -1 while there is none or the store does not answer."""
    try:
        newest = await scene.pair.primary.ask("XREVRANGE", key, "+", "-", "COUNT", 1)
    except (SinkUnavailable, ReplyError):
        return -1
    assert isinstance(newest, list), "XREVRANGE answers with an array"
    return int(newest[0][0].partition("-")[2]) if newest else -1


async def passed(
    scene: Scene, heads: Mapping[str, int], deadline_s: float, *, poll_s: float = POLL_S
) -> bool:  # fmt: skip
    """Whether the store passes all these ids before the deadline."""
    left = {oracle.key: heads[oracle.truth.market] for oracle in scene.trades if oracle.truth.market in heads}
    end = time.monotonic() + deadline_s
    while True:
        left = {key: head for key, head in left.items() if await tail(scene, key) < head}
        if not left:
            return True
        if time.monotonic() > end:
            return False
        await asyncio.sleep(poll_s)
