"""Writes groups of runs to the spool's files, each synced before the next. Used by one thread at a time.

What a disk can do to it: be full or refuse for another reason (what was written of the group is cut off, the group is
skipped, and another one is tried a second later), or fail to sync. After a failed sync the kernel may have thrown the
group away and will not say so twice: the file is left as it is, and the group is written anew to another one.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from data_collector.model.sink import TradeRun
from data_collector.pipeline.spool.segments import HEADER_BYTES, encode_frame, encode_header, segment_path, sync_folder
from data_collector.pipeline.spool.shelf import Cover, covers_of

FRAME_TRADES = 2_000
"""A frame ends when it has so many: making or reading one keeps other threads from running, about half a ms."""

SYNCS_MAX = 2
"""Files that a group is written to before the disk has refused it."""

RETRY_S = 1.0
"""How long nothing is tried after the disk refused."""


class DiskCalls:
    """The calls that a disk can fail; all may raise `OSError`."""

    def create(self, path: Path) -> int:
        """A new file for this user alone, and its descriptor, which appends."""
        # Appending, because after a file was cut off its descriptor would still write where the end has been.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.open(path, flags, 0o600)

    def write(self, descriptor: int, content: memoryview) -> int:
        """How many bytes were taken."""
        return os.write(descriptor, content)

    def sync(self, descriptor: int) -> None:
        """Bring the file's content to the disk."""
        # Where there is no fdatasync (macOS), fsync does the same and more.
        if hasattr(os, "fdatasync"):
            os.fdatasync(descriptor)
        else:
            os.fsync(descriptor)

    def is_deleted(self, descriptor: int) -> bool:
        """Whether nobody will find the file again."""
        return os.fstat(descriptor).st_nlink == 0

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut the file off."""
        os.ftruncate(descriptor, size)

    def sync_folder(self, folder: Path) -> None:
        """Bring the names in a folder to the disk."""
        sync_folder(folder)

    def free_bytes(self, folder: Path) -> int:
        """What the disk under a folder has left for us."""
        return shutil.disk_usage(folder).free


class WrittenRuns(Struct):
    """What became of one group of runs."""

    trades: int
    covers: dict[str, list[Cover]]
    number: int | None = None
    """The file that it is in; None when it was skipped."""
    size: int = 0
    """That file's size now."""
    sync_s: float = 0.0
    """How long its sync took; 0.0 when there was none."""
    failed_syncs: int = 0
    refusal: str | None = None
    """Why the disk refused it, for people; None when it is written, or was not tried."""
    free_bytes: int | None = None
    """What the disk has left for us now; None when it was not asked or did not say."""


class _SyncFailed(Exception):
    """The system's error is the cause."""


class SegmentWriter:
    """The file that is being written, and where what is synced of it ends."""

    def __init__(
        self, folder: Path, *, number: int, sequence: int, segment_bytes: int, calls: DiskCalls | None = None
    ) -> None:
        """The first file that it makes has `number`, the first run `sequence`."""
        self._folder = folder
        self._calls = DiskCalls() if calls is None else calls
        self._segment_bytes = segment_bytes
        self._number = number
        self._sequence = sequence
        self._descriptor: int | None = None
        self._size = 0
        self._retry_s = 0.0

    def write(self, runs: list[TradeRun]) -> WrittenRuns:
        """Write all of them and sync, or none. Blocks for as long as the disk does."""
        written = WrittenRuns(sum(run.count for run in runs), covers_of(runs))
        if time.monotonic() < self._retry_s:
            return written
        content = memoryview(_frames(runs, self._sequence))
        while written.number is None and written.refusal is None:
            try:
                written.sync_s = self._append(content)
            except _SyncFailed as error:
                self._leave()
                written.failed_syncs += 1
                if written.failed_syncs == SYNCS_MAX:
                    written.refusal = str(error)
            except OSError as error:
                self._cut_off()
                written.refusal = error.strerror or "unknown"
            else:
                self._sequence += len(runs)
                written.number, written.size = self._number, self._size
        if written.refusal is not None:
            self._retry_s = time.monotonic() + RETRY_S
        written.free_bytes = self._free_bytes()
        return written

    def close(self) -> None:
        """Everything that was written is synced already."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            # What a disk that fails says here is known already, and the descriptor is gone either way.
            with suppress(OSError):
                os.close(descriptor)

    def _free_bytes(self) -> int | None:
        # Asked by the thread that writes: a disk that hangs must not hold the event loop.
        with suppress(OSError):
            return self._calls.free_bytes(self._folder)
        return None

    def _append(self, content: memoryview) -> float:
        if self._descriptor is not None and self._size >= self._segment_bytes:
            self._leave()
        if self._descriptor is None:
            self._begin()
        descriptor = self._descriptor
        assert descriptor is not None
        if self._calls.is_deleted(descriptor):
            raise _SyncFailed("its file was deleted")
        self._write_all(descriptor, content)
        started = time.perf_counter()
        try:
            self._calls.sync(descriptor)
        except OSError as error:
            raise _SyncFailed(error.strerror) from error
        self._size += len(content)
        return time.perf_counter() - started

    def _begin(self) -> None:
        self._descriptor = self._calls.create(segment_path(self._folder, self._number))
        self._size = 0
        self._write_all(self._descriptor, memoryview(encode_header(self._sequence)))
        self._size = HEADER_BYTES
        try:
            self._calls.sync_folder(self._folder)
        except OSError as error:
            raise _SyncFailed(error.strerror) from error

    def _write_all(self, descriptor: int, content: memoryview) -> None:
        while content:
            content = content[self._calls.write(descriptor, content) :]

    def _cut_off(self) -> None:
        """Take back what was written of a group; a file where that fails is left."""
        if self._descriptor is None:
            return
        try:
            self._calls.truncate(self._descriptor, self._size)
        except OSError:
            self._leave()
            return
        if self._size == 0:
            # Not even the header found room.
            with suppress(OSError):
                segment_path(self._folder, self._number).unlink()
            self._leave()

    def _leave(self) -> None:
        """Never write to this file again."""
        self.close()
        self._number += 1


def _frames(runs: list[TradeRun], sequence: int) -> bytes:
    frames: list[bytes] = []
    first = trades = 0
    for number, run in enumerate(runs, 1):
        trades += run.count
        if trades >= FRAME_TRADES or number == len(runs):
            frames.append(encode_frame(sequence + first, runs[first:number]))
            first, trades = number, 0
    return b"".join(frames)
