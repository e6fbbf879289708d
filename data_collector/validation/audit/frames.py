"""From chunks and rows to data frames: plain numpy columns in the order of `columns.COLUMNS`, and rows from 0 on.

Great Expectations is slow with columns of Python objects, and wrong with the nullable types of pandas. So decimals are
64-bit floats with NaN for null, whole numbers are 64-bit integers, or floats where some are null, flags are booleans.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct, field
from pandas import DataFrame, Series, set_option

from data_collector.validation.audit.memory import Column, Mask, Memory
from data_collector.validation.auditing.messages import Chunk, chunk_decoder
from data_collector.validation.gate.compiler import NUMBER_CHARACTERS_MAX, is_plain, whole
from data_collector.validation.rules.columns import COLUMNS, GATE_COLUMNS, INTEGER_MAX, Checked, ColumnType, Kind, Value

# Where pyarrow is installed, pandas would keep texts in its form and hand regular expressions to RE2; the compiled
# rules are Python's.
set_option("mode.string_storage", "python")

_UNREADABLE = (msgspec.DecodeError, UnicodeEncodeError)
_number = msgspec.json.Decoder(float).decode
_numbers = msgspec.json.Decoder(list[float]).decode

_PYTHON_TYPES: Final[Mapping[ColumnType, tuple[type, ...]]] = {
    "text": (str,), "decimal": (float, int), "integer": (int,), "flag": (bool,),
}  # fmt: skip


class AuditBatch(Struct):
    """The chunks of one kind that one suite judged, one after the other, as columns: records would take ten times as
    much memory."""

    kind: Kind
    digest: str
    rows: int = 0
    pieces: list[dict[str, Column]] = field(default_factory=list)
    """Of each chunk the columns that the gate knows too."""
    chunks: list[tuple[int, msgspec.Raw]] = field(default_factory=list)
    """Each with its first row."""
    broken: dict[str, set[int]] = field(default_factory=dict)
    """Rule to the rows that the gate found to break it."""
    refused: list[int] = field(default_factory=list)
    late: list[int] = field(default_factory=list)
    sizes: dict[str, tuple[float, float]] = field(default_factory=dict)

    def add(self, chunk: Chunk, raw: msgspec.Raw) -> None:
        """Append the rows of a chunk. Raises `ValueError` when it speaks of a row that it does not have."""
        records = chunk.records
        named = (*chunk.broken, *chunk.refused, *chunk.late)
        if named and (min(named) < 0 or max(named) >= len(records)):
            raise ValueError(f"a chunk of {len(records)} {chunk.kind} records speaks of a row that it does not have")
        first = self.rows
        self.rows += len(records)
        self.pieces.append({name: _recorded(chunk.kind, name, records) for name in GATE_COLUMNS[chunk.kind]})
        self.chunks.append((first, raw))
        for row, rules in chunk.broken.items():
            for rule in rules:
                self.broken.setdefault(rule, set()).add(first + row)
        self.refused += [first + row for row in chunk.refused]
        self.late += [first + row for row in chunk.late]
        self.sizes |= chunk.sizes

    def record(self, row: int) -> Checked:
        """As it was sent."""
        first, raw = next((first, raw) for first, raw in reversed(self.chunks) if first <= row)
        return chunk_decoder.decode(raw).records[row - first]


def add_chunks(batches: dict[tuple[Kind, str], AuditBatch], chunks: Sequence[msgspec.Raw]) -> None:
    """Each to the batch of its kind and suite; those of one batch stay in their order."""
    for raw in chunks:
        chunk = chunk_decoder.decode(raw)
        if chunk.records:
            batches.setdefault((chunk.kind, chunk.digest), AuditBatch(chunk.kind, chunk.digest)).add(chunk, raw)


def frame_of_batch(source: str, batch: AuditBatch, memory: Memory) -> DataFrame:
    """The frame of a batch, which is remembered. The batch has no columns afterwards."""
    kind, count = batch.kind, batch.rows
    columns = {name: np.concatenate([piece.pop(name) for piece in batch.pieces]) for name in GATE_COLUMNS[kind]}
    accepted, late = ~_mask(batch.refused, count), _mask(batch.late, count)
    columns |= {"accepted": accepted, "late": late}
    columns |= {name: _size(column, columns["symbol"], batch.sizes) for name, column in _size_columns(kind)}
    remembered = memory.columns(source, kind, columns, in_place=accepted & ~late)
    return _frame(kind, columns | {name: _typed(kind, name, values) for name, values in remembered.items()})


def frame_of_rows(kind: Kind, rows: Sequence[Sequence[Value]]) -> DataFrame:
    """The frame of rows that were sent for validation: accepted, not late, and no more is known.

    Raises `ValueError` when a row is too short or too long, or a value is not of its column's type.
    """
    names = GATE_COLUMNS[kind]
    for number, row in enumerate(rows):
        if len(row) != len(names):
            raise ValueError(f"row {number} has {len(row)} values instead of {len(names)}")
    columns = {name: _sent(kind, name, [row[place] for row in rows]) for place, name in enumerate(names)}
    for name, column in COLUMNS[kind].items():
        if column.audit_only:
            flag = np.full(len(rows), name == "accepted")
            columns[name] = flag if column.type == "flag" else np.full(len(rows), np.nan)
    return _frame(kind, columns)


def decimals(texts: Sequence[str | None]) -> npt.NDArray[np.float64]:
    """Decimal texts as the gate reads them: NaN for what is not told, is no plain number, or is too long."""
    told = [text for text in texts if text is not None]
    try:
        numbers = _numbers(f"[{','.join(told)}]")
    except _UNREADABLE:
        numbers = []
    # "1,2" would be two numbers.
    is_whole = len(numbers) == len(texts) and all(map(is_plain, told))
    if not is_whole or max(map(len, told), default=0) > NUMBER_CHARACTERS_MAX:
        numbers = [np.nan if text is None else _decimal(text) for text in texts]
    return np.array(numbers, dtype=np.float64)


def integers(numbers: Sequence[int | None]) -> Column:
    """Whole numbers as rules see them (`compiler.whole`); floats where one is null."""
    if None in numbers:
        clamped = [np.nan if number is None else whole(number) for number in numbers]
        return np.array(clamped, dtype=np.float64)
    try:
        exact = np.array(numbers, dtype=np.int64)
    except OverflowError:
        exact = np.array([whole(number) for number in numbers], dtype=np.int64)
    return np.clip(exact, -INTEGER_MAX - 1, INTEGER_MAX + 1)


def _frame(kind: Kind, columns: Mapping[str, Column]) -> DataFrame:
    # pandas would make its own type of text of an array of texts, unless it is told the type.
    return DataFrame({name: Series(columns[name], dtype=columns[name].dtype) for name in COLUMNS[kind]})


def _decimal(text: str) -> float:
    try:
        number = _number(text)
    except _UNREADABLE:
        return np.nan
    return number if is_plain(text) and len(text) <= NUMBER_CHARACTERS_MAX else np.nan


def _recorded(kind: Kind, name: str, records: Sequence[Checked]) -> Column:
    if name == "received_ms":
        return integers([record.received_ns // 1_000_000 or None for record in records])
    values = list(map(attrgetter(name), records))
    return _READERS[COLUMNS[kind][name].type](values)


def _sent(kind: Kind, name: str, values: list[Value]) -> Column:
    column_type = COLUMNS[kind][name].type
    for number, value in enumerate(values):
        if value is not None and type(value) not in _PYTHON_TYPES[column_type]:
            raise ValueError(f"row {number}: {name} must be {column_type} or null")
    if column_type == "decimal":
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    if column_type == "integer":
        return integers([value for value in values if value is None or isinstance(value, int)])
    return _objects(values) if column_type == "text" else _flags(values)


def _flags(values: Sequence[object]) -> Column:
    """An array of booleans would take null for false."""
    return np.array(values, dtype=np.object_ if None in values else np.bool_)


def _objects(values: Sequence[object]) -> Column:
    return np.array(values, dtype=np.object_)


_READERS: Final[Mapping[ColumnType, Callable[..., Column]]] = {
    "text": _objects, "decimal": decimals, "integer": integers, "flag": _flags,
}  # fmt: skip


def _typed(kind: Kind, name: str, values: npt.NDArray[np.float64]) -> Column:
    whole_column = COLUMNS[kind][name].type == "integer" and not np.isnan(values).any()
    return values.astype(np.int64) if whole_column else values


def _mask(rows: Sequence[int], count: int) -> Mask:
    mask = np.zeros(count, dtype=np.bool_)
    mask[np.array(rows, dtype=np.intp)] = True
    return mask


def _size_columns(kind: Kind) -> Iterator[tuple[str, int]]:
    """The columns of steps, and the place of each in `Chunk.sizes`."""
    for place, name in enumerate(("tick_size", "step_size")):
        if name in COLUMNS[kind]:
            yield name, place


def _size(place: int, symbols: Column, sizes: Mapping[str, tuple[float, float]]) -> Column:
    known = {symbol: size[place] or np.nan for symbol, size in sizes.items()}
    return np.array([known.get(symbol, np.nan) for symbol in symbols.tolist()], dtype=np.float64)
