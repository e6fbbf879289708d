"""Years of records as columns, straight out of PostgreSQL: rows copied as CSV, and read by Arrow all at once.

What Arrow reads out of a text is `float(text)`. What is missing is found by the distance of neighbours; it is asked of
the other stores as for records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from data_collector.client.errors import GapFound
from data_collector.client.frames import (
    KLINE_FLOATS,
    KLINE_INTEGERS,
    MAKER,
    ORIGINS,
    TRADE_FLOATS,
    TRADE_INTEGERS,
    UNKNOWN,
    Columns,
    Floats,
    Integers,
    columns_of,
    joined,
)
from data_collector.client.reading.database import OF_KLINES, ORIGIN
from data_collector.client.reading.history import Stretch
from data_collector.client.reading.market import Market
from data_collector.client.reading.past import PastKlines, PastTrades, epochs_of, first_open_ms, first_trade
from data_collector.client.reading.questions import Plan, ask_database
from data_collector.client.reading.stored import BEHIND_MS
from data_collector.client.records import Kline, Trade
from data_collector.model.calendar import LATEST_MS, LENGTHS_MS
from data_collector.model.records import known_rules

PAGE_ROWS = 250_000
"""More of them, and PostgreSQL would compile the query first, which takes longer than it."""

NO_ID = 2**63 - 1
"""Above those of all trades."""

READ_BYTES = 1 << 20
"""Of a page, while the rest of it is on its way."""

_KLINE = ("timestamp", *KLINE_FLOATS, *KLINE_INTEGERS, *ORIGIN)
_TRADE = ("timestamp", *TRADE_FLOATS, "trade_id", "buyer_order_id", "seller_order_id", MAKER, *ORIGIN)

KLINES = f"select {', '.join(_KLINE)} {OF_KLINES.format(PAGE_ROWS)}"

TRADES = f"""
select {", ".join(_TRADE)} from market_data_trades
where exchange = $1 and symbol = $2 and epoch = $3 and trade_id >= $4 and trade_id < $5
order by trade_id limit {PAGE_ROWS}
"""  # noqa: S608

Hole = tuple[int, int, int]
"""The row before which something is missing, and from where until where."""


class BulkKlines:
    """Candles of an interval of fixed length. Raises `GapFound` where that is the policy."""

    def __init__(self, market: Market, stretch: Stretch) -> None:
        """`stretch.source` has a database."""
        self._exchange = market.exchange
        self._stretch = stretch
        self._others = market.stores(stretch.source)[1:]
        self._declared = market.declared(stretch.key.symbol)
        self._length_ms = LENGTHS_MS[stretch.key.kline_interval]
        self._from_ms = 0 if stretch.from_ms is None else stretch.from_ms
        self._to_ms = LATEST_MS if stretch.to_ms is None else stretch.to_ms
        self._due_ms = None if stretch.from_ms is None else first_open_ms(stretch.key.kline_interval, stretch.from_ms)
        self._is_read = False
        self._is_over = False

    def next_blocks(self) -> Plan[Sequence[Columns] | None]:
        """Those of a page, in order; behind the last one comes what only the other stores have."""
        if self._is_over:
            return None
        if self._is_read:
            self._is_over = True
            return [(yield from self._rest())]
        key = self._stretch.key
        reading = _Reading(_klines)
        yield from ask_database(
            KLINES, self._exchange, key.symbol, key.kline_interval, self._from_ms, self._to_ms,
            take=reading.take,
        )  # fmt: skip
        page = reading.columns()
        self._is_read = len(page.warnings) < PAGE_ROWS
        if not len(page.warnings):
            return []
        open_ms = page.timestamp_us // 1000
        self._from_ms = int(open_ms[-1]) + 1
        blocks, begin = list[Columns](), 0
        for row, due_ms, until_ms in self._holes(open_ms):
            blocks += [page.part(slice(begin, row)), (yield from self._past(due_ms, until_ms, due_ms, until_ms))]
            begin = row
        return [*blocks, page.part(slice(begin, None))]

    def _holes(self, open_ms: Integers) -> list[Hole]:
        """A row that a program of the user's put beside the grid moves nothing."""
        due_ms, length_ms = int(open_ms[0]) if self._due_ms is None else self._due_ms, self._length_ms
        rows = np.flatnonzero((open_ms - due_ms) % length_ms == 0)
        if not len(rows):
            return []
        self._due_ms = int(open_ms[rows[-1]]) + length_ms
        return [(int(rows[at]), due, until) for at, due, until in _jumps(open_ms[rows], due_ms, length_ms)]

    def _rest(self) -> Plan[Columns]:
        asked = self._stretch
        closed_ms = None if asked.to_ms is None else asked.now_ms - BEHIND_MS
        from_ms = self._from_ms if self._due_ms is None else self._due_ms
        return (yield from self._past(from_ms, self._to_ms, self._due_ms, closed_ms))

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


class BulkTrades:
    """Trades of all epochs, whatever is missing among them."""

    def __init__(self, market: Market, stretch: Stretch) -> None:
        """`stretch.source` has a database."""
        self._exchange = market.exchange
        self._symbol = stretch.key.symbol
        self._stores = market.stores(stretch.source)
        self._declared = market.declared(self._symbol)
        self._from_ms = stretch.from_ms or 0
        self._to_ms = LATEST_MS if stretch.to_ms is None else stretch.to_ms
        self._epochs: list[int] | None = None
        self._due: int | None = None
        """In the first of the epochs; None: that is not begun."""
        self._until = NO_ID
        """In the same, the first id that is not asked for."""

    def next_blocks(self) -> Plan[Sequence[Columns] | None]:
        """Those of a page, in order; behind the last one of an epoch comes what only the other stores have."""
        if self._epochs is None:
            self._epochs = yield from epochs_of(self._symbol, self._stores)
        if not self._epochs:
            return None
        epoch = self._epochs[0]
        if self._due is None:
            self._due = yield from first_trade(self._symbol, epoch, self._stores, self._from_ms)
            self._until = yield from self._end_of(epoch)
        if self._due is None:
            self._epochs = self._epochs[1:]
            return []
        reading = _Reading(partial(_trades, epoch))
        yield from ask_database(TRADES, self._exchange, self._symbol, epoch, self._due, self._until, take=reading.take)
        page = reading.columns()
        ids, blocks, begin = page.integers["trade_id"], list[Columns](), 0
        for row, due, until in _jumps(ids, self._due, 1):
            blocks += [page.part(slice(begin, row)), (yield from self._past(epoch, due, until))]
            begin = row
        blocks.append(page.part(slice(begin, None)))
        self._due = int(ids[-1]) + 1 if len(page.warnings) else self._due
        if len(page.warnings) < PAGE_ROWS:
            blocks.append((yield from self._past(epoch, self._due, self._until)))
            self._epochs, self._due = self._epochs[1:], None
        return blocks

    def _end_of(self, epoch: int) -> Plan[int]:
        if self._to_ms >= LATEST_MS:
            return NO_ID
        end = yield from first_trade(self._symbol, epoch, self._stores, self._to_ms)
        return NO_ID if end is None else end

    def _past(self, epoch: int, due: int, until: int) -> Plan[Columns]:
        end = None if until == NO_ID else until
        past = PastTrades(self._symbol, epoch, self._stores[1:], self._declared, due=due, until=end)
        trades: list[Trade] = []
        while (page := (yield from past.next_page())) is not None:
            trades += [item for item in page if isinstance(item, Trade)]
        return columns_of(trades, "float", is_trades=True)


def _jumps(places: Integers, due: int, step: int) -> list[Hole]:
    """Where a place is not the one that follows."""
    expected = np.concatenate([[due], places[:-1] + step])
    return [(int(at), int(expected[at]), int(places[at])) for at in np.flatnonzero(places > expected)]


class _Reading:
    """A page on its way."""

    def __init__(self, read: Callable[[bytes], Columns]) -> None:
        self._read = read
        self._parts: list[bytes] = []
        self._size = 0
        self._blocks: list[Columns] = []

    def take(self, part: bytes) -> None:
        """Some lines, or parts of them."""
        self._parts.append(part)
        self._size += len(part)
        if self._size >= READ_BYTES:
            lines, newline, rest = b"".join(self._parts).rpartition(b"\n")
            self._blocks.append(self._read(lines + newline))
            self._parts, self._size = [rest], len(rest)

    def columns(self) -> Columns:
        """All of it."""
        return joined([*self._blocks, self._read(b"".join(self._parts))])


def _klines(copied: bytes) -> Columns:
    if not copied:
        return columns_of((), "float", is_trades=False)
    table = _read(copied, _KLINE)
    return Columns(_times(table), _floats(table, KLINE_FLOATS), _integers(table, KLINE_INTEGERS), *_origins(table))


def _trades(epoch: int, copied: bytes) -> Columns:
    if not copied:
        return columns_of((), "float", is_trades=True)
    table = _read(copied, _TRADE)
    integers = _integers(table, (name for name in (*TRADE_INTEGERS, MAKER) if name != "epoch"))
    epochs = np.full(table.num_rows, epoch)
    named = {name: epochs if name == "epoch" else integers[name] for name in (*TRADE_INTEGERS, MAKER)}
    return Columns(_times(table), _floats(table, TRADE_FLOATS), named, *_origins(table))


def _read(copied: bytes, names: Sequence[str]) -> pa.Table:
    types = {name: _TYPES.get(name, pa.float64()) for name in names}
    return csv.read_csv(
        pa.py_buffer(copied),
        csv.ReadOptions(use_threads=False, column_names=names, block_size=len(copied) + 1),
        convert_options=csv.ConvertOptions(
            column_types=types, null_values=[""], true_values=["t"], false_values=["f"], strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )  # fmt: skip


_TYPES: Final = {
    "timestamp": pa.timestamp("us", "UTC"), **dict.fromkeys((*KLINE_INTEGERS, *TRADE_INTEGERS), pa.int64()),
    MAKER: pa.bool_(), **dict.fromkeys(ORIGIN, pa.string()),
}  # fmt: skip
"""Others are floats."""


def _times(table: pa.Table) -> Integers:
    return _of_int64(table.column("timestamp"))


def _floats(table: pa.Table, names: Iterable[str]) -> dict[str, Floats]:
    return {name: table.column(name).to_numpy().astype(np.float64) for name in names}


def _integers(table: pa.Table, names: Iterable[str]) -> dict[str, Integers]:
    return {name: _of_int64(table.column(name)) for name in names}


def _of_int64(column: pa.ChunkedArray) -> Integers:
    return pc.fill_null(column.cast(pa.int64()), pa.scalar(UNKNOWN)).to_numpy().astype(np.int64)


def _origins(table: pa.Table) -> tuple[Integers, Sequence[tuple[str, ...]]]:
    # Of those that a store holds; the last one of all is not among them.
    places = pc.index_in(table.column(ORIGIN[0]), value_set=pa.array(ORIGINS[:-1]))
    marks = table.column(ORIGIN[1])
    if marks.null_count == table.num_rows:
        return _of_int64(places), [()] * table.num_rows
    return _of_int64(places), [
        () if rules is None else known_rules(str(rules).split(",")) for rules in marks.to_pylist()
    ]
