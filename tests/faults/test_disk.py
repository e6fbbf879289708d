"""Rows 47 to 52: a disk under the spool that is full, fails, is slow, loses or changes what it was given."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from data_collector.model.status import Histogram
from data_collector.pipeline.spool.segments import FORMAT_VERSION, encode_header, scan, segment_path
from tests.faults.servers import StoreServer
from tests.faults.test_host import HOOKED, sample
from tests.faults.test_processes import BURST, SYMBOLS, assert_alive_and_exact, progress, subscribed
from tests.integration.processes import COLLECT, CollectorProcess, Exchange, collecting, run_to_end, variables
from tests.integration.store_reader import Store
from tests.integration.waiting import until

SMALL_SPOOL = "600000"
"""Bytes; a file ends at a quarter of it."""

ROOMY_SPOOL = "2000000"
"""Bytes, for all that is sent: what is missing there was damaged, and did not have to go. A file ends at a quarter."""

NOBODY = 65_534


def spool_of(folder: Path) -> Path:
    return folder / "live" / "spool"


def segments(folder: Path) -> list[Path]:
    """Its files, oldest first."""
    return sorted(spool_of(folder).glob("*.spool"))


def newest_written(folder: Path) -> int:
    """The newest trade in any of them."""
    frames = [frame for path in segments(folder) for frame in scan(path.read_bytes()).frames]
    return max((cover.end - 1 for frame in frames for cover in frame.covers.get("BTCUSDT", ())), default=-1)


def from_rest(store: Store, symbols: Sequence[str]) -> int:
    """How many of the stored trades were asked of the exchange."""
    entries = (entry for symbol in symbols for entry in store.entries(f"trades:{symbol}"))
    return sum(entry["fields"].get("src") == "rest" for entry in entries)


def spool_what_the_store_lacks(
    market: Exchange,
    folder: Path,
    server: StoreServer,
    collector: CollectorProcess,
    *,
    files: int = 1,
    until_written: bool = True,
) -> int:
    """The store stands still, and thousands of trades come; the collector is killed then, and the market waits.

    Returns how many.
    """
    server.send(signal.SIGSTOP)
    sent = 0
    while sent < BURST or len(segments(folder)) < files:
        before = newest_written(folder)
        market.act("burst", symbol="BTCUSDT", trades=500)
        sent += 500
        if until_written:
            # Else many of them are one group, which a file takes whole.
            until(partial(_has_grown, folder, before + 500), "trades in the spool", output=collector.told)
    market.act("pause")
    newest = market.last_id("BTCUSDT")
    if until_written:
        until(lambda: newest_written(folder) == newest, "all of them in the spool", output=collector.told)
    collector.kill()
    server.send(signal.SIGCONT)
    until(server.store.answers, "an answer of the store")
    return sent


def _has_grown(folder: Path, trade_id: int) -> bool:
    return newest_written(folder) >= trade_id


def go_on(
    market: Exchange, folder: Path, server: StoreServer, look: Callable[[CollectorProcess], None],
    *symbols: str, **settings: str,
) -> int:  # fmt: skip
    """A new collector brings the store what it lacks; how many trades of that were asked of the exchange."""
    with collecting(folder, market, redis_url=server.url, **settings) as again:
        newest = {symbol: market.last_id(symbol) for symbol in symbols or ("BTCUSDT",)}
        until(
            lambda: all(server.store.tail_id(symbol) == trade_id for symbol, trade_id in newest.items()),
            "what the store lacked", output=again.told,
        )  # fmt: skip
        asked = from_rest(server.store, list(newest))
        look(again)
        assert_alive_and_exact(market, server.store, again)
    return asked


def nothing(_: CollectorProcess) -> None:
    """There is nothing to look at."""


@contextmanager
def little_room(folder: Path, collect: Callable[[], CollectorProcess]) -> Iterator[CollectorProcess]:
    """A collector whose spool has 256 KiB: a small file system where this user may mount one; else no large files."""
    spool = spool_of(folder)
    spool.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs", str(spool)]
    mounted = os.geteuid() == 0 and subprocess.run(mount, check=False, capture_output=True).returncode == 0
    try:
        collector = collect()
        if not mounted:
            resource.prlimit(collector.process.pid, resource.RLIMIT_FSIZE, (256 * 1024, 256 * 1024))
        yield collector
    finally:
        if collector.process.poll() is None:
            collector.kill()
        if mounted:
            subprocess.run(["umount", str(spool)], check=True)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="small disks: Linux alone")
def test_row_47_full_disk_stops_nothing_and_costs_requests_only(
    market: Exchange, folder: Path, server: StoreServer
) -> None:
    with little_room(folder, lambda: CollectorProcess(folder, market, redis_url=server.url)) as collector:
        subscribed(collector)
        while sample(collector, "spool_skipped_trades_total") == 0:
            market.act("burst", symbol="BTCUSDT", trades=1_000)
            progress(server.store, collector)
        assert "spool_down" in collector.output
        spool_what_the_store_lacks(market, folder, server, collector, until_written=False)

        assert go_on(market, folder, server, nothing) > 0


def test_row_48_failed_sync_costs_the_file_and_no_trade(market: Exchange, folder: Path, server: StoreServer) -> None:
    with collecting(folder, market, command=HOOKED, redis_url=server.url, sync_failures="1") as collector:
        subscribed(collector)
        until(lambda: sample(collector, "spool_fsync_errors_total") == 1, "a failed sync", output=collector.told)
        assert len(segments(folder)) == 2
        assert "spool_sync_failed" in collector.output
        spool_what_the_store_lacks(market, folder, server, collector)

    assert go_on(market, folder, server, nothing) == 0


def test_row_49_slow_sync_does_not_hold_up_the_feed(market: Exchange, folder: Path, server: StoreServer) -> None:
    with collecting(folder, market, command=HOOKED, redis_url=server.url, sync_s="2") as collector:
        subscribed(collector)
        while sum(histogram(collector, "spool_fsync_seconds").counts) < 3:
            market.act("burst", symbol="BTCUSDT", trades=200)
            progress(server.store, collector)

        syncs, stored = histogram(collector, "spool_fsync_seconds"), histogram(collector, "received_to_stored_seconds")
        assert percentile_99(stored) < syncs.total / sum(syncs.counts) / 2
        assert_alive_and_exact(market, server.store, collector)
        spool_what_the_store_lacks(market, folder, server, collector)

    assert go_on(market, folder, server, nothing) == 0


def histogram(collector: CollectorProcess, name: str) -> Histogram:
    """One that there is."""
    found = [each for each in collector.status().histograms if each.name == f"data_collector_{name}"]
    return found[0] if found else Histogram(name, [], [0], 0.0)


def percentile_99(histogram: Histogram) -> float:
    """Not more than this."""
    wanted, seen = 0.99 * sum(histogram.counts), 0
    for bound, count in zip([*histogram.bounds, float("inf")], histogram.counts, strict=True):
        seen += count
        if seen >= wanted:
            return bound
    return 0.0


def tear_the_tail(files: list[Path]) -> None:
    """The newest file ends in the middle of a frame."""
    os.truncate(files[-1], files[-1].stat().st_size - 7)


def flip_a_bit(files: list[Path]) -> None:
    """In the middle of a file in the middle."""
    content = bytearray(files[-2].read_bytes())
    content[len(content) // 2] ^= 0x10
    files[-2].write_bytes(content)


def lose_a_file(files: list[Path]) -> None:
    """One in the middle."""
    files[-2].unlink()


@pytest.mark.parametrize(("damage", "corrupt"), [(tear_the_tail, 1), (flip_a_bit, 1), (lose_a_file, 0)])
def test_row_50_damaged_spool_gives_what_is_good_and_rest_the_others(
    market: Exchange, folder: Path, server: StoreServer, damage: Callable[[list[Path]], None], corrupt: int
) -> None:
    def look(again: CollectorProcess) -> None:
        assert sample(again, "spool_corrupt_frames_total") == corrupt

    with collecting(folder, market, redis_url=server.url, spool_bytes_max=ROOMY_SPOOL) as collector:
        subscribed(collector)
        sent = spool_what_the_store_lacks(market, folder, server, collector, files=3)
    damage(segments(folder))

    # The last frame may be of the other symbol.
    assert go_on(market, folder, server, look, *SYMBOLS, spool_bytes_max=ROOMY_SPOOL) > 0
    assert from_rest(server.store, ["BTCUSDT"]) < sent


def test_row_51_power_cut_takes_what_was_not_synced_and_rest_brings_it(
    market: Exchange, folder: Path, server: StoreServer, tmp_path: Path
) -> None:
    told = tmp_path / "synced"
    with collecting(folder, market, command=HOOKED, redis_url=server.url, synced=str(told)) as collector:
        subscribed(collector)
        spool_what_the_store_lacks(market, folder, server, collector)
    synced = {path: int(size) for size, path in (line.split(" ", 1) for line in told.read_text().splitlines())}
    for path in segments(folder):
        os.truncate(path, synced[str(path)])

    assert go_on(market, folder, server, nothing) > 0


def refused(folder: Path, market: Exchange, store: Store) -> str:
    """The sentence with which a start ends."""
    ended = run_to_end(COLLECT, folder, variables(folder, market, redis_url=store.url))
    assert ended.code == 78, ended.output
    assert "Traceback" not in ended.output
    return ended.output


def test_row_52_spool_of_a_newer_version_is_refused(market: Exchange, folder: Path, store: Store) -> None:
    spool_of(folder).mkdir(parents=True)
    segment_path(spool_of(folder), 1).write_bytes(encode_header(1, version=FORMAT_VERSION + 1))

    assert f"format {FORMAT_VERSION + 1}" in refused(folder, market, store)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_row_52_spool_of_another_user_is_refused(market: Exchange, folder: Path, store: Store) -> None:
    spool_of(folder).mkdir(parents=True)
    os.chown(spool_of(folder), NOBODY, NOBODY)

    assert "belongs to another user" in refused(folder, market, store)


def test_row_52_spool_that_is_read_only_is_refused(market: Exchange, folder: Path, store: Store) -> None:
    with read_only(spool_of(folder)):
        assert "cannot be used" in refused(folder, market, store)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A folder in which this user may write nothing: root may do so anywhere but on a read-only file system."""
    folder.mkdir(parents=True)
    if os.geteuid() != 0:
        folder.chmod(0o500)
        yield
        folder.chmod(0o700)
        return
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)], check=False).returncode == 0
    if not mounted:
        # Elsewhere a folder in the kernel's own file system, which takes no files.
        folder.rmdir()
        folder.symlink_to("/proc/self")
    yield
    if mounted:
        subprocess.run(["umount", str(folder)], check=True)
    else:
        folder.unlink()
