"""The rows of Binance's published files as records, each one checked against the file that it stands in. Pure.

Columns (https://github.com/binance/binance-public-data), without a line of their names:

- klines: `1706659200000,42283.58,42284.00,42280.10,42281.50,12.5,1706659259999,528500.1,321,6.2,262100.3,0`
- trades: `3373457461,42283.58000000,0.00098000,41.43790840,1706659200001,True,True`

Times are milliseconds before 2025 and microseconds from 2025 on. Files of futures have the same columns and names: what
they alone have (names of columns, milliseconds in 2025) tells them apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import BinaryIO

from data_collector.model.calendar import LENGTHS_MS
from data_collector.model.errors import BadFile, BadFileReason
from data_collector.model.published import BulkFile
from data_collector.model.records import Kline, Trade
from data_collector.venues.binance.bulk_archive import lines_of
from data_collector.venues.binance.bulk_names import CALENDAR, name_of_series

MICROSECONDS_FROM = 10**15
"""A number this large is a time in microseconds."""

MICROSECONDS_SINCE_MS = 1_735_689_600_000
"""2025-01-01: files of this time and later have no others."""

WEEK_MS = 7 * 86_400_000
"""No candle but that of a month is longer."""

_TIME = r"(\d{1,19})"
_WHOLE = r"(\d{1,18})"
_DECIMAL = r"(\d{1,30}(?:\.\d{1,30})?)"
_TRUTH = r"([Tt]rue|[Ff]alse)"
_UNUSED = "[^,]{0,40}"
_TRADE_COLUMNS = (_WHOLE, _DECIMAL, _DECIMAL, _DECIMAL, _TIME, _TRUTH, _TRUTH)
_KLINE_COLUMNS = (
    _TIME, _DECIMAL, _DECIMAL, _DECIMAL, _DECIMAL, _DECIMAL, _TIME, _DECIMAL, _WHOLE, _DECIMAL, _DECIMAL, _UNUSED
)  # fmt: skip
_TRADE_ROW = re.compile(",".join(_TRADE_COLUMNS) + "\r?")
_KLINE_ROW = re.compile(",".join(_KLINE_COLUMNS) + "\r?")

_HEADER = re.compile(r"[A-Za-z][\w ]*(?:,[A-Za-z][\w ]*)+\r?", re.ASCII)
"""Files of futures begin with such a line, and those of spot never did."""

_NOT_SPOT = "as files of futures have: those of spot lie under data/spot"

_SHOWN_MAX = 60


def kline_rows(archive: BinaryIO, file: BulkFile) -> Iterator[list[Kline]]:
    """Chunks of some thousand klines, read as they are asked for. Raises `BadFile`.

    Rows that are no whole kline come too, but not where all of a file is like that and looks like another interval.
    """
    interval, symbol, is_empty = file.key.kline_interval, file.key.symbol, True
    step_of, due_ms, foreign, has_whole = CALENDAR.next_open_ms, 0, None, False
    in_microseconds = file.first_ms >= MICROSECONDS_SINCE_MS
    for first, lines in lines_of(archive, file):
        found: list[Kline] = []
        for number, line in enumerate(lines, start=first):
            match = _KLINE_ROW.fullmatch(line)
            if match is None:
                raise _bad_row(file, number, line, _KLINE_COLUMNS)
            opened, high_open, high, low, close, volume, closed, quote, count, bought, bought_quote = match.groups()
            if in_microseconds and int(opened) < MICROSECONDS_FROM:
                raise _other_product(file, number)
            open_ms, close_ms = _ms(opened), _ms(closed)
            if not file.first_ms <= open_ms < file.until_ms:
                _check_period(file, number, open_ms)
            next_ms = step_of(interval, open_ms)
            if close_ms == next_ms - 1 and CALENDAR.is_open_time(interval, open_ms):
                if open_ms < due_ms:
                    raise _disordered_kline(file, number, open_ms, due_ms)
                due_ms, has_whole = next_ms, True
            elif foreign is None and close_ms - open_ms + 1 in LENGTHS_MS.values():
                foreign = number, f"{_time(open_ms)} to {_time(close_ms)}"
            found.append(
                Kline(
                    symbol, interval, open_ms, close_ms, high_open, high, low, close, volume, quote, bought,
                    bought_quote, int(count), is_closed=True, event_ms=next_ms,
                )
            )  # fmt: skip
        if found:
            is_empty = False
            yield found
    _check_filled(file, is_empty=is_empty)
    if foreign is not None and not has_whole:
        fault = f"{foreign[1]} is no candle of {name_of_series(file.key)}, and neither is any other row"
        raise BadFile(file.name, fault, reason="interval", line=foreign[0])


def trade_rows(archive: BinaryIO, file: BulkFile, *, repeats: bool = False) -> Iterator[list[Trade]]:
    """Chunks of some thousand trades, read as they are asked for. Raises `BadFile`.

    `repeats` lets an id come twice in a row, for who looks at such lines itself.
    """
    symbol, first_ms, until_ms, is_empty = file.key.symbol, file.first_ms, file.until_ms, True
    least_id, surplus = 0, 0 if repeats else 1
    in_microseconds = first_ms >= MICROSECONDS_SINCE_MS
    for first, lines in lines_of(archive, file):
        found: list[Trade] = []
        for number, line in enumerate(lines, start=first):
            match = _TRADE_ROW.fullmatch(line)
            if match is None:
                raise _bad_row(file, number, line, _TRADE_COLUMNS)
            id_text, price, quantity, _, time, maker, _ = match.groups()
            trade_id, time_ms, sub_ms_us = int(id_text), int(time), None
            if time_ms >= MICROSECONDS_FROM:
                time_ms, sub_ms_us = divmod(time_ms, 1000)
            elif in_microseconds:
                raise _other_product(file, number)
            if trade_id < least_id:
                raise _disordered_trade(file, number, trade_id, least_id - surplus)
            if not first_ms <= time_ms < until_ms:
                raise _outside(file, number, time_ms)
            least_id = trade_id + surplus
            found.append(
                Trade(symbol, trade_id, price, quantity, time_ms, time_ms, maker[0] in "Tt", sub_ms_us=sub_ms_us)
            )
        if found:
            is_empty = False
            yield found
    _check_filled(file, is_empty=is_empty)


def _ms(text: str) -> int:
    stamp = int(text)
    return stamp if stamp < MICROSECONDS_FROM else stamp // 1000


def _check_period(file: BulkFile, number: int, open_ms: int) -> None:
    """What came must belong to the file's own time."""
    # A week may begin in the month before, if it reaches into this one.
    is_near = file.first_ms - WEEK_MS < open_ms < file.until_ms
    if not is_near or CALENDAR.next_open_ms(file.key.kline_interval, open_ms) <= file.first_ms:
        raise _outside(file, number, open_ms)


def _disordered_kline(file: BulkFile, number: int, open_ms: int, due_ms: int) -> BadFile:
    fault = f"the candle of {_time(open_ms)} comes after one that ends at {_time(due_ms)}"
    return BadFile(file.name, fault, reason="order", line=number)


def _disordered_trade(file: BulkFile, number: int, trade_id: int, before: int) -> BadFile:
    fault = f"trade {trade_id} is there twice" if trade_id == before else f"trade {trade_id} comes after {before}"
    return BadFile(file.name, fault, reason="order", line=number)


def _outside(file: BulkFile, number: int, time_ms: int) -> BadFile:
    fault = f"{_time(time_ms)} lies outside of {_time(file.first_ms)} to {_time(file.until_ms)}"
    return BadFile(file.name, fault, reason="period", line=number)


def _other_product(file: BulkFile, number: int) -> BadFile:
    fault = f"its time of 2025 or later is in milliseconds, {_NOT_SPOT}"
    return BadFile(file.name, fault, reason="product", line=number)


def _check_filled(file: BulkFile, *, is_empty: bool) -> None:
    if is_empty:
        raise BadFile(file.name, "it holds no row", reason="empty")


def _bad_row(file: BulkFile, number: int, line: str, columns: tuple[str, ...]) -> BadFile:
    """What is wrong with a line that has not the form."""
    if number == 1 and _HEADER.fullmatch(line):
        return BadFile(file.name, f"it names its columns, {_NOT_SPOT}", reason="product", line=number)
    fields = line.rstrip("\r").split(",")
    reason: BadFileReason = "columns"
    fault = f"{len(fields)} {'column' if len(fields) == 1 else 'columns'} instead of {len(columns)}"
    if not line.rstrip("\r").isprintable():
        reason, fault = "encoding", f"{line[:_SHOWN_MAX]!r} is no plain text"
    elif len(fields) == len(columns):
        wrong = next(at for at, form in enumerate(columns) if not re.fullmatch(form, fields[at]))
        reason = "number"
        fault = f"column {wrong + 1} is {fields[wrong][:_SHOWN_MAX]!r}, which is no {_SORTS[columns[wrong]]}"
    return BadFile(file.name, fault, reason=reason, line=number)


_SORTS = {
    _TIME: "time",
    _WHOLE: "whole number",
    _DECIMAL: "decimal number",
    _TRUTH: "True or False",
    _UNUSED: "short text",
}


def _time(time_ms: int) -> str:
    try:
        moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return f"time {time_ms}"
    return f"{moment:%Y-%m-%d %H:%M:%S}.{time_ms % 1000:03}"
