"""`make soak`: random faults, drawn from a seed, and an oracle that compares every trade. Exit code 1 is red."""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.integration.redis_server import install_redis
from tests.soak.adversary.suspicious import Suspicious
from tests.soak.findings import Findings
from tests.soak.judge import Judge
from tests.soak.plan import Plan, plan_of
from tests.soak.recoveries import passed
from tests.soak.report import Result, publish, report_of
from tests.soak.scene import Scene, staged
from tests.soak.storm import Storm, kinds_of

BEGIN_S = 60.0
"""How long the first trades of every symbol may take."""


class NoTrades(Exception):
    """The collectors store nothing at all, before any fault has struck."""


def is_hopeless(found: Findings) -> bool:
    """Whether there is nothing left to be learned from going on."""
    return found.is_hopeless


async def soak(plan: Plan, folder: Path, *, enough: Callable[[Findings], object] = is_hopeless) -> Result:
    """Carry out a plan, or the part of it after which `enough` has been found. Raises `NoTrades`, in a group."""
    async with staged(plan, folder) as scene:
        storm, judge = Storm(plan, scene), Suspicious(scene) if plan.adversary else Judge(scene)
        await _begin(scene)
        await judge.begin()
        start = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(judge.watch())
            while (left := _left_s(plan, scene, time.monotonic() - start)) > 0:
                await storm.blow(min(left, plan.round_s))
                if not enough(scene.findings):
                    await judge.settle()
                _tell(scene, storm, time.monotonic() - start)
                if enough(scene.findings):
                    break
            watching.cancel()
        seconds = time.monotonic() - start
    scene.findings.reader_faults = len(scene.read.faults)
    if isinstance(judge, Suspicious):
        print(judge.report, flush=True)
    return Result(scene, storm, seconds)


async def _begin(scene: Scene) -> None:
    # The collectors begin where they begin; from there on everything counts.
    heads = await scene.market.heads()
    while set(heads) < set(scene.plan.names):
        await asyncio.sleep(0.1)
        heads = await scene.market.heads()
    if not await passed(scene, heads, BEGIN_S):
        raise NoTrades(f"no trades within {BEGIN_S:g} s: see {scene.folder}")


def _left_s(plan: Plan, scene: Scene, seconds: float) -> float:
    if not plan.trades:
        return plan.minutes * 60 - seconds
    return plan.round_s if sum(oracle.followed for oracle in scene.trades) < plan.trades else 0.0


def _tell(scene: Scene, storm: Storm, seconds: float) -> None:
    found = scene.findings
    trades = sum(oracle.followed for oracle in scene.trades)
    print(
        f"{seconds:6.0f} s  {trades:11,} trades  {storm.struck.total():5,} faults  lost {len(found.lost):,}  "
        f"lies {len(found.lies)}  doubled {len(found.doubled):,}  changed {len(found.changed):,}  klines "
        f"{len(found.klines_lost) + len(found.klines_doubled) + len(found.klines_changed)}  unsettled "
        f"{found.unsettled.total()}",
        flush=True,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and report; the exit code."""
    # As with Ctrl-C: nothing that was started is left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    plan = plan_of(arguments)
    kinds_of(plan)
    if plan.server == "redis" and (reason := install_redis()) is not None:
        print(reason)
        return 2
    with tempfile.TemporaryDirectory(prefix="soak-", ignore_cleanup_errors=True) as temporary:
        folder = plan.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        print(plan.command, flush=True)
        result = asyncio.run(soak(plan, folder))
    print(report_of(result))
    if plan.publish is not None:
        publish(result, plan.publish)
    return 0 if result.scene.findings.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
