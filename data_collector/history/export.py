"""Exports what PostgreSQL holds into a folder of files with a manifest: all of it, or nothing.

The files are written into a hidden folder beside the asked one, which takes its name at the end.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct, field

from data_collector.history.export_format import STATED_DECIMALS, Decimals, Form, Layout, Rows, Table
from data_collector.history.ports import StoredRows
from data_collector.history.programs.forms import FORMS, Program
from data_collector.history.programs.pairs import Pair
from data_collector.history.retention import Retention
from data_collector.model.calendar import LATEST_MS, Calendar
from data_collector.model.errors import Misconfigured
from data_collector.model.gaps import Gap
from data_collector.model.grid import Holes, KlineGrid, grid_of
from data_collector.model.keys import Channel, Key
from data_collector.model.records import Kline, Sourced, Trade

PAGE_ROWS = 50_000
"""Read, kept in memory and written at once."""

MANIFEST = "manifest.json"


class StoredHistory(StoredRows, Protocol):
    """What an export reads."""

    async def gaps(self, key: Key) -> list[Gap]:
        """What was recorded as missing."""

    async def sourced_klines(
        self, symbol: str, interval: str, from_ms: int, to_ms: int, limit: int
    ) -> list[Sourced[Kline]]:
        """As `klines`."""

    async def sourced_trades_by_id(self, symbol: str, first_id: int, last_id: int, limit: int) -> list[Sourced[Trade]]:
        """As `trades_by_id`."""

    async def epoch_of(self, symbol: str) -> int:
        """In which the trades are that it reads."""


class ExportOrder(Struct, frozen=True, kw_only=True):
    """What is exported, and how."""

    series: Sequence[Key]
    from_ms: int | None
    """None: from the first row stored."""
    to_ms: int | None
    """None: to the last row stored."""
    retention: Retention = Retention()
    """Rows older than that are left out, there or not: they are being deleted."""
    folder: Path
    replace: bool = False
    """Whether an earlier export in the folder gives way."""
    form: Form = "parquet"
    decimals: Decimals = "decimal"
    with_origin: bool = False
    """Whether rows tell where they are from."""
    program: Program | None = None
    """Whose own files are written; None: those of `form`, `decimals` and `with_origin`."""
    pairs: Mapping[str, Pair] = field(default_factory=dict)
    """Of each symbol, where there is a program."""
    exchange: str
    made_by: str
    now_ms: int


class ExportedHole(Struct, frozen=True):
    """Missing klines by their open times, or missing trades by their ids."""

    first: str | int
    last: str | int
    count: int
    reason: str


class ExportedFile(Struct, kw_only=True):
    """One file of the manifest."""

    file: str
    symbol: str
    channel: Channel
    interval: str | None
    epoch: int | None
    """In which trade ids are unique; None of klines."""
    rows: int
    first: str | int
    """Open time, or trade id, of the first row."""
    kept_from: str | None
    """Nothing is told of what is older, because the retention lets it go. None keeps all."""
    last: str | int
    bytes: int
    sha256: str
    gaps: list[ExportedHole]
    gaps_left_out: int
    """More than are listed."""


class OtherFile(Struct, frozen=True):
    """A file that holds no rows of a series."""

    file: str
    bytes: int
    sha256: str


class Manifest(Struct, kw_only=True):
    """What `manifest.json` holds."""

    made_by: str
    made_at: str
    database: str
    exchange: str
    format: Form | Program
    decimals: str
    range_from: str | None = msgspec.field(name="from")
    range_to: str | None = msgspec.field(name="to")
    rows: int
    files: list[ExportedFile]
    others: list[OtherFile] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What a program's files do not hold, or it does with them."""


class _Planned(Struct, frozen=True):
    """A series and its numbers: open times, or trade ids; the end does not belong to it."""

    series: Key
    first: int
    until: int
    """Due; the first row may come later, and the last one earlier."""


Tell = Callable[[Key, float, int], None]
"""Gets the share of a series that is done (0 to 1), and the number of its rows so far."""


async def export(reader: StoredHistory, calendar: Calendar, order: ExportOrder, tell: Tell, *, place: str) -> Manifest:
    """Write all files and the manifest; `place` is the database as people may see it.

    Raises `Misconfigured`, for what is not stored before anything is written, and `SinkUnavailable`.
    """
    _check_folder(order)
    plan = await _planned(reader, calendar, order, place)
    partial = order.folder.with_name(f".{order.folder.name}.partial")
    _clear(partial)
    try:
        partial.mkdir(parents=True)
        layout = _layout(order, partial, calendar)
        written = [await _filled(reader, calendar, order, planned, layout, tell) for planned in plan]
        placed = await asyncio.to_thread(layout.finish)
        files = [
            await _described(reader, order, each, partial, path)
            for each, path in zip(written, placed.files, strict=True)
        ]  # fmt: skip
        form = None if order.program is None else FORMS[order.program]
        manifest = Manifest(
            made_by=order.made_by,
            made_at=_text(order.now_ms),
            database=place,
            exchange=order.exchange,
            format=order.program or order.form,
            decimals=form.numbers if form else STATED_DECIMALS["text" if order.form == "csv" else order.decimals],
            range_from=None if order.from_ms is None else _text(order.from_ms),
            range_to=None if order.to_ms is None else _text(order.to_ms),
            rows=sum(file.rows for file in files),
            files=files,
            others=[OtherFile(*await asyncio.to_thread(_sealed, partial, path)) for path in placed.others],
            notes=list(form.notes) if form else [],
        )
        content = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
        (partial / MANIFEST).write_bytes(content + b"\n")
        _put_in_place(partial, order.folder)
    except OSError as error:
        raise Misconfigured(f"The export cannot be written to {order.folder} ({error.strerror or error}).") from error
    finally:
        _clear(partial)
    return manifest


async def _planned(reader: StoredHistory, calendar: Calendar, order: ExportOrder, place: str) -> list[_Planned]:
    if order.from_ms is not None and order.to_ms is not None and order.from_ms >= order.to_ms:
        raise Misconfigured(f"The range is empty: {_text(order.from_ms)} is not before {_text(order.to_ms)}.")
    faults: list[str] = []
    plan: list[_Planned] = []
    for series in order.series:
        found = await _plan_of(reader, calendar, order, series, place)
        if isinstance(found, str):
            faults.append(found)
        else:
            plan.append(found)
    if faults:
        raise Misconfigured("\n".join(faults))
    return plan


async def _plan_of(
    reader: StoredHistory, calendar: Calendar, order: ExportOrder, series: Key, place: str
) -> _Planned | str:
    """Or the sentence why there is nothing to export."""
    symbol, interval = series.symbol, series.interval
    span = await (reader.trade_span(symbol) if interval is None else reader.span(symbol, interval))
    if span is None:
        what = "trades" if interval is None else f"{interval} candles"
        return f"There are no {what} of {symbol} in PostgreSQL at {place}."
    first, until = span[0], span[1] + 1
    if interval is not None:
        until = calendar.next_open_ms(interval, span[1])
        asked_first = order.retention.begin_ms("kline", first if order.from_ms is None else order.from_ms)
        asked_until = until if order.to_ms is None else order.to_ms
        there = await reader.klines(symbol, interval, asked_first, asked_until, 1)
        if there:
            due_ms = KlineGrid(calendar, interval).first_open(asked_first, there[0].open_ms)
            return _Planned(series, due_ms, asked_until)
        return _nothing(series, f"candles open from {_text(first)} to {_text(span[1])}")
    # A range of time becomes a range of ids, so that neighbouring exports share no trade and lack none.
    begin_ms = order.retention.begin_ms("trade", order.from_ms or 0)
    if begin_ms:
        first = await _first_id(reader, symbol, begin_ms, until)
    if order.to_ms is not None:
        until = await _first_id(reader, symbol, order.to_ms, until)
    if first < until:
        return _Planned(series, first, until)
    ends = [*await reader.trades_by_id(symbol, *span, 1), *await reader.trades_by_id(symbol, span[1], span[1], 1)]
    return _nothing(series, f"trades were made from {' to '.join(_text(trade.time_ms) for trade in ends)}")


async def _first_id(reader: StoredHistory, symbol: str, time_ms: int, otherwise: int) -> int:
    found = await reader.trades(symbol, time_ms, LATEST_MS + 1, 1)
    return found[0].trade_id if found else otherwise


def _nothing(series: Key, stored: str) -> str:
    return f"Of {series.label} there is no row in that range; stored {stored}."


def _layout(order: ExportOrder, folder: Path, calendar: Calendar) -> Layout:
    # Not imported before: pyarrow costs every command a fifth of a second.
    if order.program == "freqtrade":
        from data_collector.history.programs.freqtrade import FreqtradeLayout  # noqa: PLC0415

        return FreqtradeLayout(folder, order.pairs)
    if order.program == "nautilus":
        from data_collector.history.programs.nautilus import NautilusLayout  # noqa: PLC0415

        return NautilusLayout(folder, order.exchange, order.pairs, calendar)
    from data_collector.history.export_tables import PlainLayout  # noqa: PLC0415

    stated = {"made_by": order.made_by, "exchange": order.exchange}
    return PlainLayout(folder, order.form, order.decimals, stated, with_origin=order.with_origin)


async def _filled(
    reader: StoredHistory, calendar: Calendar, order: ExportOrder, planned: _Planned, layout: Layout, tell: Tell
) -> _Written:
    table = layout.open(planned.series)
    try:
        return await _write(reader, calendar, order.now_ms, planned, table, tell)
    finally:
        table.close()


async def _described(
    reader: StoredHistory, order: ExportOrder, written: _Written, folder: Path, path: Path
) -> ExportedFile:  # fmt: skip
    series = written.series
    shown: Callable[[int], str | int] = int if series.channel == "trade" else _text
    oldest_ms = order.retention.oldest_ms(series.channel)
    name, size, digest = await asyncio.to_thread(_sealed, folder, path)
    return ExportedFile(
        file=name,
        symbol=series.symbol,
        channel=series.channel,
        interval=series.interval,
        epoch=await reader.epoch_of(series.symbol) if series.channel == "trade" else None,
        rows=written.rows,
        first=shown(written.first),
        last=shown(written.last),
        kept_from=None if oldest_ms is None else _text(oldest_ms),
        bytes=size,
        sha256=digest,
        gaps=[
            ExportedHole(shown(each.first), shown(each.last), each.count, each.reason) for each in written.holes.found
        ],
        gaps_left_out=written.holes.left_out,
    )


def _sealed(folder: Path, path: Path) -> tuple[str, int, str]:
    """Name within the folder, bytes and SHA-256."""
    with path.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    return path.relative_to(folder).as_posix(), path.stat().st_size, digest


class _Written(Struct):
    """What came into a file."""

    series: Key
    holes: Holes
    rows: int
    first: int
    last: int


async def _write(
    reader: StoredHistory, calendar: Calendar, now_ms: int, planned: _Planned, table: Table, tell: Tell
) -> _Written:
    key = planned.series
    grid = grid_of(key, calendar)
    written = _Written(key, Holes(grid, await reader.gaps(key), planned.first), 0, -1, planned.first - 1)
    while page := await _page(reader, planned, written.last + 1):
        records: list[Kline | Trade] = [row.record for row in page]
        numbers = [row.open_ms if isinstance(row, Kline) else row.trade_id for row in records]
        for number in numbers:
            written.holes.take(number)
        await asyncio.to_thread(table.add, page)
        written.first = written.first if written.rows else numbers[0]
        written.rows, written.last = written.rows + len(page), numbers[-1]
        if len(page) == PAGE_ROWS:
            tell(key, _share(planned, written.last), written.rows)
    until = planned.until
    if isinstance(grid, KlineGrid):
        assert written.rows, "the plan has seen a candle"
        until = grid.end_of_closed(written.holes.due, until, now_ms)
    written.holes.end(until)
    tell(key, 1.0, written.rows)
    return written


async def _page(reader: StoredHistory, planned: _Planned, first: int) -> Rows:
    key = planned.series
    if key.channel == "trade":
        return await reader.sourced_trades_by_id(key.symbol, first, planned.until - 1, PAGE_ROWS)
    return await reader.sourced_klines(key.symbol, key.kline_interval, first, planned.until, PAGE_ROWS)


def _share(planned: _Planned, reached: int) -> float:
    return (reached - planned.first) / (planned.until - planned.first)


def _check_folder(order: ExportOrder) -> None:
    folder = order.folder
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / MANIFEST).is_file():
        raise Misconfigured(f"{folder} holds something that is no export; name another folder.")
    if not order.replace:
        raise Misconfigured(f"{folder} holds an export already; --overwrite replaces it.")


def _put_in_place(partial: Path, folder: Path) -> None:
    old = folder.with_name(f".{folder.name}.old")
    _clear(old)
    if folder.exists():
        folder.rename(old)
    partial.rename(folder)
    _clear(old)


def _clear(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def _text(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="seconds" if time_ms % 1000 == 0 else "auto")
