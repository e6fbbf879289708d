"""Collects the truth while the market runs, follows the store, and verifies all of it when the faults rest."""

from __future__ import annotations

import asyncio
import time

from data_collector.model.errors import SinkUnavailable
from data_collector.model.records import Kline
from data_collector.sinks.redis.connection import ReplyError
from tests.soak.kline_oracle import KlineOracle, stored_klines
from tests.soak.recoveries import passed
from tests.soak.scene import Scene
from tests.soak.service import Service

FOLLOW_S = 0.5
SETTLE_POLL_S = 0.1
VERIFY_POLL_S = 3.0
"""Each look reads the whole of every stream."""

VERIFY_TRIES = 5
"""A server that is asked in the wrong moment is asked again."""


class Judge:
    """One per scene."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._turn = asyncio.Lock()

    async def begin(self) -> None:
        """Before the first fault; readers find out themselves where the collectors began."""

    async def watch(self) -> None:
        """Keep the truth complete (the exchange forgets) and read on in the store, until cancelled."""
        while True:
            async with self._turn:
                await self._follow()
            await asyncio.sleep(FOLLOW_S)

    async def settle(self) -> None:
        """Undo what faults may have left, wait until the store has caught up, verify everything."""
        scene = self._scene
        await self._calm()
        await self._mend()
        heads = await scene.market.heads()
        closed = {oracle: await self._closed(oracle) for oracle in scene.klines}
        end = time.monotonic() + scene.plan.settle_s
        settled = await passed(scene, heads, scene.plan.settle_s, poll_s=SETTLE_POLL_S)
        async with self._turn:
            while True:
                await self._verify_klines()
                behind = [
                    f"{oracle.truth.name} {oracle.interval} {told}"
                    for oracle, series in closed.items() if (told := oracle.behind(series))
                ]  # fmt: skip
                if not behind or time.monotonic() > end:
                    break
                await asyncio.sleep(VERIFY_POLL_S)
            await self._verify_trades()
        await self._verify_words()
        if not settled:
            self._note_unsettled("trades", [])
        if behind:
            self._note_unsettled("klines", behind)
        if scene.service is not None and (reasons := await self._unwell(scene.service, end)):
            self._note_unsettled("health", reasons)

    async def _verify_words(self) -> None:
        """What is said is so; whoever strikes a service asks it."""

    def _note_unsettled(self, what: str, which: list[str]) -> None:
        findings, seconds = self._scene.findings, self._scene.plan.settle_s
        findings.unsettled[what] += 1
        findings.tell(f"{what} did not reach the exchange's head within {seconds:g} s: {'; '.join(which)}")

    async def _calm(self) -> None:
        scene = self._scene
        await scene.market.clear_faults()
        await scene.market.act("resume")
        for collector in scene.collectors:
            collector.go_on()
            await collector.start()
        for name in ("min-replicas-to-write", "maxmemory"):
            await scene.pair.primary.ask("CONFIG", "SET", name, "0")

    async def _mend(self) -> None:
        """What only an operator can undo."""

    async def _unwell(self, service: Service, end: float) -> list[str]:
        while (reasons := await service.reasons()) and time.monotonic() < end:  # noqa: ASYNC110 - another process's
            await asyncio.sleep(1.0)
        return reasons

    async def _closed(self, oracle: KlineOracle) -> list[Kline]:
        return await self._scene.market.closed_klines(oracle.truth.symbol, oracle.interval)

    async def _follow(self) -> None:
        for oracle in self._scene.trades:
            # First the store, then the truth: whatever the store holds, the truth has then.
            await oracle.follow(self._scene.pair.primary)
            oracle.truth.add(await self._scene.market.trades(oracle.truth.symbol, oracle.truth.next_id))
            oracle.resolve()

    async def _verify_trades(self) -> None:
        scene = self._scene
        await self._follow()
        for each in scene.oracles:
            for attempt in range(VERIFY_TRIES):
                try:
                    await each.trades.verify(scene.pair.primary, maxlen=scene.plan.trades_maxlen)
                    await each.gaps.verify(scene.pair.primary)
                    break
                except (SinkUnavailable, ReplyError):
                    assert attempt + 1 < VERIFY_TRIES, "the store does not answer although no fault strikes"

    async def _verify_klines(self) -> None:
        for each in self._scene.oracles:
            stored = await stored_klines(self._scene.pair.primary, each.trades.truth)
            for oracle in each.klines:
                oracle.verify(stored.get(oracle.interval, []), await self._closed(oracle))
