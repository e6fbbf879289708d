"""The spool: keeps the runs of trades of the last minutes, in memory and on disk (docs/decisions/0007-spool.md).

An acknowledgement is not durability: a store may lose the end of what it acknowledged, or everything
(docs/semantics.md). What it lacks is read back from here, and only what is not here is asked of the exchange.

Life cycle: `open` once, before anything else; then `append` and `confirm` on the event loop while `run` is kept up;
`close` at the end. A thread of its own writes: handing each group of runs to a pool costs more than writing it.

| what | when more comes than it takes |
|---|---|
| the ring in memory | the oldest runs are forgotten; the disk has them |
| the queue for the disk | the newest are not written, and counted; they are kept as long as the ring keeps them |
| the disk, beyond `bytes_max` | the oldest files are deleted, confirmed or not, and counted |
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path

import structlog
from msgspec import Struct

from data_collector.model.sink import TradeRun, epoch_of, symbol_of
from data_collector.observe.counters import Counters
from data_collector.pipeline.spool.segment_writer import DiskCalls, SegmentWriter, WrittenRuns
from data_collector.pipeline.spool.segments import Segment, SegmentReader, recover, segment_path
from data_collector.pipeline.spool.shelf import Cover, Shelf, run_bytes

NEW_RUNS_MAX = 256
"""So many runs are put in their places together: one alone, with a cold cache, costs three times as much."""

_MEBIBYTE = 1024 * 1024


class SpoolLimits(Struct, frozen=True):
    """How much is kept. The defaults are for use, other values for tests."""

    bytes_max: int = 4096 * _MEBIBYTE
    """On disk; 0 keeps nothing there."""
    keep_s: float = 900.0
    """Files younger than this are kept whatever the store has acknowledged: it may lose what it acknowledged."""
    ring_bytes: int = 32 * _MEBIBYTE
    queue_bytes: int = 32 * _MEBIBYTE
    """Less than the ring, so that what waits for the disk is readable from memory."""
    segment_bytes: int = 4 * _MEBIBYTE
    group_bytes: int = 8 * _MEBIBYTE
    """How much one sync covers at most: a disk that takes 2 s for each must keep up with 5,000 trades/s."""
    group_s: float = 0.1
    """How long runs gather for one sync: what a power cut can take. It costs about 0.28 ms of CPU, mostly for waking
    up and for the sync, however little is written."""
    upkeep_s: float = 1.0
    """How often files are looked at for deletion, and figures are told."""


class Spool:
    """Bounded in size, it outlives the process.

    The runs it is given and those it gives back are shared: nobody may change one. What is called a symbol is its
    place, by symbol and epoch (`model.sink.place_of`).
    """

    def __init__(
        self,
        folder: Path | None,
        counters: Counters,
        *,
        symbols: Collection[str],
        limits: SpoolLimits | None = None,
        calls: DiskCalls | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`folder` None keeps runs in memory only. Files wait for `confirm` of the `symbols` that they hold."""
        limits = SpoolLimits() if limits is None else limits
        self._folder = folder if limits.bytes_max else None
        self._counters = counters
        self._symbols = symbols
        self._limits = limits
        self._calls = calls
        self._clock = clock
        self._log = structlog.get_logger()
        self._ring = Shelf(bytes_max=limits.ring_bytes)
        self._confirmed: dict[str, int] = {}
        self._present: dict[str, str] = {}
        """Of each symbol the place that was confirmed last: that of the epoch that the store is in."""
        self.closed: set[str] = set()
        """Symbols of which the store is in another epoch than before: who has seen to that takes them out."""
        self._segments: list[Segment] = []
        self._reader = SegmentReader(Path() if folder is None else folder)
        self._reading = asyncio.Lock()
        self._corrupt_told = 0
        self._refusal: str | None = None
        self._over_cap = False
        self._new: list[TradeRun] = []
        """Appended and in no place yet: every look at what is kept begins with putting them there."""
        # Between the loop and the thread: deques, and numbers that only one of them writes.
        self._queue: deque[tuple[TradeRun, int]] = deque()
        self._queued_bytes = 0
        self._taken_bytes = 0
        self._written: deque[WrittenRuns] = deque()
        self._has_work = threading.Event()
        self._closing = threading.Event()
        self._writer: SegmentWriter | None = None
        self._thread_ended: asyncio.Future[None] | None = None

    async def open(self) -> None:
        """Take over what the folder holds. Raises `Misconfigured` when the folder cannot be used."""
        if self._folder is None:
            return
        found = await asyncio.to_thread(recover, self._folder)
        # Ages of files are on the wall clock; from here on only the monotonic one counts, which nobody sets.
        wall_s, now = time.time(), self._clock()
        for segment in found.segments:
            segment.written_s = now - max(0.0, wall_s - segment.written_s)
        self._segments = found.segments
        for name in found.set_aside:
            self._log.error(
                "spool_file_set_aside", file=name,
                advice="it is larger than any that we write; what the store lacks of it is asked of the exchange",
            )  # fmt: skip
        self._writer = SegmentWriter(
            self._folder,
            number=found.next_number,
            sequence=found.next_sequence,
            segment_bytes=max(min(self._limits.segment_bytes, self._limits.bytes_max // 4), 1),
            calls=self._calls,
        )
        self._counters.add("data_collector_spool_corrupt_frames_total", found.corrupt_frames)
        self._tell()
        if found.segments:
            self._log.info("spool_opened", files=len(found.segments), corrupt_frames=found.corrupt_frames)

    def append(self, runs: Sequence[TradeRun]) -> None:
        """Keep runs. Never blocks; what cannot be kept is missing later, and then asked of the exchange."""
        self._new.extend(runs)
        if len(self._new) >= NEW_RUNS_MAX:
            self._take_in()

    def confirm(self, symbol: str, trade_id: int) -> None:
        """The newest trade that the store has of a symbol; lower than before when it has lost some."""
        self._confirmed[symbol] = trade_id
        name = symbol_of(symbol)
        if self._present.get(name, name) != symbol:
            self.closed.add(name)
        self._present[name] = symbol

    def confirmed_id(self, symbol: str) -> int | None:
        """What was confirmed last; None where nothing was."""
        return self._confirmed.get(symbol)

    async def read(self, symbol: str, first_id: int, *, trades_max: int) -> list[TradeRun]:
        """Runs that follow each other without a hole from `first_id` on, the first one cut so that it starts there.

        `first_id` may lie in the explained gaps before a run: they are cut too. Empty when `first_id` is not kept.
        Between runs only ranges that the next one explains are missing. At most about `trades_max` trades.
        """
        self._take_in()
        runs = self._ring.read(symbol, first_id, trades_max)
        if runs or self._folder is None:
            return runs
        self._settle()
        if not any(segment.holds(symbol, first_id) for segment in self._segments):
            return []
        async with self._reading:
            return await asyncio.to_thread(self._reader.read, list(self._segments), symbol, first_id, trades_max)

    def oldest_id(self, symbol: str) -> int | None:
        """The smallest trade id that is kept of a symbol."""
        return min((cover.first_trade for cover in self._covers(symbol) if cover.first_trade < cover.end), default=None)

    def end_id(self, symbol: str, first_id: int) -> int:
        """The id up to which (and without which) everything from `first_id` on is kept; `first_id` if it is not."""
        covers = list(self._covers(symbol))
        end_id = first_id
        while (further := max((cover.end for cover in covers if cover.start <= end_id), default=end_id)) > end_id:
            end_id = further
        return end_id

    def newest_id(self, symbol: str) -> int | None:
        """The largest trade id that is kept (or explained) of a symbol."""
        return max((cover.end - 1 for cover in self._covers(symbol)), default=None)

    def following_id(self, symbol: str, first_id: int) -> int | None:
        """The smallest id from `first_id` on that is kept, or explained."""
        starts = (max(cover.start, first_id) for cover in self._covers(symbol) if cover.end > first_id)
        return min(starts, default=None)

    def newest_epoch(self, symbol: str) -> int:
        """The newest epoch of which something of a symbol is kept."""
        return max(self.epochs(symbol), default=0)

    def epochs(self, symbol: str) -> list[int]:
        """Those of which something of a symbol is kept."""
        return sorted(map(epoch_of, self._places(symbol)))

    def closed_epochs(self, symbol: str) -> list[int]:
        """Those of which something is kept, and of which the store takes nothing any more."""
        return sorted(epoch_of(place) for place in self._places(symbol) if self._is_over(place))

    async def run(self) -> None:
        """Keep the writing thread up and the files within their limits, until cancelled; `close` ends the thread."""
        kept_up_s = 0.0
        while True:
            ended = self._thread_ended
            if ended is not None and ended.done():
                self._thread_ended = None
                ended.result()
            elif ended is None and self._writer is not None:
                self._start_thread(self._writer)
            await asyncio.sleep(self._limits.group_s)
            self._take_in()
            if self._queue:
                self._has_work.set()
            now = time.monotonic()
            if now - kept_up_s >= self._limits.upkeep_s:
                kept_up_s = now
                self._settle()
                await self._delete_old()
                self._tell()

    async def close(self) -> None:
        """Write and sync what is queued, when nothing comes any more; bounded by the caller's deadline."""
        if self._writer is None:
            return
        self._take_in()
        self._closing.set()
        ended = self._thread_ended
        if ended is None or ended.done():
            ended = self._start_thread(self._writer)
        self._has_work.set()
        await asyncio.wait((ended,))
        self._settle()
        ended.result()

    def _take_in(self) -> None:
        """Put new runs into the ring and into the queue."""
        runs, self._new = self._new, []
        for run in runs:
            if run.first_id + run.count == run.start_id:
                # It speaks of no id.
                continue
            size = run_bytes(run)
            self._ring.add(run, size)
            if self._writer is None:
                continue
            if self._queued_bytes - self._taken_bytes + size > self._limits.queue_bytes:
                self._skipped(run.count)
                continue
            self._queued_bytes += size
            self._queue.append((run, size))

    def _start_thread(self, writer: SegmentWriter) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        self._thread_ended = ended
        # A daemon: a disk that never answers must not keep the process from ending.
        thread = threading.Thread(target=self._write_on, args=(writer, loop, ended), name="spool", daemon=True)
        thread.start()
        return ended

    def _write_on(self, writer: SegmentWriter, loop: asyncio.AbstractEventLoop, ended: asyncio.Future[None]) -> None:
        """The thread: until closing and nothing is left, or until a bug."""
        error: Exception | None = None
        try:
            while not self._closing.is_set():
                self._has_work.wait()
                # Cleared before looking: what comes later sets it anew.
                self._has_work.clear()
                self._write_queued(writer)
            self._write_queued(writer)
            writer.close()
        except Exception as caught:  # noqa: BLE001 - handed to `run`, which raises it where it is supervised
            error = caught
        # Nobody waits any more once the loop is closed.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_end, ended, error)

    def _write_queued(self, writer: SegmentWriter) -> None:
        while self._queue:
            runs: list[TradeRun] = []
            size = 0
            while self._queue and size < self._limits.group_bytes:
                run, run_size = self._queue.popleft()
                runs.append(run)
                size += run_size
            try:
                self._written.append(writer.write(runs))
            finally:
                self._taken_bytes += size

    def _settle(self) -> None:
        """Take note of what the thread has written."""
        now = self._clock()
        while self._written:
            written = self._written.popleft()
            if written.free_bytes is not None:
                self._counters.set("data_collector_spool_disk_free_bytes", written.free_bytes)
            self._counters.add("data_collector_spool_fsync_errors_total", written.failed_syncs)
            if written.number is None:
                self._skipped(written.trades)
                if written.refusal is not None and self._refusal is None:
                    self._log.error("spool_down", reason=written.refusal)
                self._refusal = written.refusal or self._refusal
                continue
            if written.failed_syncs:
                self._log.error("spool_sync_failed", next_file=written.number)
            if self._refusal is not None:
                self._refusal = None
                self._log.info("spool_up")
            self._counters.observe("data_collector_spool_fsync_seconds", written.sync_s)
            if not self._segments or self._segments[-1].number != written.number:
                self._segments.append(Segment(written.number, 0, 0, now))
            newest = self._segments[-1]
            newest.size = newest.good_bytes = written.size
            newest.written_s = now
            newest.add(written.covers)

    async def _delete_old(self) -> None:
        """Whole files, oldest first, never the newest, which is being written."""
        now = self._clock()
        left = sum(segment.size for segment in self._segments)
        gone = early = 0
        for segment in self._segments[:-1]:
            is_over = left > self._limits.bytes_max
            if not is_over and (now - segment.written_s < self._limits.keep_s or not self._is_confirmed(segment)):
                break
            gone += 1
            early += is_over
            left -= segment.size
        if early:
            self._counters.add("data_collector_spool_files_over_limit_total", early)
            if not self._over_cap:
                self._log.warning("spool_limit_reached", limit_bytes=self._limits.bytes_max, files_deleted=early)
        self._over_cap = early > 0
        if gone:
            assert self._folder is not None
            paths = [segment_path(self._folder, segment.number) for segment in self._segments[:gone]]
            del self._segments[:gone]
            await asyncio.to_thread(_delete, paths)

    def _is_confirmed(self, segment: Segment) -> bool:
        # What is no longer collected can be confirmed by nobody.
        return all(
            self._confirmed.get(place, -1) >= max(cover.end for cover in covers) - 1 or self._is_over(place)
            for place, covers in segment.covers.items()
            if symbol_of(place) in self._symbols
        )

    def _is_over(self, place: str) -> bool:
        """Whether the store is in a later epoch: it takes nothing of this one any more."""
        return epoch_of(place) < epoch_of(self._present.get(symbol_of(place), place))

    def _places(self, symbol: str) -> set[str]:
        self._take_in()
        self._settle()
        places = chain(self._ring.places(), *(segment.covers for segment in self._segments))
        return {place for place in places if symbol_of(place) == symbol}

    def _covers(self, symbol: str) -> Iterable[Cover]:
        self._take_in()
        self._settle()
        yield from self._ring.covers(symbol)
        for segment in self._segments:
            yield from segment.covers.get(symbol, ())

    def _skipped(self, trades: int) -> None:
        self._counters.add("data_collector_spool_skipped_trades_total", trades)

    def _tell(self) -> None:
        self._counters.set("data_collector_spool_bytes", sum(segment.size for segment in self._segments))
        self._counters.set("data_collector_spool_bytes_max", self._limits.bytes_max)
        self._counters.set("data_collector_spool_full", 0 if self._refusal is None else 1)
        corrupt = self._reader.corrupt_frames
        self._counters.add("data_collector_spool_corrupt_frames_total", corrupt - self._corrupt_told)
        self._corrupt_told = corrupt


def _delete(paths: list[Path]) -> None:
    for path in paths:
        # A disk that has become read-only refuses what is written too, and that is told.
        with suppress(OSError):
            path.unlink()


def _end(ended: asyncio.Future[None], error: Exception | None) -> None:
    if ended.done():
        return
    if error is None:
        ended.set_result(None)
    else:
        ended.set_exception(error)
