"""Draws faults from the seed and lets them strike: three lanes at a time, and now and then one alone for its figure."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from random import Random

from tests.soak import collector_faults, exchange_faults, service_faults, store_faults
from tests.soak.adversary import lying, strangers, stuck
from tests.soak.kind import Kind, Lane, Untouched
from tests.soak.plan import SWARM, Plan
from tests.soak.recoveries import Recoveries, passed
from tests.soak.scene import Scene

ALL = (*collector_faults.KINDS, *store_faults.KINDS, *exchange_faults.KINDS)

OF_SEVERAL = (*ALL, *service_faults.KINDS)
"""Of several exchanges as one service."""

OF_AN_ADVERSARY = (*lying.KINDS, *strangers.KINDS, *stuck.KINDS)

DIARY = "faults.txt"
"""In the folder of the run: which fault struck when, to be laid beside the collectors' logs."""

PAUSE_S = (0.15, 0.8)
"""Between two faults of a lane."""

SERVED_PAUSE_S = (4.0, 20.0)
"""Between two of collectors that a service starts again: the more often one ends, the longer it waits with that."""

ALONE_SHARE = 0.1
"""How many of the faults wait for the others to end and are measured."""

CALM_S = 5.0
"""How long it waits for what went before to have been recovered from; later it strikes without a figure."""

RECOVERED_S = 30.0
"""How long the recovery from it may take."""


def kinds_of(plan: Plan) -> tuple[Kind, ...]:
    """The kinds that a plan asks for. Raises `KeyError` for a name that is not known."""
    every = OF_AN_ADVERSARY if plan.adversary else OF_SEVERAL if plan.is_one_service else ALL
    if plan.kinds == (SWARM,):
        random = Random(f"{plan.seed}:swarm")
        return tuple(random.sample(every, random.randint(3, 8)))
    known = {kind.name: kind for kind in every}
    return tuple(known[name] for name in plan.kinds) or every


class Storm:
    """`blow` for each round; the draws go on where they were."""

    def __init__(self, plan: Plan, scene: Scene) -> None:
        self.struck: Counter[str] = Counter()
        self.recoveries = Recoveries()
        self._scene = scene
        self._diary: list[str] = []
        self._turns = Turns()
        kinds = kinds_of(plan)
        lanes: tuple[Lane, ...] = ("collectors", "store", "exchange", "readers")
        self._lanes = {lane: [kind for kind in kinds if kind.lane == lane] for lane in lanes}
        self._randoms = {lane: Random(f"{plan.seed}:{lane}") for lane in lanes}

    async def blow(self, seconds: float) -> None:
        """Faults strike for so long; all of them are over at the end."""
        end = time.monotonic() + seconds
        async with asyncio.TaskGroup() as tasks:
            for lane, kinds in self._lanes.items():
                if kinds:
                    tasks.create_task(self._blow_in(lane, kinds, end))
        diary = "".join(f"{line}\n" for line in self._diary)
        (self._scene.folder / DIARY).write_text(diary, encoding="utf-8")

    async def _blow_in(self, lane: Lane, kinds: list[Kind], end: float) -> None:
        random = self._randoms[lane]
        weights = [kind.weight for kind in kinds]
        pause_s = SERVED_PAUSE_S if lane == "collectors" and self._scene.plan.is_one_service else PAUSE_S
        while time.monotonic() < end:
            # A lane whose pause is longer than the round strikes when the round ends, and once at least.
            await asyncio.sleep(min(random.uniform(*pause_s), max(end - time.monotonic(), 0.0)))
            (kind,) = random.choices(kinds, weights)
            # What a fault draws for itself must not depend on how much the one before has drawn.
            own = Random(random.getrandbits(64))
            # What a stranger does is over when an operator has time for it: that is no figure.
            if not self._scene.plan.adversary and (random.random() < ALONE_SHARE or kind.alone):
                async with self._turns.alone():
                    await self._measure(kind, own)
            else:
                async with self._turns.beside():
                    await self._strike(kind, own)

    async def _measure(self, kind: Kind, random: Random) -> None:
        if not await passed(self._scene, await self._scene.market.heads(), CALM_S):
            if not kind.alone:
                await self._strike(kind, random)
            return
        await self._strike(kind, random)
        await self.recoveries.measure(self._scene, kind.name, RECOVERED_S)

    async def _strike(self, kind: Kind, random: Random) -> None:
        begun = _now()
        try:
            await kind.strike(self._scene, random)
        except Untouched:
            return
        self.struck[kind.name] += 1
        self._diary.append(f"{begun} to {_now()} {kind.name}")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Turns:
    """Many beside each other, or one alone."""

    def __init__(self) -> None:
        self._beside = 0
        self._alone = asyncio.Lock()
        self._empty = asyncio.Condition()

    @asynccontextmanager
    async def beside(self) -> AsyncIterator[None]:
        """Together with others."""
        async with self._alone:
            self._beside += 1
        try:
            yield
        finally:
            async with self._empty:
                self._beside -= 1
                self._empty.notify_all()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """With nobody else; who comes meanwhile waits."""
        async with self._alone:
            async with self._empty:
                await self._empty.wait_for(lambda: self._beside == 0)
            yield
