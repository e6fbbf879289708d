"""Where series begin and end, read from published files alone."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from data_collector.history.bounds import FileBounds, RestBounds
from data_collector.model.calendar import DAY_MS, UtcCalendar
from data_collector.model.errors import Unavailable, VenueUnreachable
from data_collector.model.keys import Key
from data_collector.model.venue import KlinePage
from data_collector.venues.binance.bulk_files import BinanceBulkFiles
from data_collector.venues.binance.bulk_names import day_file, month_file
from tests.bulk_archives import laid_out, published, with_checksum
from tests.market import SYMBOL, kline
from tests.unit.pipeline.repair_scene import ScriptedRest

JANUARY = datetime(2024, 1, 1, tzinfo=UTC)
JANUARY_MS = int(JANUARY.timestamp()) * 1000
MONDAY_MS = JANUARY_MS + 7 * DAY_MS


def trades(day: int, first_id: int, last_id: int) -> dict[str, bytes]:
    """The file of a day of January with a trade each hour."""
    began_ms = JANUARY_MS + (day - 1) * DAY_MS
    rows = [
        f"{number},1.5,2,3,{began_ms + (number - first_id) * 3_600_000},True,True"
        for number in range(first_id, last_id + 1)
    ]
    return published(day_file(Key("trade", SYMBOL), JANUARY.replace(day=day)), "\n".join([*rows, ""]))


def bounds(folder: Path, *files: dict[str, bytes]) -> FileBounds:
    content = {path: text for each in files for path, text in each.items()}
    return FileBounds(BinanceBulkFiles(str(laid_out(folder, content))), UtcCalendar())


async def test_ids_are_those_of_the_outermost_files_that_can_be_read(tmp_path: Path) -> None:
    damaged = with_checksum(day_file(Key("trade", SYMBOL), JANUARY.replace(day=9)), b"no archive")
    reading = bounds(tmp_path, trades(3, 100, 109), trades(5, 200, 209), damaged)

    whole = await reading.trade_ids(SYMBOL, JANUARY_MS, JANUARY_MS + 31 * DAY_MS, JANUARY_MS + 60 * DAY_MS)
    part_ms = JANUARY_MS + 2 * DAY_MS + 3 * 3_600_000
    part = await reading.trade_ids(SYMBOL, part_ms, part_ms + 2 * 3_600_000, JANUARY_MS + 60 * DAY_MS)

    assert whole == (100, 209)
    assert part == (103, 104)


async def test_weeks_open_where_the_first_file_that_is_there_says(tmp_path: Path) -> None:
    row = f"{MONDAY_MS},1,2,1,2,5,{MONDAY_MS + 7 * DAY_MS - 1},9,3,2,4,0\n"
    reading = bounds(tmp_path, published(month_file(Key("kline", SYMBOL, "1w"), JANUARY), row))

    found = await reading.open_time(SYMBOL, "1w", JANUARY_MS - 90 * DAY_MS, JANUARY_MS + 60 * DAY_MS)

    assert found == MONDAY_MS


async def test_time_without_a_file_is_told(tmp_path: Path) -> None:
    reading = bounds(tmp_path, trades(3, 100, 109))

    with pytest.raises(Unavailable, match="No published file of BTCUSDT trades in this time"):
        await reading.trade_ids(SYMBOL, JANUARY_MS + 9 * DAY_MS, JANUARY_MS + 11 * DAY_MS, JANUARY_MS + 60 * DAY_MS)
    with pytest.raises(Unavailable, match=r"No published file of BTCUSDT 3d .* when its candles open"):
        await reading.open_time(SYMBOL, "3d", JANUARY_MS, JANUARY_MS + 11 * DAY_MS)


async def test_newest_trade_that_is_not_told_makes_no_time_empty() -> None:
    """A trade was told since the time, and no newest one: a plan of nothing would be a false proof."""
    rest = ScriptedRest([])
    rest.first_id = 5

    with pytest.raises(VenueUnreachable, match="trade 5 of BTCUSDT"):
        await RestBounds(rest, UtcCalendar()).trade_ids(SYMBOL, JANUARY_MS, JANUARY_MS + DAY_MS, JANUARY_MS + DAY_MS)


class OldWeeks(ScriptedRest):
    """Its newest week is long over."""

    async def klines(
        self, symbol: str, interval: str, first_ms: int, last_ms: int, *, urgent: bool = False
    ) -> KlinePage:
        week = kline(interval="1w", open_ms=MONDAY_MS, close_ms=MONDAY_MS + 7 * DAY_MS - 1)
        rows = [week] if first_ms <= MONDAY_MS <= last_ms else []
        return KlinePage(rows, MONDAY_MS, MONDAY_MS) if rows else KlinePage([], first_ms, first_ms - 1)


async def test_weeks_before_the_time_tell_the_grid_too() -> None:
    """Else an answer without a row would make a plan of nothing, as if nothing were missing."""
    bounds_of_rest = RestBounds(OldWeeks([]), UtcCalendar())

    found = await bounds_of_rest.open_time(SYMBOL, "1w", MONDAY_MS + 30 * DAY_MS, MONDAY_MS + 60 * DAY_MS)

    assert found == MONDAY_MS
