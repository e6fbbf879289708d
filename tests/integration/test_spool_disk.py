"""The spool on real disks: killed while it writes, and full."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec import Struct

from data_collector.observe.counters import Counters
from data_collector.pipeline.spool import segment_writer
from data_collector.pipeline.spool.spool import Spool, SpoolLimits
from tests.docs.tree import ROOT
from tests.integration.waiting import until_async
from tests.market import SYMBOL
from tests.spooling import ids_of, open_spool, run_of

ALL = 100_000_000
KILLS = 20

WRITER = """
import asyncio, sys
from pathlib import Path
from data_collector.observe.counters import Counters
from data_collector.pipeline.spool import segment_writer
from data_collector.pipeline.spool.spool import Spool, SpoolLimits
from tests.spooling import run_of

async def main() -> None:
    limits = SpoolLimits(ring_bytes=1, segment_bytes=50_000, group_bytes=2_000, group_s=0.001, upkeep_s=0.001)
    spool = Spool(Path(sys.argv[1]), Counters(), symbols=["BTCUSDT"], limits=limits)
    await spool.open()
    running = asyncio.create_task(spool.run())
    first_id = int(sys.argv[2])
    while True:
        spool.append([run_of(first_id, 5)])
        first_id += 5
        # What this names has been synced.
        print(spool.newest_id("BTCUSDT"), flush=True)
        await asyncio.sleep(0.0005)

asyncio.run(main())
"""


async def test_of_20_kills_while_it_writes_none_takes_what_was_synced_or_makes_a_wrong_record(tmp_path: Path) -> None:
    next_id = 0
    for number in range(KILLS):
        synced = kill_a_writer(tmp_path, next_id, lines=30 + 37 * (number % 5))

        async with open_spool(tmp_path) as spool:
            kept = ids_of(await spool.read(SYMBOL, 0, trades_max=ALL))
        assert kept == list(range(len(kept)))
        assert kept[-1] >= synced
        next_id = len(kept)


def kill_a_writer(folder: Path, next_id: int, *, lines: int) -> int:
    """The newest id that it has told to be synced, which is told often when it is killed in the middle of more."""
    command = [sys.executable, "-c", WRITER, str(folder), str(next_id)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        # A disk may take its time for the first ones.
        named = (line for line in writer.stdout if line.strip().isdecimal())
        told = [line for line, _ in zip(named, range(lines), strict=False)]
        writer.send_signal(signal.SIGKILL)
        told += writer.stdout.read().splitlines()
    # The last line may be cut.
    synced = [int(line) for line in told[:-1] if line.strip().isdecimal()]
    assert synced, "it was killed before it had written anything"
    return synced[-1]


class SmallDisk(Struct):
    """A folder with little room, until `make_room` is called."""

    folder: Path
    make_room: Callable[[], None]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A small file system where this user may mount one; elsewhere files that may not grow."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs", str(folder)]
    if os.geteuid() == 0 and subprocess.run(mount, check=False, capture_output=True).returncode == 0:
        ballast = folder / "ballast"
        ballast.write_bytes(bytes(200 * 1024))
        yield SmallDisk(folder / "spool", ballast.unlink)
        subprocess.run(["umount", str(folder)], check=True)
        return
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    yield SmallDisk(folder / "spool", lambda: resource.setrlimit(resource.RLIMIT_FSIZE, before))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_full_disk_costs_what_does_not_fit_and_is_used_again_when_there_is_room(
    small_disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_writer, "RETRY_S", 0.0)
    counters = Counters()
    limits = SpoolLimits(group_bytes=1, group_s=0.001, upkeep_s=0.01)
    spool = Spool(small_disk.folder, counters, symbols=[SYMBOL], limits=limits)
    await spool.open()
    running = asyncio.create_task(spool.run())
    # 5 trades take about 230 bytes on disk.
    spool.append([run_of(first_id, 5) for first_id in range(0, 2_000, 5)])
    await until_async(lambda: counters.value("data_collector_spool_full") == 1, "the disk told full")
    small_disk.make_room()
    spool.append([run_of(2_000, 5)])
    await until_async(lambda: counters.value("data_collector_spool_full") == 0, "the disk told well")

    assert ids_of(await spool.read(SYMBOL, 0, trades_max=ALL)) == list(range(2_005)), "memory has all of it"
    running.cancel()
    await spool.close()
    skipped = int(counters.value("data_collector_spool_skipped_trades_total"))
    async with open_spool(small_disk.folder) as reopened:
        kept = ids_of(await reopened.read(SYMBOL, 0, trades_max=ALL))
        later = ids_of(await reopened.read(SYMBOL, 2_000, trades_max=ALL))

    assert kept == list(range(len(kept)))
    assert 0 < len(kept) < 2_000
    assert later == list(range(2_000, 2_005))
    assert skipped >= 5
