"""Faults of the collector processes and of what they keep on disk."""

from __future__ import annotations

import asyncio
from random import Random

from tests.soak.feeds import Collector
from tests.soak.kind import Kind, Untouched
from tests.soak.scene import Scene


async def kill_one(scene: Scene, random: Random) -> None:
    """kill -9 of one collector, and a new one."""
    collector = random.choice(scene.collectors)
    await collector.kill()
    await asyncio.sleep(random.uniform(0.0, 0.5))
    await collector.start()


async def kill_all(scene: Scene, random: Random) -> None:
    """kill -9 of every collector: nobody listens for a moment."""
    await asyncio.gather(*(collector.kill() for collector in scene.collectors))
    await asyncio.sleep(random.uniform(0.1, 1.0))
    await asyncio.gather(*(collector.start() for collector in scene.collectors))


async def hold(scene: Scene, random: Random) -> None:
    """SIGSTOP for 0.2 to 2 s."""
    collector = random.choice(scene.collectors)
    collector.hold()
    await asyncio.sleep(random.uniform(0.2, 2.0))
    collector.go_on()


async def hold_all(scene: Scene, random: Random) -> None:
    """SIGSTOP of every collector for 0.2 to 1 s."""
    for collector in scene.collectors:
        collector.hold()
    await asyncio.sleep(random.uniform(0.2, 1.0))
    for collector in scene.collectors:
        collector.go_on()


async def restart(scene: Scene, random: Random) -> None:
    """SIGTERM, an orderly end, and a new one."""
    collector = random.choice(scene.collectors)
    await collector.terminate()
    await collector.start()


async def damage_spool(scene: Scene, random: Random) -> None:
    """Kill all; flip a bit, cut the end off or delete a file of each spool; start again."""
    await asyncio.gather(*(collector.kill() for collector in scene.collectors))
    damaged = [_damage(collector, random) for collector in scene.collectors]
    await asyncio.gather(*(collector.start() for collector in scene.collectors))
    if not any(damaged):
        raise Untouched


def _damage(collector: Collector, random: Random) -> bool:
    draw, how = random.random(), random.choice(("flip", "cut", "delete"))
    files = sorted(path for path in collector.spool.rglob("*") if path.is_file() and path.stat().st_size)
    if not files:
        return False
    file = files[int(draw * len(files))]
    size = file.stat().st_size
    place = int(random.random() * size)
    match how:
        case "flip":
            with file.open("r+b") as opened:
                opened.seek(place)
                (byte,) = opened.read(1)
                opened.seek(place)
                opened.write(bytes([byte ^ 1 << place % 8]))
        case "cut":
            with file.open("r+b") as opened:
                opened.truncate(place)
        case _:
            file.unlink()
    return True


KINDS = (
    Kind("kill-one", "collectors", 10, kill_one),
    Kind("kill-all", "collectors", 4, kill_all),
    Kind("hold-one", "collectors", 6, hold),
    Kind("hold-all", "collectors", 3, hold_all),
    Kind("restart", "collectors", 3, restart),
    Kind("damage-spool", "collectors", 2, damage_spool),
)
