"""The files of a recording: written in turn, a new one when the last is large enough; the oldest go beyond the bound.

What a disk can do to it: be full or refuse for another reason. What was written of a block is cut off, the block is
left out and counted, and another one is tried a second later; the file then tells how much is missing. Nothing is
synced: what the system has taken outlives the process, and what a power cut takes is no more than a recording.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from data_collector.recording.lines import Left, encoded_line, own_line, parse

FILE_BYTES_MAX = 64 * 1024 * 1024
FILES_MIN = 8
"""So many share the bound at least: deleting the oldest takes no more than such a part."""

RETRY_S = 1.0
SUFFIX = ".jsonl.zst"


class Block(Struct, frozen=True):
    """What is written together."""

    lines: list[bytes]
    opening: bytes
    """The lines that a file which begins here has first: the connections that are open."""


class RecordingFiles:
    """Used by one thread; others only look at the numbers."""

    def __init__(self, folder: Path, head: Callable[[], bytes], *, bytes_max: int) -> None:
        """`head` makes the first line of a file. Raises `OSError` when the folder cannot be read or made."""
        # What packs takes 45 MB and a tenth of a second to import: only who records pays for it.
        from data_collector.recording.packing import packed  # noqa: PLC0415

        self._packed = packed
        self._folder = folder
        self._head = head
        self._bytes_max = bytes_max
        self._file_bytes = max(min(FILE_BYTES_MAX, bytes_max // FILES_MIN), 1)
        self._descriptor: int | None = None
        self._size = 0
        self._retry_s = 0.0
        self._files: list[tuple[Path, int]] | None = None
        self._number = 0
        self._missing = 0
        self._missing_why = ""
        self.refusal: str | None = None
        """Why the disk takes nothing now."""
        self.left_out = 0
        """Lines, since the start."""
        self.deleted = 0
        """Files, since the start."""
        self.size = 0
        """Of all files."""

    def write(self, block: Block) -> None:
        """Write all of it, or leave it out. Blocks for as long as the disk does."""
        if time.monotonic() < self._retry_s:
            self._leave_out(len(block.lines), self.refusal or "")
            return
        content = b"".join(block.lines)
        if content.count(b"\n") != len(block.lines):
            content = b"".join(map(_one_line, block.lines))
        if self._missing:
            content = own_line("left", 0, time.time_ns(), Left(self._missing, self._missing_why)) + content
        try:
            self._append(content, block.opening)
        except OSError as error:
            self.refusal = error.strerror or "unknown"
            self._retry_s = time.monotonic() + RETRY_S
            self._cut_off()
            self._leave_out(len(block.lines), self.refusal)
        else:
            self.refusal, self._missing = None, 0

    def miss(self, lines: int, why: str) -> None:
        """Lines never came here; the next ones that are written will tell."""
        self._missing += lines
        self._missing_why = why

    def close(self) -> None:
        """The next block begins a file."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with suppress(OSError):
                os.close(descriptor)

    def _leave_out(self, lines: int, why: str) -> None:
        self.left_out += lines
        self.miss(lines, why)

    def _append(self, content: bytes, opening: bytes) -> None:
        files = self._found()
        if self._descriptor is not None and self._size >= self._file_bytes:
            self.close()
        if self._descriptor is None:
            content = self._head() + opening + content
        written = memoryview(self._packed(content))
        self._make_room(files, len(written))
        if self._descriptor is None:
            self._begin(files)
        descriptor = self._descriptor
        assert descriptor is not None
        done = 0
        while done < len(written):
            done += os.write(descriptor, written[done:])
        self._size += done
        files[-1] = (files[-1][0], self._size)
        self.size += done

    def _found(self) -> list[tuple[Path, int]]:
        """The files that there are, oldest first; from the second time on as we remember them."""
        if self._files is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._files = [(path, path.stat().st_size) for path in recording_files(self._folder)]
            self.size = sum(size for _, size in self._files)
            self._number = max((_number(path) for path, _ in self._files), default=0)
        return self._files

    def _begin(self, files: list[tuple[Path, int]]) -> None:
        # The folder may have been moved away.
        self._folder.mkdir(parents=True, exist_ok=True)
        self._number += 1
        path = self._folder / f"{self._number:08d}{SUFFIX}"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(path, flags, 0o600)
        self._size = 0
        files.append((path, 0))

    def _make_room(self, files: list[tuple[Path, int]], size: int) -> None:
        """Delete whole files, oldest first, but not the one that is written."""
        kept = 0 if self._descriptor is None else 1
        while self.size + size > self._bytes_max and len(files) > kept:
            path, gone = files[0]
            path.unlink(missing_ok=True)
            del files[0]
            self.size -= gone
            self.deleted += 1

    def _cut_off(self) -> None:
        """Take back what was written of a block; a file where that fails is left as it is."""
        if self._descriptor is None:
            return
        try:
            os.ftruncate(self._descriptor, self._size)
        except OSError:
            self.close()
            return
        if not self._size:
            path, _ = (self._files or []).pop()
            with suppress(OSError):
                path.unlink()
            self.close()


def recording_files(folder: Path) -> list[Path]:
    """Those of one exchange, oldest first."""
    return sorted(path for path in folder.glob(f"*{SUFFIX}") if _number(path))


def _number(path: Path) -> int:
    name = path.name.removesuffix(SUFFIX)
    return int(name) if name.isdigit() else 0


def _one_line(line: bytes) -> bytes:
    """An exchange may put line breaks into its JSON."""
    content = line[:-1]
    if b"\n" not in content:
        return line
    found = parse(content)
    return line if found is None else encoded_line(found.kind, found.number, found.ns, found.content)
