"""Keeps what an exchange says, off the event loop: what was said waits in memory for half a second, a thread writes it.

Life cycle: the service makes one. `run` is its task; whoever hears something calls in between. When the disk is slower
than the exchange for so long that `QUEUE_BYTES` wait, what comes then is left out: counted, and told in the recording
itself. Nothing here raises to whoever hears, nothing waits for the disk.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import structlog
from msgspec import Struct, structs

from data_collector.model.errors import BadFrame
from data_collector.model.records import Record
from data_collector.model.venue import Acknowledged, Closing, Event, Listed, Refused, UnknownEvent
from data_collector.observe.counters import Counters
from data_collector.recording.files import Block, RecordingFiles
from data_collector.recording.lines import Asked, Head, Opened, encoded_line, line_of, own_line
from data_collector.recording.masking import Mask

FLUSH_S = 0.5
BUSY_FLUSH_S = 0.1
BUSY_LINES = 1_000
"""Where so many have come they are handed on sooner: what has just been in use is packed more cheaply."""

QUEUE_BYTES = 32 * 1024 * 1024
CLOSE_S = 1.0

SENT_KEPT = 1_000
"""Of what was said on a connection, for the files that begin later: a subscription takes a few lines."""

HEADERS = frozenset({"retry-after", "x-mbx-used-weight-1m", "cb-after", "cb-before", "content-type", "date"})
"""Of an answer: others name machines on the way, and cookies."""

_TALK: frozenset[type] = frozenset({Acknowledged, Closing, Listed, Refused, UnknownEvent})
"""Here an exchange uses words of its own, and may tell us our address."""

Decode = Callable[[memoryview, int], Event | list[Record]]


class _Waiting(Struct, frozen=True):
    """For the thread."""

    block: Block
    size: int
    left_out: int
    """Lines before these that found no room."""


class Recorder:
    """The loop's side."""

    def __init__(
        self, folder: Path, counters: Counters, head: Head, mask: Mask, *, bytes_max: int,
        queue_bytes: int = QUEUE_BYTES,
    ) -> None:  # fmt: skip
        self._folder = folder
        self._counters = counters
        self._run_ns = time.time_ns()
        self._head = structs.replace(head, run=self._run_ns)
        self._bytes_max = bytes_max
        self._queue_bytes = queue_bytes
        self._log = structlog.get_logger()
        self._mask = mask
        self._lines: list[bytes] = []
        self._connections: dict[int, list[bytes]] = {}
        """By number: the lines that say what it is and was asked for."""
        self._opening = self._opening_before = b""
        self._number = 0
        self._asked = 0
        self._unqueued = 0
        self._down_told = False
        # Between the loop and the thread: a queue, and numbers that only one of them writes.
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._queued_bytes = 0
        self._taken_bytes = 0
        self._files: RecordingFiles | None = None
        self._thread: threading.Thread | None = None
        self._failure: Exception | None = None

    @property
    def refusal(self) -> str | None:
        """Why the disk takes nothing now, for people."""
        return None if self._files is None else self._files.refusal

    @property
    def left_out(self) -> int:
        """Lines that are in no file."""
        return self._unqueued + (0 if self._files is None else self._files.left_out)

    def learn(self, symbols: Sequence[str]) -> None:
        """What is collected now."""
        if tuple(symbols) != self._head.symbols:
            self._head = structs.replace(self._head, symbols=tuple(symbols))
            self._lines.append(self._first_line())

    def connection(self, line: str, path: str) -> KeptConnection:
        """One that is being made by a line, to this path."""
        self._number += 1
        return KeptConnection(self, self._number, Opened(line, path), self._lines.append)

    def answer(
        self, path: str, query: Mapping[str, str], status: int, headers: Mapping[str, str], body: bytes, asked_ns: int
    ) -> None:
        """What the REST side has answered."""
        self._asked += 1
        now_ns = time.time_ns()
        told = {name: value for name, value in headers.items() if name.lower() in HEADERS}
        asked = Asked(path=path, query=dict(query), status=status, headers=told, asked_ns=asked_ns)
        body = self._mask.secrets(body) if status == 200 and body[:1] in (b"{", b"[") else self._mask.all(body)
        self._lines.append(self._mask.all(own_line("asked", self._asked, now_ns, asked)))
        self._lines.append(line_of("body", self._asked, now_ns, body))

    async def run(self) -> None:
        """Hand on what was heard, until cancelled; `close` hands on the rest."""
        while True:
            if self._failure is not None:
                failure, self._failure, self._thread = self._failure, None, None
                raise failure
            end_s = time.monotonic() + FLUSH_S
            while time.monotonic() < end_s:
                await asyncio.sleep(BUSY_FLUSH_S)
                if len(self._lines) >= BUSY_LINES:
                    self._hand_on()
            self._hand_on()
            self._tell()

    async def close(self) -> None:
        """Write what is left, for a second at most."""
        self._hand_on()
        self._queue.put(None)
        thread = self._thread
        if thread is not None:
            await asyncio.to_thread(thread.join, CLOSE_S)
        self._tell()

    def _hand_on(self) -> None:
        lines = self._lines.copy()
        if not lines:
            return
        # The list itself stays: those who hear hold its `append`.
        self._lines.clear()
        opening, self._opening_before = self._opening_before, self._opening
        size = sum(map(len, lines))
        if self._queued_bytes - self._taken_bytes + size > self._queue_bytes:
            self._unqueued += len(lines)
            return
        self._queued_bytes += size
        self._queue.put(_Waiting(Block(lines, opening), size, self._unqueued))
        if self._thread is None:
            # A daemon: a disk that never answers must not keep the process from ending.
            self._thread = threading.Thread(target=self._write_on, name="recording", daemon=True)
            self._thread.start()

    def _write_on(self) -> None:
        """The thread: until there is nothing left to come, or until a bug."""
        told = 0
        try:
            files = self._files
            if files is None:
                files = self._files = RecordingFiles(self._folder, self._first_line, bytes_max=self._bytes_max)
            while (waiting := self._queue.get()) is not None:
                if waiting.left_out > told:
                    files.miss(waiting.left_out - told, "the disk was too slow")
                    told = waiting.left_out
                try:
                    files.write(waiting.block)
                finally:
                    self._taken_bytes += waiting.size
            files.close()
        except Exception as error:  # noqa: BLE001 - handed to `run`, which raises it where it is supervised
            self._failure = error

    def _first_line(self) -> bytes:
        return own_line("head", 0, time.time_ns(), self._head)

    def _tell(self) -> None:
        files = self._files
        if files is None:
            return
        self._counters.set("data_collector_recording_bytes", files.size)
        self._counters.set("data_collector_recording_down", 0 if files.refusal is None else 1)
        self._counters.set("data_collector_recording_left_out_total", self.left_out)
        self._counters.set("data_collector_recording_files_deleted_total", files.deleted)
        if (files.refusal is not None) != self._down_told:
            self._down_told = not self._down_told
            if self._down_told:
                self._log.error("recording_down", reason=files.refusal, folder=str(self._folder))
            else:
                self._log.info("recording_up", left_out=self.left_out)

    def note(self, connection: int, line: bytes) -> None:
        """Keep what a connection is and was asked for."""
        self._lines.append(line)
        said = self._connections.setdefault(connection, [])
        if len(said) < SENT_KEPT:
            said.append(line)
            self._join()

    def forget(self, connection: int, line: bytes) -> None:
        """It has ended."""
        self._lines.append(line)
        self._connections.pop(connection, None)
        self._join()

    def masked(self, content: bytes) -> bytes:
        """Without what nobody else is to see."""
        return self._mask.all(content)

    def _join(self) -> None:
        self._opening = b"".join(line for said in self._connections.values() for line in said)


class KeptConnection:
    """One connection, as its line shows it."""

    def __init__(self, recorder: Recorder, number: int, opened: Opened, append: Callable[[bytes], None]) -> None:
        self._recorder = recorder
        self._number = number
        self._opened = opened
        self._append = append

    def keeping(self, decode: Decode) -> Decode:
        """Decodes as that does, and keeps what it was given."""
        append, masked, number = self._append, self._recorder.masked, self._number
        form = b'["in",%d,' % number + b"%d,%b]\n"

        def decode_and_keep(frame: memoryview, received_ns: int) -> Event | list[Record]:
            try:
                decoded = decode(frame, received_ns)
            except BadFrame:
                append(encoded_line("in", number, received_ns, masked(bytes(frame))))
                raise
            if type(decoded) in _TALK:
                append(line_of("in", number, received_ns, masked(bytes(frame))))
            else:
                append(form % (received_ns, frame))
            return decoded

        return decode_and_keep

    def opened(self) -> None:
        """It is there."""
        self._recorder.note(self._number, own_line("open", self._number, time.time_ns(), self._opened))

    def sent(self, frame: bytes) -> None:
        """What we have said."""
        line = line_of("sent", self._number, time.time_ns(), self._recorder.masked(frame))
        self._recorder.note(self._number, line)

    def ended(self, reason: str) -> None:
        """It is gone."""
        line = own_line("end", self._number, time.time_ns(), self._recorder.masked(reason.encode()).decode())
        self._recorder.forget(self._number, line)
