"""Years of candles as columns, straight out of PostgreSQL: rows copied in binary form, which numpy reads as they lie.

PostgreSQL makes the floats, and its cast of `numeric` is `float(text)`. What is missing is found by the distance of
neighbours; it is asked of the other stores as for records.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from data_collector.client.errors import GapFound
from data_collector.client.frames import KLINE_FLOATS, ORIGINS, Columns, Integers, columns_of
from data_collector.client.reading.history import Stretch
from data_collector.client.reading.market import Market
from data_collector.client.reading.past import BEHIND_MS, PastKlines, first_open_ms
from data_collector.client.reading.questions import Plan, ask_database
from data_collector.client.records import Kline
from data_collector.model.calendar import LATEST_MS, LENGTHS_MS

PAGE_ROWS = 100_000

ROWS_LOOKED_AT = 4096
"""For the next row that a rule marks, behind the last one: only such rows are longer than others."""

_HEADER_BYTES, _TRAILER_BYTES = 19, 2
_YEAR_2000_US = 946_684_800_000_000
"""PostgreSQL counts from there."""

_NUMBERS = ", ".join(f"coalesce({name}, 'NaN')::float8" for name in KLINE_FLOATS)
_SOURCES = ", ".join(f"'{origin}'" for origin in ORIGINS)

KLINES = f"""
select "timestamp", {_NUMBERS}, coalesce(trades, -1)::int8,
  coalesce(array_position(array[{_SOURCES}], source), 0)::int8 - 1, coalesce(array_to_string(warnings, ','), '')
from market_data_ohlcv
where exchange = $1 and symbol = $2 and interval = $3
  and "timestamp" >= to_timestamp($4::bigint / 1000.0) and "timestamp" < to_timestamp($5::bigint / 1000.0)
order by "timestamp" limit {PAGE_ROWS}
"""  # noqa: S608

_FIELDS = ("timestamp", *KLINE_FLOATS, "trades", "source")
_ROW: Final = np.dtype(
    [("fields", ">i2")]
    + [
        part
        for name in _FIELDS
        for part in ((f"{name}_bytes", ">i4"), (name, ">f8" if name in KLINE_FLOATS else ">i8"))
    ]
    + [("warnings_bytes", ">i4")]
)  # fmt: skip


class BulkKlines:
    """Blocks of columns of one stretch, without a limit, of an interval of fixed length."""

    def __init__(self, market: Market, stretch: Stretch) -> None:
        """`stretch.source` has a database."""
        self._market = market
        self._stretch = stretch
        self._length_ms = LENGTHS_MS[stretch.key.kline_interval]
        self._from_ms = 0 if stretch.from_ms is None else stretch.from_ms
        self._to_ms = LATEST_MS if stretch.to_ms is None else stretch.to_ms
        self._due_ms = None if stretch.from_ms is None else first_open_ms(stretch.key.kline_interval, stretch.from_ms)
        self._others = market.stores(stretch.source)[1:]
        self._declared = market.declared(stretch.key.symbol)
        self._rows: npt.NDArray[np.void] = np.empty(0, _ROW)
        self._marks: dict[int, tuple[str, ...]] = {}
        """By time in µs."""
        self._is_over = False

    def next_block(self) -> Plan[Columns | None]:
        """None when there is no more. Raises `GapFound` where that is the policy."""
        if not len(self._rows) and not self._is_over:
            yield from self._read()
        if not len(self._rows):
            return None
        open_ms = _open_ms(self._rows)
        due_ms = int(open_ms[0]) if self._due_ms is None else self._due_ms
        count = _first_other(open_ms, due_ms + self._length_ms * np.arange(len(open_ms)))
        if count == 0 and (open_ms[0] - due_ms) % self._length_ms == 0:
            self._due_ms = int(open_ms[0])
            return (yield from self._hole(due_ms, self._due_ms))
        if count:
            self._due_ms = due_ms + count * self._length_ms
        return self._taken(max(1, count))

    def rest(self) -> Plan[Columns]:
        """What the other stores have behind the last row."""
        asked = self._stretch
        closed_ms = None if asked.to_ms is None else min(asked.to_ms, asked.now_ms - BEHIND_MS)
        from_ms = self._from_ms if self._due_ms is None else self._due_ms
        return (yield from self._past(from_ms, self._to_ms, self._due_ms, closed_ms))

    def _hole(self, due_ms: int, until_ms: int) -> Plan[Columns]:
        return (yield from self._past(due_ms, until_ms, due_ms, until_ms))

    def _past(self, from_ms: int, to_ms: int, due_ms: int | None, closed_ms: int | None) -> Plan[Columns]:
        past = PastKlines(
            self._stretch.key, self._others, self._declared,
            from_ms=from_ms, to_ms=to_ms, due_ms=due_ms, closed_ms=closed_ms,
        )  # fmt: skip
        klines: list[Kline] = []
        while (page := (yield from past.next_page())) is not None:
            for item in page:
                if isinstance(item, Kline):
                    klines.append(item)
                elif self._stretch.gaps == "raise":
                    raise GapFound(item)
        return columns_of(klines, "float", is_trades=False)

    def _read(self) -> Plan[None]:
        key = self._stretch.key
        copied = yield from ask_database(
            KLINES, self._market.exchange, key.symbol, key.kline_interval, self._from_ms, self._to_ms, is_binary=True
        )
        self._rows, self._marks = _parsed(copied)
        self._is_over = len(self._rows) < PAGE_ROWS
        if len(self._rows):
            self._from_ms = int(_open_ms(self._rows)[-1]) + 1

    def _taken(self, count: int) -> Columns:
        rows, self._rows = self._rows[:count], self._rows[count:]
        times = rows["timestamp"].astype(np.int64) + _YEAR_2000_US
        warnings: list[tuple[str, ...]] = [()] * count
        if self._marks:
            warnings = [self._marks.get(us, ()) for us in times.tolist()]
        return Columns(
            times,
            {name: rows[name].astype(np.float64) for name in KLINE_FLOATS},
            {"trades": rows["trades"].astype(np.int64)},
            rows["source"].astype(np.int64),
            warnings,
        )


def _parsed(copied: bytes) -> tuple[npt.NDArray[np.void], dict[int, tuple[str, ...]]]:
    """Rows, and the rules that mark some of them, by time in µs. Such a row is longer than others."""
    parts: list[npt.NDArray[np.void]] = []
    marks: dict[int, tuple[str, ...]] = {}
    place, end = _HEADER_BYTES, len(copied) - _TRAILER_BYTES
    while place < end:
        rows = np.frombuffer(copied, _ROW, min((end - place) // _ROW.itemsize, ROWS_LOOKED_AT), place)
        count = _first_other(rows["warnings_bytes"], 0)
        part = rows[: count + 1]
        parts.append(part)
        place += len(part) * _ROW.itemsize
        length = int(part["warnings_bytes"][-1])
        if length:
            marks[int(part["timestamp"][-1]) + _YEAR_2000_US] = tuple(
                copied[place : place + length].decode().split(",")
            )
            place += length
    return (np.concatenate(parts) if parts else np.empty(0, _ROW)), marks


def _open_ms(rows: npt.NDArray[np.void]) -> Integers:
    return (rows["timestamp"].astype(np.int64) + _YEAR_2000_US) // 1000


def _first_other(values: npt.NDArray[np.generic], wanted: npt.NDArray[np.generic] | int) -> int:
    """How many of the first are as wanted."""
    others = values != wanted
    return int(others.argmax()) if others.any() else len(values)
