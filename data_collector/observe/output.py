"""What is told on standard error and standard output, without ever waiting for who reads it.

A pipe whose reader is stuck, a terminal that is halted (Ctrl-S) or a full disk must not hold the event loop up, and a
reader that has gone must not end us. A thread writes; what finds no room is left out and counted.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import io
import os
import select
import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final, TextIO

import structlog

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

WAITING_BYTES_MAX: Final = 1024 * 1024
"""So much waits for a reader that is slow."""

LINE_BYTES_MAX: Final = 256 * 1024
"""A longer one is written in pieces; an event of a log has 64 fields of 2 KiB at most, and a traceback."""

DRAIN_S: Final = 1.0
"""So long the end of the process waits for it."""

TOLD_S: Final = 600.0
"""Lines that were left out are told for so long."""

STDERR: Final = 2


class _Behind(io.RawIOBase):
    """A descriptor to which a thread of its own writes, one call after the other."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self.dropped = 0
        """Lines that were left out, since the process began."""
        self.dropped_s = float("-inf")
        """When the newest of them was, by the monotonic clock."""
        self._descriptor = descriptor
        self._told = 0
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._begin_thread()
        os.register_at_fork(after_in_child=self._begin_in_child)

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, text: ReadableBuffer, /) -> int:
        """Whole lines; returns at once."""
        content = bytes(text)
        with self._changed:
            if self._bytes + len(content) > WAITING_BYTES_MAX:
                self._drop(content)
            else:
                self._waiting.append(content)
                self._bytes += len(content)
                self._changed.notify_all()
        return len(content)

    def drain(self, within_s: float) -> None:
        """Wait so long for all of it to be written."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting, within_s)

    def _drop(self, content: bytes) -> None:
        self.dropped += content.count(b"\n")
        self.dropped_s = time.monotonic()

    def _begin_thread(self) -> None:
        self._changed = threading.Condition()
        threading.Thread(target=self._write_all, name="output", daemon=True).start()

    def _begin_in_child(self) -> None:
        # What waited is the parent's to write.
        self._waiting.clear()
        self._bytes = 0
        self._begin_thread()

    def _write_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiting))
                content = self._waiting[0]
            is_written = _write(self._descriptor, content)
            with self._changed:
                # It waits until it is written, for who drains.
                self._waiting.popleft()
                self._bytes -= len(content)
                if not is_written:
                    self._drop(content)
                untold = self.dropped - self._told if is_written else 0
                self._told += untold
                self._changed.notify_all()
            if untold:
                structlog.get_logger().warning("output_lines_dropped", lines=untold, descriptor=self._descriptor)


def _write(descriptor: int, content: bytes) -> bool:
    """Whether it was written, however long that took."""
    rest = memoryview(content)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            select.select([], [descriptor], [])
        except OSError:
            return False
    return True


_BEHIND: Final[dict[int, tuple[_Behind, TextIO]]] = {}
"""By descriptor."""


def unblocked(stream: TextIO) -> TextIO:
    """The same place, written to by a thread; the stream itself where it is no file."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return stream
    if descriptor not in _BEHIND:
        behind = _Behind(descriptor)
        buffer = io.BufferedWriter(behind, LINE_BYTES_MAX)
        text = io.TextIOWrapper(buffer, "utf-8", "backslashreplace", newline="", line_buffering=True)
        _BEHIND[descriptor] = behind, text
        atexit.register(behind.drain, DRAIN_S)
    return _BEHIND[descriptor][1]


def tell(text: str) -> None:
    """Lines for people, on standard output."""
    unblocked(sys.stdout).write(f"{text}\n")


def dropped_lines() -> int:
    """How many lines this process has left out."""
    return sum(behind.dropped for behind, _ in _BEHIND.values())


def dropped_reasons(process: str, *, now_s: float | None = None) -> list[str]:
    """For the health of a `process`, as people call it: empty where nothing was left out lately."""
    now_s = time.monotonic() if now_s is None else now_s
    if all(now_s - behind.dropped_s > TOLD_S for behind, _ in _BEHIND.values()):
        return []
    lately = f"the newest within the last {TOLD_S / 60:.0f} minutes"
    return [
        f"log: {dropped_lines():,} lines of {process} were left out, {lately}: who reads its output is stuck or gone"
    ]


def drain(within_s: float = DRAIN_S) -> None:
    """For who ends the process without more ado: wait so long for what was told."""
    for behind, _ in _BEHIND.values():
        behind.drain(within_s)


def last_words(words: bytes, *, stacks: bool = False) -> None:
    """Right before the process is ended, from any thread or signal handler, on standard error; `stacks` of all threads.

    Needs no memory, and waits for nobody.
    """
    with contextlib.suppress(OSError):
        os.set_blocking(STDERR, False)
        try:
            os.write(STDERR, words)
            if stacks:
                faulthandler.dump_traceback(STDERR, all_threads=True)
        finally:
            # It is the starter's too.
            os.set_blocking(STDERR, True)
