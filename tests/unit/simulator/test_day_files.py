"""Daily files of trades: the tape as data.binance.vision would give it."""

from __future__ import annotations

import hashlib
import io
import zipfile

import pytest

from data_collector.simulator.day_files import day_file
from data_collector.simulator.intervals import DAY_MS
from data_collector.simulator.market import Market
from data_collector.simulator.settings import SimulatorSettings

START_MS = 1_700_000_030_000
"""2023-11-14 22:13:50 UTC."""

PATH = "/data/spot/daily/trades/BTCUSDT/BTCUSDT-trades-2023-11-14.zip"


def market_of(**changes: int) -> Market:
    market = Market(SimulatorSettings(symbols=("BTCUSDT",), start_ms=START_MS, **changes), START_MS)  # type: ignore[arg-type]
    market.symbol("BTCUSDT")
    market.now_ms += DAY_MS
    return market


def test_file_has_every_trade_of_the_day_and_the_checksum_fits() -> None:
    market = market_of(trades_per_s=1)

    packed, checksum = day_file(market, PATH), day_file(market, PATH + ".CHECKSUM")

    assert packed is not None
    assert checksum == f"{hashlib.sha256(packed).hexdigest()}  BTCUSDT-trades-2023-11-14.zip\n".encode()
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert archive.namelist() == ["BTCUSDT-trades-2023-11-14.csv"]
        rows = [line.split(",") for line in archive.read(archive.namelist()[0]).decode().splitlines()]
    day_ms = START_MS - START_MS % DAY_MS
    expected = [trade for trade in market.tape("BTCUSDT") if day_ms <= trade.time_ms < day_ms + DAY_MS]
    assert [(int(row[0]), row[1], row[2], int(row[4]), row[5], row[6]) for row in rows] == [
        (trade.trade_id, trade.price, trade.quantity, trade.time_ms * 1000 + (trade.sub_ms_us or 0),
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
    ],
    ids=["not over", "before the market", "no date", "not listed", "names differ", "folder"],
)
def test_there_is_nothing_elsewhere(path: str) -> None:
    assert day_file(market_of(trades_per_s=1), path) is None


def test_day_whose_first_trades_are_gone_has_no_file() -> None:
    assert day_file(market_of(trades_per_s=1, tape_trades_max=2_000), PATH) is None
