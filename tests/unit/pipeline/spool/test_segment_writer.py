"""Disks that are full, take half of a frame, or fail to sync."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from data_collector.pipeline.spool import segment_writer
from data_collector.pipeline.spool.segment_writer import DiskCalls, SegmentWriter
from data_collector.pipeline.spool.segments import HEADER_BYTES, scan, segment_path
from tests.spooling import ids_of, run_of


class FailingDisk(DiskCalls):
    """A disk with a number of bytes left, that fails to sync when told."""

    def __init__(self) -> None:
        self.room = 1 << 30
        self.failing_syncs = 0
        self.failing_folder_syncs = 0
        self.truncates = True
        self.synced: list[int] = []

    def write(self, descriptor: int, content: memoryview) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = super().write(descriptor, content[: min(self.room, 100)])
        self.room -= taken
        return taken

    def sync(self, descriptor: int) -> None:
        if self.failing_syncs:
            self.failing_syncs -= 1
            raise OSError(errno.EIO, "Input/output error")
        super().sync(descriptor)
        self.synced.append(descriptor)

    def sync_folder(self, folder: Path) -> None:
        if self.failing_folder_syncs:
            self.failing_folder_syncs -= 1
            raise OSError(errno.EIO, "Input/output error")
        super().sync_folder(folder)

    def truncate(self, descriptor: int, size: int) -> None:
        if not self.truncates:
            raise OSError(errno.EIO, "Input/output error")
        super().truncate(descriptor, size)


Make = Callable[..., SegmentWriter]


@pytest.fixture
def disk() -> FailingDisk:
    return FailingDisk()


@pytest.fixture
def writer(tmp_path: Path, disk: FailingDisk, monkeypatch: pytest.MonkeyPatch) -> SegmentWriter:
    monkeypatch.setattr(segment_writer, "RETRY_S", 0.0)
    return SegmentWriter(tmp_path, number=1, sequence=0, segment_bytes=2_000, calls=disk)


def ids_on_disk(folder: Path) -> list[int]:
    """In order of writing; every file is good to its end."""
    ids = []
    for path in sorted(folder.glob("*.spool")):
        found = scan(path.read_bytes())
        assert found.is_whole
        ids += [trade_id for frame in found.frames for trade_id in ids_of(frame.decoded())]
    return ids


def test_frames_are_written_piece_by_piece_and_synced_each(
    tmp_path: Path, writer: SegmentWriter, disk: FailingDisk
) -> None:
    written = [writer.write([run_of(first_id, 5)]) for first_id in (0, 5)]

    assert ids_on_disk(tmp_path) == list(range(10))
    assert len(disk.synced) == 2
    assert [(each.number, each.trades, each.failed_syncs, each.refusal) for each in written] == [(1, 5, 0, None)] * 2
    assert written[1].size == segment_path(tmp_path, 1).stat().st_size


def test_a_large_group_is_several_frames_and_one_sync(
    tmp_path: Path, writer: SegmentWriter, disk: FailingDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_writer, "FRAME_TRADES", 10)

    written = writer.write([run_of(first_id, 5) for first_id in range(0, 25, 5)])
    writer.write([run_of(25)])

    frames = scan(segment_path(tmp_path, 1).read_bytes()).frames
    assert [frame.count for frame in frames] == [2, 2, 1, 1]
    assert written.trades == 25
    assert len(disk.synced) == 2
    assert ids_on_disk(tmp_path) == list(range(26))


def test_a_full_segment_is_followed_by_the_next_and_nobody_else_may_read_them(
    tmp_path: Path, writer: SegmentWriter
) -> None:
    numbers = [writer.write([run_of(first_id, 5)]).number for first_id in range(0, 100, 5)]

    assert numbers == sorted(number for number in numbers if number is not None)
    assert len(set(numbers)) > 2
    assert ids_on_disk(tmp_path) == list(range(100))
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_half_a_frame_is_taken_back_and_the_next_one_written_when_there_is_room(
    tmp_path: Path, writer: SegmentWriter, disk: FailingDisk
) -> None:
    size = writer.write([run_of(0, 5)]).size
    disk.room = 150

    refused = writer.write([run_of(5, 5)])
    cut_to = segment_path(tmp_path, 1).stat().st_size
    disk.room = 1 << 30
    written = writer.write([run_of(10, 5)])

    assert (refused.number, refused.trades, refused.refusal) == (None, 5, "No space left on device")
    assert cut_to == size
    assert written.number == 1
    assert ids_on_disk(tmp_path) == [*range(5), *range(10, 15)]


def test_after_a_refusal_nothing_is_tried_for_a_while(
    tmp_path: Path, writer: SegmentWriter, disk: FailingDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_writer, "RETRY_S", 3600.0)
    disk.room = 0
    writer.write([run_of(0)])
    disk.room = 1 << 30

    skipped = writer.write([run_of(1, 3)])

    assert (skipped.number, skipped.trades, skipped.refusal) == (None, 3, None)
    assert ids_on_disk(tmp_path) == []


def test_a_file_that_had_no_room_for_its_header_is_not_left_behind(
    tmp_path: Path, writer: SegmentWriter, disk: FailingDisk
) -> None:
    disk.room = HEADER_BYTES - 1
    refused = writer.write([run_of(0)])
    disk.room = 1 << 30

    assert list(tmp_path.iterdir()) == []
    assert refused.number is None
    assert writer.write([run_of(1)]).number == 2


def test_a_file_that_cannot_be_cut_off_is_left_for_another(
    tmp_path: Path, writer: SegmentWriter, disk: FailingDisk
) -> None:
    writer.write([run_of(0, 5)])
    disk.room, disk.truncates = 150, False
    writer.write([run_of(5, 5)])
    disk.room = 1 << 30

    written = writer.write([run_of(10, 5)])

    assert written.number == 2
    assert len(scan(segment_path(tmp_path, 1).read_bytes()).frames) == 1
    assert len(scan(segment_path(tmp_path, 2).read_bytes()).frames) == 1


def test_a_failed_sync_is_never_tried_again_on_the_same_file(
    tmp_path: Path, writer: SegmentWriter, disk: FailingDisk
) -> None:
    writer.write([run_of(0, 5)])
    disk.failing_syncs = 1

    written = writer.write([run_of(5, 5)])
    later = writer.write([run_of(10, 5)])

    assert (written.number, written.failed_syncs, written.refusal) == (2, 1, None)
    assert later.number == 2
    frames = scan(segment_path(tmp_path, 2).read_bytes()).frames
    assert [ids_of(frame.decoded()) for frame in frames] == [list(range(5, 10)), list(range(10, 15))]


def test_a_disk_that_fails_twice_has_refused_the_frame(
    tmp_path: Path, writer: SegmentWriter, disk: FailingDisk
) -> None:
    disk.failing_syncs = 2

    refused = writer.write([run_of(0, 5)])
    written = writer.write([run_of(5, 5)])

    assert (refused.number, refused.failed_syncs, refused.refusal) == (None, 2, "Input/output error")
    assert written.number == 3


def test_a_folder_that_fails_to_sync_is_a_failed_sync(tmp_path: Path, writer: SegmentWriter, disk: FailingDisk) -> None:
    disk.failing_folder_syncs = 1

    written = writer.write([run_of(0, 5)])

    assert (written.number, written.failed_syncs) == (2, 1)


def test_a_folder_that_was_deleted_refuses_and_may_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_writer, "RETRY_S", 0.0)
    folder = tmp_path / "spool"
    writer = SegmentWriter(folder, number=1, sequence=0, segment_bytes=2_000)

    refused = writer.write([run_of(0)])
    folder.mkdir()
    written = writer.write([run_of(1)])
    writer.close()

    assert (refused.number, refused.refusal) == (None, os.strerror(errno.ENOENT))
    assert written.number == 1


def test_file_that_was_deleted_while_it_is_written_is_followed_by_another(
    tmp_path: Path, writer: SegmentWriter
) -> None:  # fmt: skip
    """What went on into it was lost without a word."""
    writer.write([run_of(0)])
    segment_path(tmp_path, 1).unlink()

    written = writer.write([run_of(1)])

    assert (written.number, written.failed_syncs, written.refusal) == (2, 1, None)
    assert ids_on_disk(tmp_path) == [1]


def test_folder_that_was_deleted_while_it_is_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_writer, "RETRY_S", 0.0)
    folder = tmp_path / "spool"
    folder.mkdir()
    writer = SegmentWriter(folder, number=1, sequence=0, segment_bytes=1_000_000)
    writer.write([run_of(0)])
    shutil.rmtree(folder)

    refused = writer.write([run_of(1)])
    writer.close()

    assert (refused.number, refused.refusal) == (None, os.strerror(errno.ENOENT))


def test_room_on_the_disk_is_told_also_when_it_refuses(writer: SegmentWriter, disk: FailingDisk) -> None:
    written = writer.write([run_of(0)])
    disk.room = 0
    refused = writer.write([run_of(1)])

    assert (written.refusal, refused.refusal) == (None, "No space left on device")
    assert written.free_bytes is not None
    assert written.free_bytes > 0
    assert refused.free_bytes is not None


def test_disk_that_does_not_tell_its_room_is_written_to(
    writer: SegmentWriter, disk: FailingDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(folder: Path) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(disk, "free_bytes", fail)

    written = writer.write([run_of(0)])

    assert (written.free_bytes, written.refusal) == (None, None)
