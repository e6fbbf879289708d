"""The judge of a run with an adversary: has an operator beside it, and holds what is said against what is so."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter

from data_collector.model.keys import SIDES
from tests.invariants.lies import lies, moans
from tests.invariants.said import Said, said_by_service
from tests.soak.adversary.operator import Operator
from tests.soak.adversary.strangers import TEXTS
from tests.soak.adversary.witness import Witness
from tests.soak.judge import Judge
from tests.soak.recoveries import tail
from tests.soak.scene import Scene

SAY_POLL_S = 1.0


class Suspicious(Judge):
    """One per scene."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.operator, self.witness = Operator(scene), Witness(scene)
        scene.findings.planted = frozenset(TEXTS)

    async def watch(self) -> None:
        """The truth is kept, what is advised is done, and what is said is looked at."""
        async with asyncio.TaskGroup() as tasks:
            for watch in (super().watch(), self.operator.watch(), self.witness.watch()):
                tasks.create_task(watch)

    @property
    def report(self) -> str:
        """What it has looked at, and what had to be done."""
        deleted = Counter(self.operator.deleted)
        return (
            f"the witness looked {self.witness.looks} times, {self.witness.doubts} times something was wrong and told; "
            f"the operator deleted {dict(sorted(deleted.items()))}"
        )

    async def begin(self) -> None:
        """What strangers write is no reader's to follow: only where the collectors began is kept."""
        for oracle in self._scene.trades:
            oracle.begin = await tail(self._scene, oracle.key)

    async def _follow(self) -> None:
        for oracle in self._scene.trades:
            oracle.truth.add(await self._scene.market.trades(oracle.truth.symbol, oracle.truth.next_id))

    async def _mend(self) -> None:
        """The operator goes on until nobody advises anything, or it is time to judge."""
        self.operator.is_prompt = True
        end = time.monotonic() + self._scene.plan.settle_s
        while await self._reasons() and time.monotonic() < end:  # noqa: ASYNC110 - another process's
            await asyncio.sleep(SAY_POLL_S)

        primary = self._scene.pair.primary
        for each in self._scene.oracles:
            for kind in SIDES:
                # Where nothing was to be written, nobody has met it.
                if await primary.ask("TYPE", key := each.trades.truth.key(kind)) != "stream":
                    await primary.ask("DEL", key)

    async def _verify_words(self) -> None:
        scene = self._scene
        for oracle in scene.trades:
            oracle.newest = max(oracle.newest, min(await tail(scene, oracle.key), oracle.truth.next_id - 1))
            oracle.followed = oracle.truth.next_id - oracle.begin
        end, moaned = time.monotonic() + scene.plan.settle_s, ["nothing was said"]
        while moaned and time.monotonic() < end:
            with contextlib.suppress(OSError):
                said = await self._said()
                moaned = [*lies(said, []), *moans(said)]
            await asyncio.sleep(SAY_POLL_S)
        self.operator.is_prompt = False
        for moan in moaned:
            scene.findings.lie(f"nothing is wrong, and {scene.plan.settle_s:g} s later: {moan}")

    async def _said(self) -> Said:
        assert self._scene.service is not None, "an adversary strikes a whole service"
        (feed,) = self._scene.feeds
        return await asyncio.to_thread(said_by_service, self._scene.service.port, feed.symbols)

    async def _reasons(self) -> list[str]:
        assert self._scene.service is not None, "an adversary strikes a whole service"
        try:
            return await self._scene.service.reasons()
        except OSError as error:
            return [str(error)]
