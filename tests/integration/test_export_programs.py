"""`data-collector export --as PROGRAM`: the files that other programs know, in their form and opened by them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest
from msgspec import structs

from data_collector.cli.history.export import _listed_pairs
from data_collector.history import export as exporting
from data_collector.history.programs.nautilus import BARS, INSTRUMENT, TICKS
from data_collector.history.programs.pairs import Pair
from data_collector.model.errors import Misconfigured, Unavailable
from data_collector.settings import load_settings
from data_collector.sinks.postgres.writing import PostgresWriter
from data_collector.venues.discovery import find_venue
from tests.foreign.environments import environment_of, newer_python, said_by
from tests.integration.command import finished
from tests.integration.exports import (
    CANDLES,
    LONG,
    MINUTE_MS,
    MINUTES,
    MONTHS,
    START_MS,
    TRADES,
    candle,
    exported,
    filled,
    trade,
)
from tests.integration.past import Past

MISCONFIGURED, WRONG_WORDS = 78, 2
PAIRS = {"BTCUSDT": Pair("BTC", "USDT")}
NS = 1_000_000
KEPT = [number for number in range(100) if number != 50]
MINUTE_BARS, MONTH_BARS = (f"BTCUSDT.BINANCE-1-{unit}-LAST-EXTERNAL" for unit in ("MINUTE", "MONTH"))


@pytest.fixture
async def pool(database: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[asyncpg.Pool]:
    """Of a database with candles and trades, which are exported in pages of three."""
    monkeypatch.setattr(exporting, "PAGE_ROWS", 3)
    async with filled(database) as pool:
        yield pool


async def test_freqtrade_gets_its_data_folder(pool: asyncpg.Pool, tmp_path: Path) -> None:
    await PostgresWriter(pool, "binance").put_trades([structs.replace(trade(100), is_buyer_maker=None)], source="ws")

    manifest = await exported(pool, tmp_path / "out", CANDLES, MONTHS, TRADES, program="freqtrade", pairs=PAIRS)

    assert [file.file for file in manifest.files] == [
        "BTC_USDT-1m.feather", "BTC_USDT-1Mo.feather", "BTC_USDT-trades.feather"
    ]  # fmt: skip
    candles, _, trades = (pa.ipc.open_file(tmp_path / "out" / file.file).read_all() for file in manifest.files)
    assert {field.name: str(field.type) for field in candles.schema} == {
        "date": "timestamp[ms, tz=UTC]", **dict.fromkeys(("open", "high", "low", "close", "volume"), "double")
    }  # fmt: skip
    rows = candles.to_pylist()
    assert [row["date"].timestamp() * 1000 for row in rows] == [START_MS + at * MINUTE_MS for at in MINUTES]  # type: ignore[attr-defined]
    assert {tuple(row.values())[1:] for row in rows} == {(42000.1, 42000.2, 41999.9, 42000.15, float(LONG))}
    sold, bought, *_, untold = trades.to_pylist()
    assert sold == {
        "timestamp": START_MS, "id": "0", "type": None, "side": "sell", "price": 42000.1, "amount": 0.00001,
        "cost": 0.420001,
    }  # fmt: skip
    assert (bought["side"], untold["side"], trades.num_rows) == ("buy", None, 100)
    assert (manifest.format, manifest.decimals, len(manifest.files[0].gaps)) == (
        "freqtrade", "float64, the nearest to the stored decimal text", 2
    )  # fmt: skip


async def test_nautilus_gets_a_catalog_of_exact_numbers(pool: asyncpg.Pool, tmp_path: Path) -> None:
    manifest = await exported(pool, tmp_path / "out", CANDLES, MONTHS, TRADES, program="nautilus", pairs=PAIRS)

    bars, months, ticks = (tmp_path / "out" / file.file for file in manifest.files)
    assert [file.file for file in manifest.files] == [
        f"data/bar/{MINUTE_BARS}/2024-01-01T00-01-00-000000000Z_2024-01-01T00-10-00-000000000Z.parquet",
        f"data/bar/{MONTH_BARS}/2024-02-01T00-00-00-000000000Z_2024-02-01T00-00-00-000000000Z.parquet",
        "data/trade_tick/BTCUSDT.BINANCE/2024-01-01T00-00-00-000007000Z_2024-01-01T00-01-39-000007000Z.parquet",
    ]
    stated = {b"instrument_id": b"BTCUSDT.BINANCE", b"price_precision": b"2", b"size_precision": b"8"}
    table, ticked = pq.read_table(bars), pq.read_table(ticks)
    assert list(table.schema) == list(BARS)
    assert table.schema.metadata == {**stated, b"bar_type": MINUTE_BARS.encode()}
    assert [row["ts_init"] for row in table.to_pylist()] == [(START_MS + (at + 1) * MINUTE_MS) * NS for at in MINUTES]
    row = table.to_pylist()[0]
    assert [exact(row[name]) for name in ("open", "high", "low", "close", "volume")] == [
        Decimal(text) for text in ("42000.10", "42000.2", "41999.9", "42000.15", LONG)
    ]
    assert (list(ticked.schema), ticked.schema.metadata) == (list(TICKS), stated)
    assert [tick["trade_id"] for tick in ticked.to_pylist()] == list(map(str, KEPT))
    first, second, *_ = ticked.to_pylist()
    assert (exact(first["price"]), exact(first["size"]), first["aggressor_side"], second["aggressor_side"]) == (
        Decimal("42000.1"), Decimal("0.00001"), 2, 1
    )  # fmt: skip
    assert (first["ts_event"], first["ts_init"]) == (START_MS * NS + 7_000,) * 2
    assert pq.read_metadata(months).num_rows == 1
    (other,) = manifest.others
    assert other.file.startswith("data/currency_pair/BTCUSDT.BINANCE/1970-01-01T00-00-00-000000000Z_")
    instrument = pq.read_table(tmp_path / "out" / other.file)
    assert list(instrument.schema) == list(INSTRUMENT)
    (row,) = instrument.to_pylist()
    assert {name: row[name] for name in ("base_currency", "quote_currency", "price_increment", "size_increment")} == {
        "base_currency": "BTC", "quote_currency": "USDT", "price_increment": "0.01", "size_increment": "0.00000001"
    }  # fmt: skip
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["data", "manifest.json"]


def exact(number: object) -> Decimal:
    assert isinstance(number, bytes)
    return Decimal(int.from_bytes(number, "little", signed=True)).scaleb(-16)


async def test_nautilus_reads_by_times_that_never_fall(pool: asyncpg.Pool, tmp_path: Path) -> None:
    early = structs.replace(trade(100), time_ms=START_MS, sub_ms_us=None)
    await PostgresWriter(pool, "binance").put_trades([early], source="ws")

    manifest = await exported(pool, tmp_path / "out", TRADES, program="nautilus", pairs=PAIRS)

    *_, before, last = pq.read_table(tmp_path / "out" / manifest.files[0].file).to_pylist()
    assert (last["trade_id"], last["ts_event"], last["ts_init"]) == ("100", START_MS * NS, before["ts_init"])


@pytest.mark.parametrize("volume", ["0.12345678901234567", "34028236692094"])
async def test_nautilus_gets_no_number_that_it_cannot_hold(pool: asyncpg.Pool, tmp_path: Path, volume: str) -> None:
    wide = structs.replace(candle(START_MS + 20 * MINUTE_MS), volume=volume)
    await PostgresWriter(pool, "binance").put_klines([wide], source="rest")

    with pytest.raises(Misconfigured, match="a size has more than 16 decimal places, or is larger than 34,028,236,692"):
        await exported(pool, tmp_path / "out", CANDLES, program="nautilus", pairs=PAIRS)

    assert not (tmp_path / "out").exists()


async def test_pair_is_asked_of_the_exchange_unless_it_is_named(world: Past) -> None:
    words = ("export", "--symbols", "BTCUSDT", "--intervals", "1m", "--as", "freqtrade", "--out")
    offline = world.variables | {"BINANCE_REST_URL": "http://127.0.0.1:9"}

    async with filled(world.dsn):
        asked, named = await asyncio.gather(
            world.run(*words, "asked"),
            finished(world.folder, *words, "named", "--pairs", "btcusdt=XBT/USDT", **offline),
        )
    with pytest.raises(Unavailable, match="--pairs SYMBOL=BASE/QUOTE names them instead"):
        await _listed_pairs(find_venue("binance"), load_settings(offline, None))

    assert asked.code == 0, asked.errors
    assert "BTC_USDT-1m.feather: 8 1m candles of BTCUSDT" in asked.output
    assert "freqtrade fills them with candles without volume; manifest.json has the true ones." in asked.output
    assert (named.code, "XBT_USDT-1m.feather: 8" in named.output) == (0, True), named.errors


async def test_what_no_program_knows_is_refused_in_a_sentence(tmp_path: Path) -> None:
    refused = ("--as", "zipline"), ("--as", "nautilus", "--format", "csv"), ("--pairs", "BTCUSDT=BTC/USDT")

    other, both, neither = await asyncio.gather(
        *(finished(tmp_path, "export", "--out", "x", *words) for words in refused)
    )  # fmt: skip

    assert (other.code, "'zipline' is not one of 'freqtrade', 'nautilus'" in other.errors) == (WRONG_WORDS, True)
    assert (both.code, both.errors) == (
        MISCONFIGURED, "--as decides what files hold: leave out --format, --numbers and --meta.\n"
    )  # fmt: skip
    assert (neither.code, neither.errors) == (
        MISCONFIGURED, "--pairs names pairs for --as; without it files are named by the symbols.\n"
    )  # fmt: skip


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_freqtrade_loads_what_was_exported(pool: asyncpg.Pool, tmp_path: Path) -> None:
    python = environment_of("freqtrade", sees_ours=True)
    await exported(pool, tmp_path / "out", CANDLES, MONTHS, TRADES, program="freqtrade", pairs=PAIRS)

    found = told_by(python, "-m", "tests.foreign.freqtrade_data", str(tmp_path / "out"))

    assert found["available"] == [["BTC/USDT", "1M"], ["BTC/USDT", "1m"]]
    assert found["pairs of trades"] == ["BTC/USDT"]
    numbers = [42000.1, 42000.2, 41999.9, 42000.15, float(LONG)]
    assert found["stored"] == [[START_MS + at * MINUTE_MS, *numbers] for at in MINUTES]
    assert [row[0] for row in found["filled"]] == [START_MS + at * MINUTE_MS for at in range(10)]
    assert [row[5] for row in found["filled"][5:7]] == [0, 0], "as the notes tell"
    sides = ["sell", "buy"]
    assert found["trades"] == [
        [START_MS + number * 1000, str(number), sides[number % 2], 42000.1, 0.00001, 0.420001] for number in KEPT
    ]
    assert [(row[0], row[1], round(row[5], 8)) for row in found["of trades"]] == [
        (START_MS, 42000.1, 0.00059), (START_MS + MINUTE_MS, 42000.1, 0.0004)
    ]  # fmt: skip


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_nautilus_trades_on_what_was_exported(pool: asyncpg.Pool, tmp_path: Path) -> None:
    python = environment_of("nautilus", made_by=newer_python(13) or newer_python(12))
    await exported(pool, tmp_path / "out", CANDLES, MONTHS, TRADES, program="nautilus", pairs=PAIRS)

    found = told_by(python, "-m", "tests.foreign.nautilus_catalog", str(tmp_path / "out"))

    assert (found["instrument"]["id"], found["instrument"]["price_increment"]) == ("BTCUSDT.BINANCE", "0.01")
    assert found["types"] == [MINUTE_BARS, MONTH_BARS]
    ends = [(START_MS + (at + 1) * MINUTE_MS) * NS for at in MINUTES]
    assert found["bars"] == [[end, "42000.10", "42000.20", "41999.90", "42000.15", LONG] for end in ends]
    assert found["ticks"] == [
        [(START_MS + number * 1000) * NS + 7_000, str(number), "42000.10", "0.00001000"] for number in KEPT
    ]
    assert (found["sides"], found["later"]) == (["SELLER", "BUYER"], ["98", "99"])
    assert found["backtest"] == {"bars": ends, "ticks": 99, "fills": [["0.00100000", "42000.15"]]}


def told_by(python: Path, *words: str) -> Any:
    return json.loads(said_by(python, *words))
