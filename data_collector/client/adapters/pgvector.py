"""Shapes of many series in PostgreSQL, by pgvector: for questions that go over hundreds of them at once.

One series is searched exactly, and in milliseconds, by `Memory` itself: this is for more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from types import TracebackType
from typing import Final
from weakref import WeakKeyDictionary

from msgspec import Struct

from data_collector.client.adapters.memory import READ_AGAIN, Memory
from data_collector.client.adapters.remembering.windows import NO_VECTORS, VectorPage
from data_collector.client.errors import NotInstalled, WrongQuestion
from data_collector.client.records import ms_of, time_of
from data_collector.client.terms.times import Time
from data_collector.model.calendar import DAY_MS, LENGTHS_MS

try:
    from data_collector.client.adapters.remembering.vector_table import Asked, Series, StoredHit, VectorTable
    from data_collector.client.postgres import LoopThread
except ModuleNotFoundError as error:
    raise NotInstalled(
        "PgVectorStore needs the driver asyncpg: pip install 'btc-data-collector[memory,postgres]'."
    ) from error

__all__ = ["PgVectorStore", "StoredHit"]

TABLE: Final = "market_memory"

Tell = Callable[[Memory, datetime], None]
"""Which memory, and what time has been reached."""


class _Synced(Struct):
    """How far a memory is in the table."""

    newest_ms: int
    corrections: int


class PgVectorStore:
    """Vectors of memories in one table, all of the same window and channels. Not to be shared by threads.

    Methods raise `DatabaseAway`, and `WrongQuestion` where PostgreSQL lacks pgvector, or the table holds other shapes.
    """

    def __init__(self, dsn: str, table: str = TABLE) -> None:
        """`dsn` is what `DATABASE_URL` holds."""
        self._dsn = dsn
        self._name = table
        self._thread = LoopThread()
        self._tables: dict[str, VectorTable] = {}
        self._synced: WeakKeyDictionary[Memory, _Synced] = WeakKeyDictionary()

    def sync(self, *memories: Memory, tell: Tell | None = None) -> int:
        """Write what the table lacks of memories, and what was corrected; returns how many vectors were written.

        It goes on where the table ends. `tell` is called with the time that has been reached, page by page. The first
        time the index is built behind all of them, which takes minutes for hundreds of thousands of windows.
        """
        is_first = any(memory not in self._synced for memory in memories)
        written = sum(self._write(memory, tell) for memory in memories)
        if is_first:
            self._thread.run(self._table(memories[0]).index())
        return written

    def similar(
        self, memory: Memory, k: int = 10, at: Time | None = None, horizon: int = 1, exclusion: int | None = None,
        symbols: Sequence[str] | None = None, intervals: Sequence[str] | None = None,
    ) -> list[StoredHit]:  # fmt: skip
        """The `k` past windows of all series, or of these, that are most like the memory's newest; best first.

        As `Memory.similar`: of windows of which `horizon` candles were known `at` that time, and `exclusion` candles
        apart. Raises `NoShape`.
        """
        window = memory.shape.window
        exclusion = window if exclusion is None else exclusion
        if k < 1 or horizon < 0 or exclusion < 0:
            raise WrongQuestion("k= is to be 1 at least, horizon= and exclusion= 0.")
        page = memory.shape_at(at)
        asked = Asked(
            page.shapes[0], _series(memory), time_of(int(page.close_ms[0])), horizon / window, exclusion / window,
            symbols, intervals,
        )  # fmt: skip
        return self._thread.run(self._table(memory).nearest(asked, k))

    def close(self) -> None:
        """Hang up."""
        if not self._thread.is_closed:
            for table in self._tables.values():
                self._thread.run(table.close())
            self._thread.close()

    def __enter__(self) -> PgVectorStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, memory: Memory, tell: Tell | None) -> int:
        known = self._synced.get(memory)
        corrections = len(memory.corrections)
        if known is None:
            begin_ms, newest_ms, written = *self._begin_ms(memory), 0
        else:
            begin_ms, newest_ms, written = known.newest_ms + 1, known.newest_ms, self._correct(memory, known)
        for page in memory.vector_pages(begin_ms):
            if len(page.open_ms):
                first_ms = int(page.open_ms[0]) if begin_ms is None else begin_ms
                newest_ms = int(page.open_ms[-1])
                written += self._put(memory, page, first_ms, newest_ms)
                begin_ms = newest_ms + 1
                if tell is not None:
                    tell(memory, time_of(newest_ms))
        self._synced[memory] = _Synced(newest_ms, corrections)
        return written

    def _begin_ms(self, memory: Memory) -> tuple[int | None, int]:
        """From where on windows are compared with the table's, and when its newest one begins."""
        ends = self._thread.run(self._table(memory).ends(_series(memory)))
        oldest = next((int(page.open_ms[0]) for page in memory.vector_pages() if len(page.open_ms)), None)
        if ends is None or oldest is None or oldest < ms_of(ends[0]):
            return None, -1
        newest_ms = ms_of(ends[1])
        return max(0, newest_ms - (READ_AGAIN + memory.shape.window) * _length_ms(memory)), newest_ms

    def _correct(self, memory: Memory, known: _Synced) -> int:
        """Windows that hold a candle which was corrected since, as far as the table goes."""
        written = 0
        for corrected_ms, last_ms in memory.corrections[known.corrections :]:
            begin_ms = max(0, corrected_ms - (memory.shape.window - 1) * _length_ms(memory))
            end_ms = min(last_ms, known.newest_ms)
            for page in memory.vector_pages(begin_ms, end_ms + 1):
                if len(page.open_ms):
                    written += self._put(memory, page, begin_ms, int(page.open_ms[-1]))
                    begin_ms = int(page.open_ms[-1]) + 1
            self._put(memory, NO_VECTORS, begin_ms, end_ms)
        return written

    def _put(self, memory: Memory, page: VectorPage, first_ms: int, last_ms: int) -> int:
        return self._thread.run(self._table(memory).put(_series(memory), page, first_ms, last_ms))

    def _table(self, memory: Memory) -> VectorTable:
        text = memory.shape.text
        if text not in self._tables:
            self._tables[text] = VectorTable(self._dsn, self._name, memory.shape)
        return self._tables[text]


def _series(memory: Memory) -> Series:
    return Series(memory.exchange, memory.key.symbol, memory.key.kline_interval)


def _length_ms(memory: Memory) -> int:
    """Of a candle, at most."""
    return LENGTHS_MS.get(memory.key.kline_interval, 31 * DAY_MS)
