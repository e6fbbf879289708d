"""Published files: tape and candles as data.binance.vision would give them."""

from __future__ import annotations

import hashlib
import io
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from data_collector.model.calendar import DAY_MS
from data_collector.model.keys import Key
from data_collector.model.published import BulkFile
from data_collector.model.records import Kline
from data_collector.simulator.market.market import Market
from data_collector.simulator.settings import SimulatorSettings
from data_collector.venues.binance.bulk_files import BinanceBulkFiles
from data_collector.venues.binance.bulk_names import day_file, month_file
from data_collector.venues.binance.speaker.published import PublishedFiles
from tests.bulk_archives import laid_out

START_MS = 1_700_000_030_000
"""2023-11-14 22:13:50 UTC."""

PATH = "/data/spot/daily/trades/BTCUSDT/BTCUSDT-trades-2023-11-14.zip"
KLINES = "/data/spot/{0}/klines/BTCUSDT/{1}/BTCUSDT-{1}-{2}.zip"
DAYS_MS = 40 * DAY_MS


def market_of(**changes: int) -> Market:
    market = Market(SimulatorSettings(symbols=("BTCUSDT",), start_ms=START_MS, **changes), START_MS)  # type: ignore[arg-type]
    market.symbol("BTCUSDT")
    market.now_ms += DAY_MS
    return market


def test_file_has_every_trade_of_the_day_and_the_checksum_fits() -> None:
    market = market_of(trades_per_s=1, history_trades=2_000)

    files = PublishedFiles(market)
    packed, checksum = files.at(PATH), files.at(PATH + ".CHECKSUM")

    assert packed is not None
    assert checksum == f"{hashlib.sha256(packed).hexdigest()}  BTCUSDT-trades-2023-11-14.zip\n".encode()
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert archive.namelist() == ["BTCUSDT-trades-2023-11-14.csv"]
        rows = [line.split(",") for line in archive.read(archive.namelist()[0]).decode().splitlines()]
    day_ms = START_MS - START_MS % DAY_MS
    expected = [trade for trade in market.tape("BTCUSDT") if day_ms <= trade.time_ms < day_ms + DAY_MS]
    assert [(int(row[0]), row[1], row[2], int(row[4]), row[5], row[6]) for row in rows] == [
        (trade.trade_id, trade.price, trade.quantity, trade.time_ms,
         str(trade.is_buyer_maker), "True") for trade in expected
    ]  # fmt: skip


@pytest.mark.parametrize(
    "path",
    [
        PATH.replace("11-14", "11-15"),
        PATH.replace("11-14", "11-01"),
        PATH.replace("11-14", "13-14"),
        PATH.replace("BTCUSDT", "NOPEUSDT"),
        PATH.replace("/BTCUSDT/", "/ETHUSDT/"),
        "/data/spot/daily/trades/",
        PATH.replace("daily", "monthly"),
        PATH.replace("trades/BTCUSDT", "klines/BTCUSDT/1m"),
        KLINES.format("daily", "1M", "2023-11-14"),
        KLINES.format("daily", "1w", "2023-11-14"),
        KLINES.format("monthly", "1mo", "2023-11"),
    ],
    ids=[
        "not over",
        "before the market",
        "no date",
        "not listed",
        "names differ",
        "folder",
        "day for month",
        "trades for klines",
        "month's name on the API",
        "week of a day",
        "month not over",
    ],
)
def test_there_is_nothing_elsewhere(path: str) -> None:
    assert PublishedFiles(market_of(trades_per_s=1)).at(path) is None


def test_day_whose_first_trades_are_gone_has_no_file() -> None:
    assert PublishedFiles(market_of(trades_per_s=1, tape_trades_max=2_000)).at(PATH) is None


async def read(market: Market, folder: Path, file: BulkFile) -> list[Kline]:
    """What the collector's own reader makes of a file."""
    files = PublishedFiles(market)
    for path in (file.path, f"{file.path}.CHECKSUM"):
        content = files.at(f"/{path}")
        assert content is not None
        laid_out(folder, {path: content})
    return [kline async for chunk in BinanceBulkFiles(str(folder)).klines(file) for kline in chunk]


@pytest.mark.parametrize("interval", ["1m", "1h", "1d"])
async def test_day_of_klines_is_the_day_of_the_series(tmp_path: Path, interval: str) -> None:
    market = market_of(trades_per_s=1)

    found = await read(
        market, tmp_path, day_file(Key("kline", "BTCUSDT", interval), datetime(2023, 11, 14, tzinfo=UTC))
    )

    day_ms = START_MS - START_MS % DAY_MS
    with_trades = [kline for kline in found if kline.trades]
    expected = {kline.open_ms: kline for kline in market.closed_klines("BTCUSDT", interval)}
    assert len(found) == DAY_MS // (found[0].close_ms + 1 - found[0].open_ms)
    assert [kline.open_ms for kline in with_trades] == [at for at in expected if day_ms <= at < day_ms + DAY_MS]
    assert all((each.open, each.volume, each.quote_volume, each.trades) == (
        expected[each.open_ms].open, expected[each.open_ms].volume, expected[each.open_ms].quote_volume,
        expected[each.open_ms].trades) for each in with_trades)  # fmt: skip


@pytest.mark.parametrize(("interval", "count"), [("1h", 720), ("1d", 30), ("1w", 4), ("1M", 1)])
async def test_month_of_klines_is_read_back_whole(tmp_path: Path, interval: str, count: int) -> None:
    market = market_of(trades_per_s=0, history_ms=DAYS_MS, history_trades=4_000, klines_max=100_000)
    market.now_ms += 20 * DAY_MS

    found = await read(
        market, tmp_path, month_file(Key("kline", "BTCUSDT", interval), datetime(2023, 11, 1, tzinfo=UTC))
    )

    assert len(found) == count


async def test_files_from_2025_on_have_microseconds(tmp_path: Path) -> None:
    start_ms = int(datetime(2025, 1, 2, tzinfo=UTC).timestamp()) * 1000
    market = Market(SimulatorSettings(symbols=("BTCUSDT",), start_ms=start_ms), start_ms)
    packed = PublishedFiles(market).at(
        f"/{day_file(Key('kline', 'BTCUSDT', '1h'), datetime(2025, 1, 1, tzinfo=UTC)).path}"
    )

    assert packed is not None
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        row = archive.read(archive.namelist()[0]).decode().split(",")
    assert (row[0], row[6]) == ("1735689600000000", "1735693199999999")


def test_day_whose_first_klines_are_gone_has_no_file() -> None:
    market = market_of(trades_per_s=1, klines_max=100)

    assert PublishedFiles(market).at(KLINES.format("daily", "1m", "2023-11-14")) is None
    assert PublishedFiles(market).at(KLINES.format("daily", "1h", "2023-11-14")) is not None
