"""Faults of the exchange: frames, streams, connections, REST, and the way to it.

Faults of frames strike so many frames and are over; the rates are those of a bad day, many times a minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

from tests.soak.feeds import Feed
from tests.soak.kind import Kind, Untouched
from tests.soak.scene import Scene

CORRUPT_SHAPES = ("truncated", "bad_utf8", "deep", "nan", "huge_number", "duplicate_keys", "empty", "binary")
CLOSE_CODES = (1000, 1001, 1008, 1012, 1013)
SPENT_TIMEOUT_S = 2.0


def frames(**fault: object) -> Callable[[Scene, Random], Awaitable[None]]:
    """A fault in 20 to 200 trade frames, some percent of those that come."""

    async def strike(scene: Scene, random: Random) -> None:
        count, rate = random.randint(20, 200), random.uniform(0.02, 0.3)
        stream = scene.feed(random).stream("trade")
        await scene.market.frame_fault(**{"stream": stream, "count": count, "rate": rate, **fault})
        await asyncio.sleep(count / rate / scene.plan.rate)

    return strike


async def reorder(scene: Scene, random: Random) -> None:
    """Frames come after some of those that follow them."""
    await frames(kind="reorder", span=random.randint(1, 50))(scene, random)


async def delay(scene: Scene, random: Random) -> None:
    """Frames come up to a second late."""
    await frames(kind="delay", delay_s=random.uniform(0.05, 1.0))(scene, random)


async def corrupt(scene: Scene, random: Random) -> None:
    """Frames come broken."""
    await frames(kind="corrupt", shape=random.choice(CORRUPT_SHAPES), rate=0.02, count=10)(scene, random)


async def contradict(scene: Scene, random: Random) -> None:
    """Frames come again with another price."""
    feed = scene.feed(random)
    await frames(kind="conflict", set=feed.wire.contradiction, stream=feed.stream("trade"))(scene, random)


async def mute_stream(scene: Scene, random: Random) -> None:
    """One symbol's trades are not sent for 0.5 to 4 s."""
    feed = scene.feed(random)
    await scene.market.frame_fault(kind="drop", stream=feed.stream("trade", random.choice(feed.symbols)))
    await asyncio.sleep(random.uniform(0.5, 4.0))
    await scene.market.clear_faults()


async def lose_closes(scene: Scene, random: Random) -> None:
    """Closing frames of klines never come."""
    feed, count = scene.feed(random), random.randint(1, 4)
    if not feed.wire.closing:
        raise Untouched
    stream = feed.stream("kline", interval="1m")
    await scene.market.frame_fault(kind="drop", stream=stream, contains=feed.wire.closing, count=count)
    await asyncio.sleep(random.uniform(0.5, 2.0))


async def reset_streams(scene: Scene, random: Random) -> None:
    """RST in the middle of a frame."""
    await scene.act_on(scene.feed(random), "reset")


async def close_streams(scene: Scene, random: Random) -> None:
    """A close frame."""
    await scene.act_on(scene.feed(random), "close", code=random.choice(CLOSE_CODES))


async def shut_down(scene: Scene, random: Random) -> None:
    """serverShutdown, and the end a little later."""
    seconds = random.uniform(0.5, 3.0)
    await scene.market.act("shutdown", close_after_s=seconds, unwrapped=random.random() < 0.3)
    await asyncio.sleep(seconds)


async def stall_streams(scene: Scene, random: Random) -> None:
    """No byte for 0.5 to 3 s, then everything at once."""
    seconds = random.uniform(0.5, 3.0)
    await scene.act_on(scene.feed(random), "stall", seconds=seconds)
    await asyncio.sleep(seconds)


async def half_open_socket(scene: Scene, random: Random) -> None:
    """No byte passes in either direction for 0.5 to 3 s."""
    socket = scene.feed(random).socket
    socket.hold()
    await asyncio.sleep(random.uniform(0.5, 3.0))
    socket.go_on()


async def drip(scene: Scene, random: Random) -> None:
    """A slow way: 16 KB a second, for a while."""
    socket = scene.feed(random).socket
    socket.drip_bytes_per_s = 16_384
    await asyncio.sleep(random.uniform(0.5, 2.0))
    socket.drip_bytes_per_s = 0


async def reset_some(scene: Scene, random: Random) -> None:
    """RST to the connection of one collector, by and large."""
    feed = scene.feed(random)
    feed.socket.reset(1 / len(feed.collectors), random)
    await asyncio.sleep(0)


async def refuse_streams(scene: Scene, random: Random) -> None:
    """Who connects is answered 503, twice."""
    await scene.market.refuse(status=503, count=2)
    await scene.act_on(scene.feed(random), "close", code=random.choice(CLOSE_CODES))


async def flood(scene: Scene, random: Random) -> None:
    """A thousand pings at once."""
    await scene.act_on(scene.feed(random), "ping_flood", count=1000)


async def burst(scene: Scene, random: Random) -> None:
    """Thousands of trades of one symbol at once."""
    symbol, left = random.choice(scene.plan.names), random.randint(2_000, 15_000)
    while left > 0:
        part = min(left, scene.burst_max)
        moment_ms = (await scene.market.state()).now_ms
        await scene.market.act("burst", symbol=symbol, trades=part)
        left -= part
        while left > 0 and (await scene.market.state()).now_ms == moment_ms:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)


async def skip_ids(scene: Scene, random: Random) -> None:
    """Ids that nobody will ever have."""
    await scene.market.act("skip_ids", symbol=random.choice(scene.plan.names), count=random.randint(1, 50))


async def pause_market(scene: Scene, random: Random) -> None:
    """The exchange stands still for a second or less."""
    await scene.market.act("pause")
    await asyncio.sleep(random.uniform(0.2, 1.0))
    await scene.market.act("resume")


async def refuse_rest(scene: Scene, random: Random) -> None:
    """REST answers with an error, some times."""
    status = random.choice((429, 500, 502, 503, 504))
    retry = {"retry_after_s": 1} if status == 429 else {}
    feed = scene.feed(random)
    await scene.market.rest_fault(path=feed.wire.rest, status=status, count=random.randint(1, 5), **retry)
    await _drop_trades(scene, feed, random)


async def empty_rest(scene: Scene, random: Random) -> None:
    """REST has nothing, some times."""
    feed = scene.feed(random)
    await scene.market.rest_fault(path=feed.wire.trades, empty=True, count=random.randint(1, 3))
    await _drop_trades(scene, feed, random)


async def hang_rest(scene: Scene, random: Random) -> None:
    """REST does not answer, once or twice."""
    feed = scene.feed(random)
    await scene.market.rest_fault(path=feed.wire.trades, hang=True, count=random.randint(1, 2))
    await _drop_trades(scene, feed, random)


async def _drop_trades(scene: Scene, feed: Feed, random: Random) -> None:
    # Without anything to fetch, REST may be as broken as it likes.
    await scene.market.frame_fault(kind="drop", stream=feed.stream("trade"), count=random.randint(20, 100), rate=0.3)
    await asyncio.sleep(random.uniform(0.5, 1.5))


KINDS = tuple(
    Kind(name, "exchange", weight, strike)
    for name, weight, strike in (
        ("frames-dropped", 6, frames(kind="drop")),
        ("frames-doubled", 3, frames(kind="duplicate")),
        ("frames-reordered", 3, reorder),
        ("frames-late", 3, delay),
        ("frames-broken", 2, corrupt),
        ("frames-contradicted", 2, contradict),
        ("stream-mute", 2, mute_stream),
        ("closing-frames-lost", 3, lose_closes),
        ("stream-reset", 2, reset_streams),
        ("stream-closed", 2, close_streams),
        ("server-shutdown", 1, shut_down),
        ("stream-stalled", 2, stall_streams),
        ("socket-half-open", 2, half_open_socket),
        ("slow-drip", 1, drip),
        ("socket-reset", 3, reset_some),
        ("streams-refused", 1, refuse_streams),
        ("ping-flood", 1, flood),
        ("burst", 6, burst),
        ("ids-skipped", 2, skip_ids),
        ("market-paused", 1, pause_market),
        ("rest-refuses", 2, refuse_rest),
        ("rest-empty", 2, empty_rest),
        ("rest-hangs", 1, hang_rest),
    )
)
