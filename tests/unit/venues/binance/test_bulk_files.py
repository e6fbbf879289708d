"""Published files: what is read of good ones, and why a damaged one is refused."""

from __future__ import annotations

import errno
import io
import random
import struct
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec import structs

from data_collector.model.errors import BadFile, Misconfigured, NotPublished
from data_collector.model.keys import Key
from data_collector.model.records import Kline, Trade
from data_collector.venues.binance.bulk_archive import BLOCK_BYTES
from data_collector.venues.binance.bulk_files import BinanceBulkFiles
from data_collector.venues.binance.bulk_names import day_file, month_file
from data_collector.venues.binance.bulk_rows import kline_rows
from tests.bulk_archives import csv_name, laid_out, published, with_checksum, zipped
from tests.integration.day_file_server import serving

DAY = datetime(2024, 1, 31, tzinfo=UTC)
DAY_MS = 1_706_659_200_000
MINUTE_MS = 60_000
KLINES = day_file(Key("kline", "BTCUSDT", "1m"), DAY)
TRADES = day_file(Key("trade", "BTCUSDT"), DAY)

Files = dict[str, bytes]


def kline_row(number: int, *, step_ms: int = MINUTE_MS, first_ms: int = DAY_MS, unit: int = 1) -> str:
    open_ms = first_ms + number * step_ms
    closed = (open_ms + step_ms) * unit - 1
    return f"{open_ms * unit},42283.58000000,42290.00,42280.1,42281.50,12.5,{closed},528500.1,321,6.20,262100.3,0\n"


def trade_row(number: int, *, time: int = DAY_MS + 1) -> str:
    return f"{3_373_457_461 + number},42283.58000000,0.00098000,41.43790840,{time},True,True\n"


HOUR = "".join(kline_row(number) for number in range(60))
TEN = "".join(trade_row(number) for number in range(10))


async def klines(folder: Path, files: Files) -> list[Kline]:
    reader = BinanceBulkFiles(str(laid_out(folder, files)))
    return [each async for chunk in reader.klines(KLINES) for each in chunk]


async def trades(folder: Path, files: Files) -> list[Trade]:
    reader = BinanceBulkFiles(str(laid_out(folder, files)))
    return [each async for chunk in reader.trades(TRADES) for each in chunk]


async def test_candle_keeps_its_digits(tmp_path: Path) -> None:
    found = await klines(tmp_path, published(KLINES, kline_row(7)))

    open_ms = DAY_MS + 7 * MINUTE_MS
    assert found == [
        Kline(
            "BTCUSDT", "1m", open_ms, open_ms + MINUTE_MS - 1, open="42283.58000000", high="42290.00", low="42280.1",
            close="42281.50", volume="12.5", quote_volume="528500.1", taker_buy_base_volume="6.20",
            taker_buy_quote_volume="262100.3", trades=321, is_closed=True, event_ms=open_ms + MINUTE_MS,
        )
    ]  # fmt: skip


async def test_trade_keeps_its_digits(tmp_path: Path) -> None:
    (found,) = await trades(tmp_path, published(TRADES, trade_row(0)))

    assert found == Trade(
        "BTCUSDT", 3_373_457_461, "42283.58000000", "0.00098000", DAY_MS + 1, DAY_MS + 1, is_buyer_maker=True
    )


async def test_microseconds_are_known_by_their_size(tmp_path: Path) -> None:
    in_ms = await klines(tmp_path / "ms", published(KLINES, HOUR))

    in_us = await klines(tmp_path / "us", published(KLINES, "".join(kline_row(at, unit=1000) for at in range(60))))
    (trade,) = await trades(tmp_path, published(TRADES, trade_row(0, time=DAY_MS * 1000 + 1_234)))

    assert in_us == in_ms
    assert (trade.time_ms, trade.sub_ms_us) == (DAY_MS + 1, 234)


FUTURES = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)
"""What files of futures begin with."""


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
async def test_file_of_futures_is_known_by_the_names_of_its_columns(tmp_path: Path, ending: str) -> None:
    files = published(KLINES, f"{FUTURES}\n{HOUR}".replace("\n", ending))

    with pytest.raises(BadFile, match=r"BTCUSDT-1m-2024-01-31.zip, line 1: it names its columns, as files of futures"):
        await klines(tmp_path, files)


async def test_file_of_futures_is_known_by_milliseconds_in_2025(tmp_path: Path) -> None:
    """Both kinds, where somebody cut the names of the columns off."""
    day = datetime(2025, 1, 1, tzinfo=UTC)
    day_ms = int(day.timestamp()) * 1000
    of_klines, of_trades = day_file(KLINES.key, day), day_file(TRADES.key, day)
    reader = BinanceBulkFiles(str(tmp_path))
    laid_out(tmp_path, published(of_klines, kline_row(0, first_ms=day_ms)))
    laid_out(tmp_path, published(of_trades, trade_row(0, time=day_ms)))

    with pytest.raises(BadFile, match=r"BTCUSDT-1m-2025-01-01.zip, line 1: .* milliseconds, as files of futures"):
        await anext(reader.klines(of_klines))
    with pytest.raises(BadFile, match=r"BTCUSDT-trades-2025-01-01.zip, line 1: .* milliseconds, as files of futures"):
        await anext(reader.trades(of_trades))


async def test_last_line_needs_no_end(tmp_path: Path) -> None:
    assert len(await trades(tmp_path, published(TRADES, TEN.rstrip("\n")))) == 10


async def test_files_may_lie_in_one_folder(tmp_path: Path) -> None:
    flat = {path.rpartition("/")[2]: content for path, content in published(TRADES, TEN).items()}

    assert len(await trades(tmp_path, flat)) == 10


async def test_large_file_comes_in_chunks_and_whole(tmp_path: Path) -> None:
    count = 20_000
    csv = "".join(trade_row(number) for number in range(count))
    reader = BinanceBulkFiles(str(laid_out(tmp_path, published(TRADES, csv))))

    chunks = [chunk async for chunk in reader.trades(TRADES)]

    assert len(chunks) > 1
    assert max(map(len, chunks)) <= BLOCK_BYTES // len(trade_row(0)) + 1
    assert [trade.trade_id for chunk in chunks for trade in chunk] == [3_373_457_461 + at for at in range(count)]


async def test_week_that_begins_in_the_month_before_is_taken(tmp_path: Path) -> None:
    week_ms = 7 * 86_400_000
    file = month_file(Key("kline", "BTCUSDT", "1w"), datetime(2024, 2, 1, tzinfo=UTC))
    monday_ms = DAY_MS - 2 * 86_400_000
    csv = "".join(kline_row(at, step_ms=week_ms, first_ms=monday_ms) for at in range(4))

    chunks = [each async for each in BinanceBulkFiles(str(laid_out(tmp_path, published(file, csv)))).klines(file)]

    assert [kline.open_ms for chunk in chunks for kline in chunk] == [monday_ms + at * week_ms for at in range(4)]


async def test_rows_that_are_no_whole_candle_refuse_no_file(tmp_path: Path) -> None:
    """The exchange's own files of 2017 and 2018: one ends early, others open off the grid."""
    early = kline_row(3).replace(str(DAY_MS + 4 * MINUTE_MS - 1), str(DAY_MS + 3 * MINUTE_MS + 28_788))
    shifted = kline_row(9, first_ms=DAY_MS + 13_000)

    found = await klines(tmp_path, archive(kline_row(2) + early + shifted + kline_row(11)))
    alone = await klines(tmp_path, archive(early))

    assert [(row.open_ms - DAY_MS, row.close_ms + 1 - row.open_ms) for row in found] == [
        (2 * MINUTE_MS, MINUTE_MS), (3 * MINUTE_MS, 28_789), (9 * MINUTE_MS + 13_000, MINUTE_MS),
        (11 * MINUTE_MS, MINUTE_MS),
    ]  # fmt: skip
    assert len(alone) == 1


NAMED = day_file(Key("kline", "币安人生USDT", "1m"), DAY)


def named(*, marked: bool) -> Files:
    """A file of a symbol outside ASCII, whose archive says or does not say that the name in it is UTF-8."""
    packed = bytearray(zipped((csv_name(NAMED), HOUR)))
    for place in (6, packed.rindex(b"PK\x01\x02") + 8):
        flags = struct.unpack_from("<H", packed, place)[0]
        struct.pack_into("<H", packed, place, flags | 0x800 if marked else flags & ~0x800)
    return with_checksum(NAMED, bytes(packed))


@pytest.mark.parametrize("marked", [True, False], ids=["marked as UTF-8", "without a mark"])
async def test_name_outside_ascii_is_read_in_path_checksum_and_archive(tmp_path: Path, *, marked: bool) -> None:
    """`.CHECKSUM` of 币安人生USDT in UTF-8, from a folder and from a site."""
    async with serving({f"/{path}": content for path, content in named(marked=marked).items()}) as site:
        for place in (str(laid_out(tmp_path, named(marked=marked))), site):
            found = [each async for chunk in BinanceBulkFiles(place).klines(NAMED) for each in chunk]

            assert (len(found), found[0].symbol) == (60, "币安人生USDT")


async def test_file_that_is_not_there_is_not_published(tmp_path: Path) -> None:
    with pytest.raises(NotPublished, match="BTCUSDT-trades-2024-01-31"):
        await trades(tmp_path, {})


def good() -> Files:
    return published(KLINES, HOUR)


def archive(csv: str | bytes, name: str = csv_name(KLINES)) -> Files:
    return with_checksum(KLINES, zipped((name, csv)))


def changed(line: int, row: str) -> Files:
    """The hour with another line."""
    rows = HOUR.splitlines(keepends=True)
    rows[line - 1] = row
    return published(KLINES, "".join(rows))


def bomb() -> Files:
    return with_checksum(KLINES, zipped((csv_name(KLINES), b"0" * 50_000_000)))


def encrypted() -> Files:
    packed = bytearray(good()[KLINES.path])
    directory = packed.rindex(b"PK\x01\x02")
    flags = struct.unpack_from("<H", packed, directory + 8)[0]
    struct.pack_into("<H", packed, directory + 8, flags | 1)
    return with_checksum(KLINES, bytes(packed))


def bad_inside() -> Files:
    packed = bytearray(good()[KLINES.path])
    middle = len(packed) // 2
    packed[middle : middle + 8] = b"\xff" * 8
    return with_checksum(KLINES, bytes(packed))


DAMAGED: dict[str, tuple[Callable[[], Files], str, str]] = {
    "other bytes than the checksum's": (
        lambda: good() | {KLINES.path: good()[KLINES.path] + b"x"}, "checksum", "does not match its checksum"),
    "no checksum": (lambda: {KLINES.path: good()[KLINES.path]}, "no_checksum", "there is no .*CHECKSUM beside it"),
    "checksum that is none": (
        lambda: good() | {f"{KLINES.path}.CHECKSUM": b"<html>"}, "checksum", "is no checksum"),
    "checksum of another file": (
        lambda: good() | {f"{KLINES.path}.CHECKSUM": b"0" * 64 + b"  other.zip"}, "checksum", "is of 'other.zip'"),
    "archive cut short": (
        lambda: with_checksum(KLINES, good()[KLINES.path][:300]), "cut_short", "is cut short"),
    "archive with other bits inside": (bad_inside, "cut_short", "its zip archive is damaged"),
    "no zip": (lambda: with_checksum(KLINES, HOUR.encode()), "not_zip", "it is no zip archive"),
    "web page": (lambda: with_checksum(KLINES, b"<html>404</html>"), "web_page", "a web page instead"),
    "nothing at all": (lambda: with_checksum(KLINES, b""), "empty", "it is empty"),
    "no row": (lambda: archive(""), "empty", "it holds no row"),
    "two files inside": (
        lambda: with_checksum(KLINES, zipped(("a.csv", ""), ("b.csv", ""))), "member", "it holds 2 files instead of"),
    "no file inside": (lambda: with_checksum(KLINES, zipped()), "member", "it holds 0 files"),
    "path inside that leads out": (
        lambda: archive(HOUR, f"../../{csv_name(KLINES)}"), "member", "it holds '../../BTCUSDT"),
    "other symbol": (
        lambda: archive(HOUR, "ETHUSDT-1m-2024-01-31.csv"), "symbol", "which is of another symbol"),
    "other interval by name": (
        lambda: archive(HOUR, "BTCUSDT-5m-2024-01-31.csv"), "series", "which is no file of 1m"),
    "other day by name": (
        lambda: archive(HOUR, "BTCUSDT-1m-2024-01-30.csv"), "period", "which is of another time"),
    "bomb": (bomb, "too_large", "it would grow from .* to 50,000,000 bytes"),
    "other packing": (
        lambda: with_checksum(KLINES, zipped((csv_name(KLINES), HOUR), method=zipfile.ZIP_BZIP2)), "unreadable",
        "packed by method 12"),
    "password": (encrypted, "unreadable", "it is encrypted"),
    "other interval by its rows": (
        lambda: archive("".join(kline_row(at, step_ms=300_000) for at in range(9))), "interval",
        r"line 1: 2024-01-31 00:00:00.000 to 2024-01-31 00:04:59.999 is no candle of 1m"),
    "column too few": (lambda: changed(17, "1,2,3\n"), "columns", "line 17: 3 columns instead of 12"),
    "column too many": (lambda: changed(17, kline_row(16).replace("\n", ",1\n")), "columns", "line 17: 13 columns"),
    "line without an end": (lambda: archive("1" * 70_000), "columns", "line 1: it is longer than 512 bytes"),
    "word for a number": (
        lambda: changed(9, kline_row(8).replace("42290.00", "NaN")), "number",
        "line 9: column 3 is 'NaN', which is no decimal number"),
    "number larger than any database's": (
        lambda: changed(9, kline_row(8).replace(",321,", f",{2**63},")), "number",
        "line 9: column 9 is '9223372036854775808', which is no whole number"),
    "number with an exponent": (
        lambda: changed(9, kline_row(8).replace("12.5", "1e5")), "number", "line 9: column 6 is '1e5'"),
    "names of columns in the middle": (
        lambda: changed(2, ",".join(["name"] * 12) + "\n"), "number", "line 2: column 1 is 'name'"),
    "backward": (
        lambda: archive(kline_row(1) + kline_row(0)), "order", "line 2: the candle of 2024-01-31 00:00:00.000 comes"),
    "row twice": (lambda: changed(5, kline_row(3)), "order", "line 5: the candle of 2024-01-31 00:03:00.000 comes"),
    "other day by its rows": (
        lambda: archive(kline_row(0, first_ms=DAY_MS + 86_400_000)), "period",
        "line 1: 2024-02-01 00:00:00.000 lies outside of 2024-01-31 00:00:00.000 to 2024-02-01 00:00:00.000"),
    "time in nanoseconds": (lambda: archive(kline_row(0, unit=10**6)), "period", "line 1: time .* lies outside of"),
    "time in seconds": (
        lambda: archive(kline_row(0).replace("1706659200000", "1706659200")), "period", "line 1: 1970-01-20"),
    "other alphabet": (lambda: archive(HOUR.encode("utf-16")), "encoding", "line 1: byte 0xff is no ASCII text"),
    "other alphabet without a mark": (
        lambda: archive(HOUR.encode("utf-16-le")), "encoding", "line 1: .* is no plain text"),
    "accent in line 3": (
        lambda: changed(3, kline_row(2).replace("12.5", "12\u00e95")), "encoding", "line 3: byte 0xc3"),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGED)
async def test_damaged_file_is_refused_with_a_sentence_that_names_it(tmp_path: Path, kind: str) -> None:
    make, reason, sentence = DAMAGED[kind]

    with pytest.raises(BadFile, match=sentence) as caught:
        await klines(tmp_path, make())

    assert caught.value.reason == reason
    assert str(caught.value).startswith("BTCUSDT-1m-2024-01-31.zip")


DISORDERED = {
    "twice": (TEN + trade_row(9), "order", "line 11: trade 3373457470 is there twice"),
    "backward": (TEN + trade_row(3), "order", "line 11: trade 3373457464 comes after 3373457470"),
    "another day": (TEN + trade_row(10, time=DAY_MS - 1), "period", "line 11: 2024-01-30 23:59:59.999 lies outside"),
    "id larger than any database's": (
        f"{2**63}{trade_row(0)[10:]}",
        "number",
        "line 1: column 1 is '9223372036854775808', which is no whole",
    ),
    "neither true nor false": (TEN.replace("True,True", "1,True"), "number", "column 6 is '1', which is no True or"),
    "futures": (TEN.replace(",True\n", "\n"), "columns", "line 1: 6 columns instead of 7"),
}


@pytest.mark.parametrize("kind", DISORDERED)
async def test_trades_that_cannot_be_are_refused(tmp_path: Path, kind: str) -> None:
    csv, reason, sentence = DISORDERED[kind]

    with pytest.raises(BadFile, match=sentence) as caught:
        await trades(tmp_path, published(TRADES, csv))

    assert caught.value.reason == reason


async def test_bomb_of_trades_is_known_before_it_is_unpacked(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="which no file of trades does"):
        await trades(tmp_path, published(TRADES, b"0" * 5_000_000))


async def test_contents_that_list_millions_of_files_are_not_read(tmp_path: Path) -> None:
    packed = zipped((csv_name(KLINES), HOUR))
    start = packed.rindex(b"PK\x01\x02")
    end = packed.rindex(b"PK\x05\x06")
    listed = packed[start:end] * 20_000
    closing = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 20_000, 20_000, len(listed), start, 0)
    reader = BinanceBulkFiles(str(laid_out(tmp_path, with_checksum(KLINES, packed[:start] + listed + closing))))

    with pytest.raises(BadFile, match="lists more than one file"):
        await anext(reader.klines(KLINES))


async def test_nothing_of_a_file_is_delivered_when_its_end_is_bad(tmp_path: Path) -> None:
    csv = "".join(trade_row(number) for number in range(20_000)) + "nonsense\n"
    reader = BinanceBulkFiles(str(laid_out(tmp_path, published(TRADES, csv))))

    with pytest.raises(BadFile, match="line 20001: 1 column instead of 7"):
        await anext(reader.trades(TRADES))


class Full(io.BytesIO):
    """A disk without room."""

    def write(self, _: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


async def test_disk_without_room_is_told(tmp_path: Path) -> None:
    reader = BinanceBulkFiles(str(laid_out(tmp_path, good())))

    with pytest.raises(Misconfigured, match=r"cannot take BTCUSDT-1m-2024-01-31.zip \(No space left"):
        await reader.fetch(KLINES, Full())


def test_archive_with_any_byte_changed_is_read_or_refused() -> None:
    packed, generator = good()[KLINES.path], random.Random(5)
    rows, refused = [*kline_rows(io.BytesIO(packed), KLINES)], 0

    for _ in range(1_000):
        changed_one = bytearray(packed)
        changed_one[generator.randrange(len(packed))] = generator.randrange(256)
        try:
            assert [*kline_rows(io.BytesIO(changed_one), KLINES)] == rows
        except BadFile:
            refused += 1

    assert refused > 500


async def test_recorded_file_is_read_and_its_microsecond_form_is_the_same(recordings: Path, tmp_path: Path) -> None:
    rows = (recordings / "nautilus_trader" / "ADABTC-1m-2021-11-27.csv").read_text()
    file = day_file(Key("kline", "ADABTC", "1m"), datetime(2021, 11, 27, tzinfo=UTC))
    reader = BinanceBulkFiles(str(laid_out(tmp_path / "ms", published(file, rows))))

    recorded = [each async for chunk in reader.klines(file) for each in chunk]

    assert [kline.open_ms for kline in recorded] == [1_637_971_200_000 + at * MINUTE_MS for at in range(10)]
    assert recorded[0] == structs.replace(
        recorded[0], open="0.00002853", high="0.00002854", low="0.00002851", close="0.00002854",
        volume="36304.20000000", quote_volume="1.03547608", trades=79, taker_buy_base_volume="19523.00000000",
        taker_buy_quote_volume="0.55694227",
    )  # fmt: skip
    # The exchange has changed its unit later: built from its documentation.
    fields = [line.split(",") for line in rows.split()]
    in_us = "".join(",".join([f"{row[0]}000", *row[1:6], f"{row[6]}999", *row[7:]]) + "\n" for row in fields)
    other = BinanceBulkFiles(str(laid_out(tmp_path / "us", published(file, in_us))))
    assert [each async for chunk in other.klines(file) for each in chunk] == recorded
