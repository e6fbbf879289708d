"""Memory and disk together: what is kept, for how long, and over which faults."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from data_collector.model.errors import Misconfigured
from data_collector.observe.counters import Counters
from data_collector.pipeline.spool import segment_writer
from data_collector.pipeline.spool.segment_writer import DiskCalls
from data_collector.pipeline.spool.segments import encode_header, segment_path
from data_collector.pipeline.spool.shelf import run_bytes
from data_collector.pipeline.spool.spool import Spool, SpoolLimits
from tests.clock import Clock
from tests.integration.waiting import until_async
from tests.market import SYMBOL
from tests.spooling import ids_of, open_spool, run_of

ALL = 1_000_000
TINY = SpoolLimits(ring_bytes=1, segment_bytes=2_000, group_bytes=1, group_s=0.001, upkeep_s=0.01)
"""Nothing stays in memory, and some runs make a file."""


class SlowDisk(DiskCalls):
    """Syncs when it is let."""

    def __init__(self) -> None:
        self.let = threading.Event()
        self.syncing = threading.Event()

    def sync(self, descriptor: int) -> None:
        self.syncing.set()
        self.let.wait()
        super().sync(descriptor)


class FailingDisk(DiskCalls):
    """Fails to sync once."""

    has_failed = False

    def sync(self, descriptor: int) -> None:
        if not self.has_failed:
            self.has_failed = True
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().sync(descriptor)


class SmallDisk(DiskCalls):
    """Has room, or has not."""

    def __init__(self) -> None:
        self.is_full = False

    def write(self, descriptor: int, content: memoryview) -> int:
        if self.is_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(descriptor, content)


@asynccontextmanager
async def running(spool: Spool) -> AsyncIterator[None]:
    """With upkeep, as the service has it."""
    await spool.open()
    task = asyncio.create_task(spool.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait((task,))
        await spool.close()


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    async with open_spool(tmp_path / "spool") as spool:
        spool.append([run_of(10, 5), run_of(15, 5), run_of(25, 5, gap=5), run_of(1, 1, symbol="ETHUSDT")])

    async with open_spool(tmp_path / "spool") as spool:
        found = await spool.read(SYMBOL, 12, trades_max=ALL)

        assert ids_of(found) == [*range(12, 20), *range(25, 30)]
        assert (spool.oldest_id(SYMBOL), spool.newest_id(SYMBOL)) == (10, 29)
        assert (spool.oldest_id("ETHUSDT"), spool.newest_id("ETHUSDT")) == (1, 1)
        assert await spool.read(SYMBOL, 9, trades_max=ALL) == []
        assert await spool.read(SYMBOL, 30, trades_max=ALL) == []
        assert ids_of(await spool.read(SYMBOL, 12, trades_max=2)) == [12, 13, 14]


async def test_folder_and_files_are_closed_to_others(tmp_path: Path) -> None:
    folder = tmp_path / "live" / "spool"
    folder.mkdir(parents=True, mode=0o755)

    async with open_spool(folder) as spool:
        spool.append([run_of(1)])

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


async def test_memory_answers_before_anything_is_on_disk(tmp_path: Path) -> None:
    async with open_spool(tmp_path) as spool:
        spool.append([run_of(1, 5)])

        assert files(tmp_path) == []
        assert ids_of(await spool.read(SYMBOL, 2, trades_max=ALL)) == [2, 3, 4, 5]


async def test_without_a_disk_memory_is_all_there_is(tmp_path: Path) -> None:
    spool = Spool(
        tmp_path / "spool",
        Counters(),
        symbols=[SYMBOL],
        limits=SpoolLimits(bytes_max=0, ring_bytes=2 * run_bytes(run_of(1))),
    )
    async with running(spool):
        spool.append([run_of(1), run_of(2), run_of(3), run_of(4)])

        assert (spool.oldest_id(SYMBOL), spool.newest_id(SYMBOL)) == (3, 4)
        assert await spool.read(SYMBOL, 1, trades_max=ALL) == []
    assert files(tmp_path) == []


async def test_a_run_that_speaks_of_no_id_is_not_kept(tmp_path: Path) -> None:
    async with open_spool(tmp_path) as spool:
        spool.append([run_of(5, 0)])

        assert (spool.oldest_id(SYMBOL), spool.newest_id(SYMBOL)) == (None, None)
    assert files(tmp_path) == []


async def test_explained_ids_count_as_kept_at_the_end_and_not_at_the_beginning(tmp_path: Path) -> None:
    async with open_spool(tmp_path) as spool:
        spool.append([run_of(10, 1, gap=5), run_of(15, 0, gap=4)])

        assert (spool.oldest_id(SYMBOL), spool.newest_id(SYMBOL)) == (10, 14)


async def test_many_files_are_read_in_one_go_and_new_runs_while_they_are_written(tmp_path: Path) -> None:
    spool = Spool(tmp_path, Counters(), symbols=[SYMBOL], limits=TINY)
    async with running(spool):
        for first_id in range(0, 200, 5):
            spool.append([run_of(first_id, 5)])
        await until_async(lambda: spool.newest_id(SYMBOL) == 199, "the last run on disk")

        assert len(files(tmp_path)) > 3
        assert ids_of(await spool.read(SYMBOL, 3, trades_max=ALL)) == list(range(3, 200))
        spool.append([run_of(200, 5)])
        await until_async(lambda: spool.newest_id(SYMBOL) == 204, "one more run on disk")
        assert ids_of(await spool.read(SYMBOL, 198, trades_max=ALL)) == list(range(198, 205))


async def test_files_go_when_they_are_old_and_confirmed(tmp_path: Path) -> None:
    clock = Clock()
    spool = Spool(tmp_path, Counters(), symbols=[SYMBOL], limits=TINY, clock=clock)
    async with running(spool):
        for first_id in range(0, 100, 5):
            spool.append([run_of(first_id, 5), run_of(first_id, 5, symbol="NOT_COLLECTED")])
        await until_async(lambda: spool.newest_id(SYMBOL) == 99, "the last run on disk")
        written = len(files(tmp_path))

        spool.confirm(SYMBOL, 50)
        await asyncio.sleep(0.05)
        kept_while_young = len(files(tmp_path))
        clock.now_s += TINY.keep_s
        await until_async(lambda: len(files(tmp_path)) < written, "a file less")
        oldest_id = spool.oldest_id(SYMBOL)
        spool.confirm(SYMBOL, 99)
        await until_async(lambda: len(files(tmp_path)) == 1, "the newest file alone")

        assert kept_while_young == written
        assert oldest_id is not None
        assert 30 < oldest_id <= 50, "a file that holds 51 stays"


async def test_a_restart_knows_how_old_files_are(tmp_path: Path) -> None:
    async with open_spool(tmp_path, limits=TINY) as spool:
        spool.append([run_of(first_id, 5) for first_id in range(0, 100, 5)])
    written = files(tmp_path)
    for name in written[:2]:
        old_s = (tmp_path / name).stat().st_mtime - TINY.keep_s
        os.utime(tmp_path / name, (old_s, old_s))

    spool = Spool(tmp_path, Counters(), symbols=[SYMBOL], limits=TINY)
    async with running(spool):
        spool.confirm(SYMBOL, 99)
        await until_async(lambda: len(files(tmp_path)) < len(written), "files less")

    assert files(tmp_path) == written[2:]


async def test_beyond_its_limit_the_oldest_files_go_and_are_counted(tmp_path: Path) -> None:
    counters = Counters()
    limits = SpoolLimits(
        bytes_max=8_000, ring_bytes=1, segment_bytes=2_000, group_bytes=1, group_s=0.001, upkeep_s=0.01
    )
    spool = Spool(tmp_path, counters, symbols=[SYMBOL], limits=limits)
    async with running(spool):
        for first_id in range(0, 500, 5):
            spool.append([run_of(first_id, 5)])
        await until_async(lambda: spool.newest_id(SYMBOL) == 499, "the last run on disk")
        # The figures are told once in a while: until then they are those of before.
        over_limit = "data_collector_spool_files_over_limit_total"
        await until_async(lambda: counters.value(over_limit) > 5, "many files deleted")
        await until_async(lambda: counters.value("data_collector_spool_bytes") <= 8_000, "as many as there must be")

        oldest_id = spool.oldest_id(SYMBOL)
        assert oldest_id is not None
        assert ids_of(await spool.read(SYMBOL, oldest_id, trades_max=ALL)) == list(range(oldest_id, 500))


async def test_a_slow_sync_holds_up_neither_the_loop_nor_the_ring(tmp_path: Path) -> None:
    disk, counters = SlowDisk(), Counters()
    limits = SpoolLimits(queue_bytes=10_000, group_s=0.001, upkeep_s=0.01)
    spool = Spool(tmp_path, counters, symbols=[SYMBOL], limits=limits, calls=disk)
    async with running(spool):
        spool.append([run_of(0)])
        await until_async(disk.syncing.is_set, "a sync")
        spool.append([run_of(first_id) for first_id in range(1, 100)])

        assert ids_of(await spool.read(SYMBOL, 0, trades_max=ALL)) == list(range(100))
        skipped = counters.value("data_collector_spool_skipped_trades_total")
        assert 80 <= skipped < 99
        disk.let.set()

    async with open_spool(tmp_path) as reopened:
        assert ids_of(await reopened.read(SYMBOL, 0, trades_max=ALL)) == list(range(100 - int(skipped)))


async def test_a_deadline_ends_a_close_that_the_disk_holds_up(tmp_path: Path) -> None:
    disk = SlowDisk()
    spool = Spool(tmp_path, Counters(), symbols=[SYMBOL], calls=disk)
    await spool.open()
    spool.append([run_of(0)])

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(spool.close(), 0.05)

    disk.let.set()
    await spool.close()


async def test_a_full_disk_is_told_and_used_again_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_writer, "RETRY_S", 0.0)
    disk, counters = SmallDisk(), Counters()
    limits = SpoolLimits(group_s=0.001, upkeep_s=0.01)
    spool = Spool(tmp_path, counters, symbols=[SYMBOL], limits=limits, calls=disk)
    async with running(spool):
        disk.is_full = True
        spool.append([run_of(0, 5)])
        await until_async(lambda: counters.value("data_collector_spool_full") == 1, "the disk told full")
        skipped = counters.value("data_collector_spool_skipped_trades_total")
        disk.is_full = False
        spool.append([run_of(5, 5)])
        await until_async(lambda: counters.value("data_collector_spool_full") == 0, "the disk told well")

        assert skipped == 5
        assert ids_of(await spool.read(SYMBOL, 0, trades_max=ALL)) == list(range(10)), "memory has both"

    async with open_spool(tmp_path) as reopened:
        assert await reopened.read(SYMBOL, 0, trades_max=ALL) == []
        assert ids_of(await reopened.read(SYMBOL, 5, trades_max=ALL)) == list(range(5, 10))


async def test_a_failed_sync_is_counted_and_costs_nothing(tmp_path: Path) -> None:
    counters = Counters()
    async with open_spool(tmp_path, counters=counters, calls=FailingDisk()) as spool:
        spool.append([run_of(0, 5)])

    assert counters.value("data_collector_spool_fsync_errors_total") == 1
    assert counters.value("data_collector_spool_skipped_trades_total") == 0
    assert [sum(histogram.counts) for histogram in counters.histograms()] == [1]
    assert files(tmp_path) == ["000000000001.spool", "000000000002.spool"]
    async with open_spool(tmp_path) as spool:
        assert ids_of(await spool.read(SYMBOL, 0, trades_max=ALL)) == list(range(5))


async def test_bytes_that_were_not_synced_are_all_that_a_power_cut_takes(tmp_path: Path) -> None:
    async with open_spool(tmp_path, limits=SpoolLimits(group_bytes=1)) as spool:
        spool.append([run_of(0, 5), run_of(5, 5)])
    path = segment_path(tmp_path, 1)
    path.write_bytes(path.read_bytes()[:-1])

    counters = Counters()
    async with open_spool(tmp_path, counters=counters) as spool:
        assert ids_of(await spool.read(SYMBOL, 0, trades_max=ALL)) == list(range(5))
        assert counters.value("data_collector_spool_corrupt_frames_total") == 1
        spool.append([run_of(5, 5)])

    again = Counters()
    async with open_spool(tmp_path, counters=again) as spool:
        assert ids_of(await spool.read(SYMBOL, 0, trades_max=ALL)) == list(range(10))
        assert again.value("data_collector_spool_corrupt_frames_total") == 0, "it was cut off"


async def test_a_missing_file_in_the_middle_is_a_hole_and_no_more(tmp_path: Path) -> None:
    async with open_spool(tmp_path, limits=TINY) as spool:
        spool.append([run_of(first_id, 5) for first_id in range(0, 100, 5)])
    names = files(tmp_path)
    (tmp_path / names[1]).unlink()

    async with open_spool(tmp_path) as spool:
        before = ids_of(await spool.read(SYMBOL, 0, trades_max=ALL))
        after = ids_of(await spool.read(SYMBOL, 98, trades_max=ALL))

    assert before == list(range(len(before)))
    assert 0 < len(before) < 98
    assert after == [98, 99]


async def test_a_file_deleted_while_running_is_not_kept(tmp_path: Path) -> None:
    async with open_spool(tmp_path) as spool:
        spool.append([run_of(0, 5)])
    async with open_spool(tmp_path) as spool:
        segment_path(tmp_path, 1).unlink()

        assert await spool.read(SYMBOL, 0, trades_max=ALL) == []


async def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    for name in ("README", "copy.spool", "7.spool", "7.spool.bak", "٣.spool"):
        (tmp_path / name).write_text("mine", encoding="utf-8")

    async with open_spool(tmp_path) as spool:
        spool.append([run_of(0)])

    assert files(tmp_path) == ["000000000001.spool", "7.spool", "7.spool.bak", "README", "copy.spool", "٣.spool"]


async def test_files_of_a_newer_version_stop_the_start(tmp_path: Path) -> None:
    segment_path(tmp_path, 1).write_bytes(encode_header(1, version=2))

    with pytest.raises(Misconfigured, match=r"format 2.*move the file away"):
        await Spool(tmp_path, Counters(), symbols=[]).open()


async def test_a_folder_that_is_none_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file", encoding="utf-8")

    with pytest.raises(Misconfigured, match="SPOOL_BYTES_MAX=0"):
        await Spool(tmp_path / "spool", Counters(), symbols=[]).open()


async def test_a_folder_of_another_user_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)

    with pytest.raises(Misconfigured, match="another user"):
        await Spool(tmp_path, Counters(), symbols=[]).open()


async def test_a_folder_that_is_read_only_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def read_only(path: Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_CREAT:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", read_only)

    with pytest.raises(Misconfigured, match="Read-only file system"):
        await Spool(tmp_path, Counters(), symbols=[]).open()


async def test_a_bug_in_the_writing_thread_comes_out_of_run(tmp_path: Path) -> None:
    class BrokenDisk(DiskCalls):
        def sync(self, descriptor: int) -> None:
            raise RuntimeError("a bug")

    spool = Spool(tmp_path, Counters(), symbols=[SYMBOL], calls=BrokenDisk(), limits=SpoolLimits(group_s=0.001))
    await spool.open()
    spool.append([run_of(0)])

    with pytest.raises(RuntimeError, match="a bug"):
        await spool.run()

    await spool.close()
