"""Faults that only a service of several exchanges can have, and what it has to say of them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from random import Random

from data_collector.api.collectors import HUNG_S
from tests.soak.kind import Kind, Untouched
from tests.soak.scene import Scene
from tests.soak.service import ServedCollector, Service

HANGS_S = (6.0, 15.0)
"""Longer than the service waits for an answer."""

KILLED_S = HUNG_S + 30.0

POLL_S = 0.2

SILENT = "has not answered"


def _served(scene: Scene, random: Random) -> tuple[Service, ServedCollector]:
    assert scene.service is not None, "of several exchanges"
    collector = random.choice(scene.collectors)
    assert isinstance(collector, ServedCollector), "the service's"
    return scene.service, collector


async def kill_service(scene: Scene, random: Random) -> None:
    """kill -9 of the HTTP process, and a new one while its collectors may still be ending."""
    service, _ = _served(scene, random)
    await service.kill()
    await asyncio.sleep(random.uniform(0.0, 1.0))
    await service.start()


async def restart_service(scene: Scene, random: Random) -> None:
    """SIGTERM of the HTTP process, an orderly end of all, and a new one."""
    service, _ = _served(scene, random)
    await service.terminate()
    await service.start()


async def stop_and_start(scene: Scene, random: Random) -> None:
    """POST /control stops one exchange for 0.5 to 5 s."""
    service, collector = _served(scene, random)
    try:
        await service.control(collector.name, "stop")
    except OSError:
        raise Untouched from None
    collector.is_stopped = True
    await asyncio.sleep(random.uniform(0.5, 5.0))
    with contextlib.suppress(OSError):  # When all is calm it is asked for again.
        await collector.start()


async def hang(scene: Scene, random: Random) -> None:
    """SIGSTOP of one for 6 to 15 s: `/health` has to tell."""
    service, collector = _served(scene, random)
    if collector.pid is None:
        raise Untouched
    end, is_told = time.monotonic() + random.uniform(*HANGS_S), False
    collector.hold()
    try:
        while time.monotonic() < end:
            await asyncio.sleep(POLL_S)
            with contextlib.suppress(OSError):
                is_told = is_told or any(SILENT in reason for reason in await service.reasons(collector.name))
    finally:
        collector.go_on()
    if not is_told:
        scene.findings.unsettled["hang"] += 1
        scene.findings.tell(f"/health?exchange={collector.name} did not tell that the collector stands")


async def hang_for_good(scene: Scene, random: Random) -> None:
    """SIGSTOP of one that nobody lets go on: the service has to end it."""
    _, collector = _served(scene, random)
    if (pid := collector.pid) is None:
        raise Untouched
    end = time.monotonic() + KILLED_S
    collector.hold()
    while collector.pid == pid and time.monotonic() < end:  # noqa: ASYNC110 - another process's child
        await asyncio.sleep(POLL_S)
    if collector.pid == pid:
        collector.go_on()
        scene.findings.unsettled["hang"] += 1
        scene.findings.tell(f"the collector of {collector.name} stood for {KILLED_S:g} s and was not ended")


async def leave_out(scene: Scene, random: Random) -> None:
    """Streams leave out trades of the same time as the one before, for 1 to 5 s."""
    await scene.market.leave_out(stream=scene.feed(random).stream("trade"), rate=random.uniform(0.3, 1.0))
    await asyncio.sleep(random.uniform(1.0, 5.0))
    await scene.market.clear_faults()


KINDS = (
    Kind("kill-service", "collectors", 2, kill_service),
    Kind("restart-service", "collectors", 2, restart_service),
    Kind("stop-and-start", "collectors", 4, stop_and_start),
    Kind("hang", "collectors", 4, hang),
    Kind("hang-for-good", "collectors", 1, hang_for_good),
    Kind("equal-times", "exchange", 3, leave_out),
)
