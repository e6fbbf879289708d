"""An exchange that lies: what it says is in its form, and is not so. REST and the tape know better."""

from __future__ import annotations

import asyncio
from random import Random

from tests.soak.kind import Kind, Untouched
from tests.soak.scene import Scene

HOUR_MS = 3_600_000
CENTURY_MS = 73 * 365 * 24 * HOUR_MS
FAR_MS = (60_000, 5 * 60_000, HOUR_MS, 23 * HOUR_MS, 400 * 24 * HOUR_MS)
NEAR_IDS = 200
PER_S = 50
"""So many lies a second at most: some of the frames of a market in a hurry."""


async def _lie(scene: Scene, random: Random, stream: str, *, count: int, **lie: object) -> None:
    await scene.market.lie(stream=stream, count=count, rate=random.choice((0.3, 1.0)), **lie)
    await asyncio.sleep(count / PER_S + random.uniform(0.2, 1.5))


def _trades(scene: Scene, random: Random) -> str:
    feed = scene.feed(random)
    return feed.stream("trade", random.choice(feed.symbols))


def _klines(scene: Scene, random: Random) -> str:
    feed = scene.feed(random)
    return feed.stream("kline", random.choice(feed.symbols), random.choice(("1m", "5m")))


async def distant_candle(scene: Scene, random: Random) -> None:
    """An open candle of another time: the next minute's, tomorrow's, next year's."""
    await _lie(
        scene, random, _klines(scene, random), count=random.randint(1, 3), beside=random.random() < 0.5, closed=False,
        times_ms=random.choice(FAR_MS),
    )  # fmt: skip


async def early_close(scene: Scene, random: Random) -> None:
    """A running candle is told to be closed, now or that of the next minute."""
    await _lie(
        scene, random, _klines(scene, random), count=random.randint(1, 3), beside=random.random() < 0.5, closed=False,
        closes=True, times_ms=random.choice((0, 0, 60_000)),
    )  # fmt: skip


async def distant_close(scene: Scene, random: Random) -> None:
    """Closing frames of the next century, or of tomorrow."""
    await _lie(
        scene, random, _klines(scene, random), count=random.randint(1, 4), beside=True, closed=True,
        times_ms=random.choice((CENTURY_MS // 60_000 * 60_000, *FAR_MS)),
    )  # fmt: skip


async def clock_ahead(scene: Scene, random: Random) -> None:
    """REST tells another hour for some seconds."""
    feed = scene.feed(random)
    if feed.wire.clock is None:
        raise Untouched
    path, field = feed.wire.clock
    await scene.market.rest_fault(path=path, kind="alter", add={field: random.choice((-1, 1)) * random.choice(FAR_MS)})
    await asyncio.sleep(random.uniform(2.0, 8.0))
    await scene.market.clear_faults()


async def distant_ticker(scene: Scene, random: Random) -> None:
    """A ticker from tomorrow, or with an id that has not come."""
    feed = scene.feed(random)
    await _lie(
        scene, random, feed.stream("ticker", random.choice(feed.symbols)), count=random.randint(1, 3),
        beside=random.random() < 0.5,
        **random.choice(({"times_ms": 23 * HOUR_MS}, {"ids": 1_900_000}, {"ids": 40, "price": "1.00000000"})),
    )  # fmt: skip


async def distant_trade_time(scene: Scene, random: Random) -> None:
    """A trade that is told once more, of tomorrow."""
    await _lie(
        scene, random, _trades(scene, random), count=random.randint(1, 3), beside=True, times_ms=random.choice(FAR_MS)
    )


async def distant_ids(scene: Scene, random: Random) -> None:
    """Trades whose ids are far ahead, neighbours mostly, with or without the true ones."""
    await _lie(
        scene, random, _trades(scene, random), count=random.choice((1, 2, 2, 3, 20)), beside=random.random() < 0.5,
        ids=random.choice((1_000, 1_000_000, 10**9)),
    )  # fmt: skip


async def refused_ahead(scene: Scene, random: Random) -> None:
    """Frames that no rule lets pass, of ids that are due a little later."""
    await _lie(
        scene, random, _trades(scene, random), count=random.randint(1, 60), beside=True,
        ids=random.randint(1, NEAR_IDS), price="-1.00000000",
    )  # fmt: skip


async def old_ids(scene: Scene, random: Random) -> None:
    """Ids of long ago between honest ones."""
    await _lie(
        scene, random, _trades(scene, random), count=random.randint(1, 200), beside=True,
        ids=-random.randint(1_000, 100_000),
    )  # fmt: skip


async def deep_frames(scene: Scene, random: Random) -> None:
    """Arrays in arrays, around as much text as a frame may have."""
    depth, size = random.choice((10, 450, 900)), random.choice((10_000, 1_000_000))
    text = "[" * depth + '"' + "x" * size + '"' + "]" * depth
    for _ in range(random.randint(1, 3)):
        await scene.act_on(scene.feed(random), "send", text=text)


KINDS = (
    Kind("distant-candle", "exchange", 3, distant_candle),
    Kind("early-close", "exchange", 3, early_close),
    Kind("distant-close", "exchange", 3, distant_close),
    Kind("clock-ahead", "exchange", 2, clock_ahead),
    Kind("distant-ticker", "exchange", 2, distant_ticker),
    Kind("distant-trade-time", "exchange", 2, distant_trade_time),
    Kind("distant-ids", "exchange", 4, distant_ids),
    Kind("refused-ahead", "exchange", 3, refused_ahead),
    Kind("old-ids", "exchange", 2, old_ids),
    Kind("deep-frames", "exchange", 1, deep_frames),
)
