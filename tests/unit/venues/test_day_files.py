"""Rows of the exchange's daily files."""

from __future__ import annotations

import io
import zipfile
from datetime import date

import pytest

from data_collector.model.errors import VenueUnreachable
from data_collector.model.records import Trade
from data_collector.venues.binance.day_files import trades_in

DAY = date(2024, 1, 31)
NAME = "BTCUSDT-trades-2024-01-31.csv"


def archive(content: str, name: str = NAME) -> io.BytesIO:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as made:
        made.writestr(name, content)
    return packed


def read(content: str) -> list[Trade]:
    return list(trades_in(archive(content), "BTCUSDT", DAY))


def test_row_keeps_its_digits() -> None:
    (found,) = read("3373457461,42283.58000000,0.00098000,41.43790840,1706659200001,True,True\n")

    expected = Trade(
        "BTCUSDT", 3373457461, "42283.58000000", "0.00098000", 1706659200001, 1706659200001, is_buyer_maker=True
    )
    assert found == expected


def test_microseconds_of_newer_files_are_known_by_their_size() -> None:
    (found,) = read("1,4.15070000,1.0,4.1,1735689600000123,False,True\n")

    assert (found.time_ms, found.sub_ms_us, found.is_buyer_maker) == (1735689600000, 123, False)


@pytest.mark.parametrize(
    "row",
    [
        "",
        "id,price,qty,quote_qty,time,is_buyer_maker,is_best_match",
        "1,1.0,1.0",
        "1,1.0,1.0,1.0,x,True,True",
        "\xff,1,1,1,1,True,True",
    ],
)
def test_row_that_is_no_trade_is_a_fault_with_its_line(row: str) -> None:
    with pytest.raises(VenueUnreachable, match=f"line 2 of {NAME} is no trade"):
        read(f"1,1.0,1.0,1.0,1706659200001,True,True\n{row}\n")


def test_archive_of_something_else_is_a_fault() -> None:
    with pytest.raises(VenueUnreachable, match="is no archive of"):
        list(trades_in(archive("", "other.csv"), "BTCUSDT", DAY))
    with pytest.raises(VenueUnreachable, match="is no archive of"):
        list(trades_in(io.BytesIO(b"<html>"), "BTCUSDT", DAY))


def test_line_without_an_end_takes_no_memory() -> None:
    with pytest.raises(VenueUnreachable, match="line 1 of"):
        read("1" * 1_000_000)
