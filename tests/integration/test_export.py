"""`data-collector export`: what PostgreSQL holds comes out with every digit, and says what it lacks."""

from __future__ import annotations

import csv
import hashlib
import json
import stat
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import asyncpg
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec import structs

from data_collector.history import export as exporting
from data_collector.history.export import Manifest
from data_collector.history.retention import Retention
from data_collector.model.errors import Misconfigured
from data_collector.model.keys import Key
from data_collector.sinks.postgres.writing import PostgresWriter
from tests.integration.command import finished
from tests.integration.exports import (
    CANDLES,
    LONG,
    MINUTE_MS,
    MINUTES,
    MONTHS,
    NOW_MS,
    START_MS,
    TRADES,
    candle,
    exported,
    filled,
    trade,
)

MISCONFIGURED, CANNOT_ASK = 78, 69


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    """Of a database with candles and trades."""
    async with filled(database) as pool:
        yield pool


async def test_candles_come_out_with_every_digit_and_their_holes(pool: asyncpg.Pool, tmp_path: Path) -> None:
    manifest = await exported(pool, tmp_path / "out", CANDLES)

    (file,) = manifest.files
    path = tmp_path / "out" / file.file
    table = pq.read_table(path)
    rows = table.to_pylist()
    assert [row["timestamp"].timestamp() * 1000 for row in rows] == [START_MS + at * MINUTE_MS for at in MINUTES]  # type: ignore[attr-defined]
    assert {(row["symbol"], row["interval"], row["open"], row["volume"], row["trades"]) for row in rows} == {
        ("BTCUSDT", "1m", Decimal("42000.10"), Decimal(LONG), 7)
    }
    assert table.schema.metadata is not None
    assert table.schema.metadata[b"decimals"] == b"decimal128(38, 18)"
    assert (file.rows, file.first, file.last) == (8, "2024-01-01T00:00:00+00:00", "2024-01-01T00:09:00+00:00")
    assert [(hole.first, hole.count, hole.reason) for hole in file.gaps] == [
        ("2024-01-01T00:05:00+00:00", 1, "absent"), ("2024-01-01T00:06:00+00:00", 1, "missing"),
    ]  # fmt: skip
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert msgspec.json.decode((tmp_path / "out" / "manifest.json").read_bytes(), type=Manifest) == manifest


async def test_ends_of_the_asked_range_that_are_not_stored_are_gaps(pool: asyncpg.Pool, tmp_path: Path) -> None:
    (file,) = (
        await exported(
            pool, tmp_path / "out", CANDLES, from_ms=START_MS - 90_000, to_ms=START_MS + 12 * MINUTE_MS
        )
    ).files  # fmt: skip

    assert [(hole.first, hole.last, hole.count) for hole in (file.gaps[0], file.gaps[-1])] == [
        ("2023-12-31T23:59:00+00:00", "2023-12-31T23:59:00+00:00", 1),
        ("2024-01-01T00:10:00+00:00", "2024-01-01T00:11:00+00:00", 2),
    ]


async def test_what_the_retention_lets_go_is_left_out_and_no_gap(pool: asyncpg.Pool, tmp_path: Path) -> None:
    kept = Retention(klines_ms=START_MS + 6 * MINUTE_MS + 30_000, trades_ms=START_MS + 51_500)

    for name, from_ms in (("all", None), ("asked", START_MS - 90_000)):
        candles, trades = (
            await exported(pool, tmp_path / name, CANDLES, TRADES, retention=kept, from_ms=from_ms)
        ).files  # fmt: skip

        assert (candles.rows, candles.first, candles.gaps) == (3, "2024-01-01T00:07:00+00:00", [])
        assert candles.kept_from == "2024-01-01T00:06:30+00:00"
        assert (trades.rows, trades.first, trades.gaps) == (48, 52, [])


async def test_pages_become_row_groups_and_lose_nothing(
    pool: asyncpg.Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "PAGE_ROWS", 3)

    manifest = await exported(pool, tmp_path / "out", CANDLES, TRADES)

    candles, trades = (tmp_path / "out" / file.file for file in manifest.files)
    assert (pq.read_metadata(candles).num_row_groups, pq.read_metadata(trades).num_row_groups) == (3, 33)
    assert [row["trade_id"] for row in pq.read_table(trades).to_pylist()] == [at for at in range(100) if at != 50]
    assert manifest.rows == 8 + 99
    assert [(hole.first, hole.last, hole.reason) for hole in manifest.files[1].gaps] == [(50, 50, "missing")]


async def test_neighbouring_ranges_of_trades_share_none_and_lack_none(pool: asyncpg.Pool, tmp_path: Path) -> None:
    middle_ms = START_MS + 30_000

    before = await exported(pool, tmp_path / "before", TRADES, to_ms=middle_ms)
    after = await exported(pool, tmp_path / "after", TRADES, from_ms=middle_ms)

    assert [(m.files[0].first, m.files[0].last) for m in (before, after)] == [(0, 29), (30, 99)]


async def test_texts_keep_zeros_at_the_end(pool: asyncpg.Pool, tmp_path: Path) -> None:
    await exported(pool, tmp_path / "text", CANDLES, decimals="text")
    await exported(pool, tmp_path / "csv", CANDLES, TRADES, form="csv")

    row = pq.read_table(tmp_path / "text" / "BTCUSDT-1m.parquet").to_pylist()[0]
    assert (row["high"], row["volume"]) == ("42000.20000000", LONG)
    with (tmp_path / "csv" / "BTCUSDT-1m.csv").open() as opened:
        first = next(csv.DictReader(opened))
    assert (first["timestamp"], first["high"]) == ("2024-01-01T00:00:00+00:00", "42000.20000000")
    with (tmp_path / "csv" / "BTCUSDT-trades.csv").open() as opened:
        assert next(csv.DictReader(opened)) == {
            "symbol": "BTCUSDT", "timestamp": "2024-01-01T00:00:00.000007+00:00", "trade_id": "0",
            "price": "42000.10", "quantity": "0.00001", "buyer_order_id": "", "seller_order_id": "",
            "is_buyer_maker": "true",
        }  # fmt: skip


async def test_floats_are_the_nearest_to_the_stored_texts(pool: asyncpg.Pool, tmp_path: Path) -> None:
    manifest = await exported(pool, tmp_path / "float", CANDLES, TRADES, decimals="float")

    table = pq.read_table(tmp_path / "float" / "BTCUSDT-1m.parquet")
    assert {table.column(name).type for name in ("open", "high", "low", "close", "volume")} == {pa.float64()}
    assert (table.to_pylist()[0]["high"], table.to_pylist()[0]["volume"]) == (42000.2, float(LONG))
    trades = pq.read_table(tmp_path / "float" / "BTCUSDT-trades.parquet")
    assert (trades.to_pylist()[0]["price"], trades.to_pylist()[0]["trade_id"]) == (42000.1, 0)
    assert manifest.decimals == "float64, the nearest to the stored decimal text"


async def test_rows_tell_where_they_are_from_when_that_is_asked_for(pool: asyncpg.Pool, tmp_path: Path) -> None:
    marked = candle(START_MS + 20 * MINUTE_MS)
    await PostgresWriter(pool, "binance").put_klines(
        [marked], source="built", warnings={marked.open_ms: ("cap", "floor")}
    )

    await exported(pool, tmp_path / "parquet", CANDLES, TRADES, with_origin=True)
    await exported(pool, tmp_path / "csv", CANDLES, form="csv", with_origin=True)

    rows = pq.read_table(tmp_path / "parquet" / "BTCUSDT-1m.parquet").to_pylist()
    assert [(row["source"], row["warnings"]) for row in (rows[0], rows[-1])] == [
        ("rest", []), ("built", ["cap", "floor"])
    ]  # fmt: skip
    assert pq.read_table(tmp_path / "parquet" / "BTCUSDT-trades.parquet").to_pylist()[0]["source"] == "ws"
    with (tmp_path / "csv" / "BTCUSDT-1m.csv").open() as opened:
        *_, last = csv.DictReader(opened)
    assert (last["source"], last["warnings"]) == ("built", "cap,floor")


async def test_what_an_exchange_does_not_tell_is_null_and_empty(pool: asyncpg.Pool, tmp_path: Path) -> None:
    lacking = dict.fromkeys(("trades", "quote_volume", "taker_buy_base_volume", "taker_buy_quote_volume"))
    await PostgresWriter(pool, "binance").put_klines(
        [structs.replace(candle(START_MS - MINUTE_MS), **lacking)], source="ws"
    )
    await PostgresWriter(pool, "binance").put_trades([structs.replace(trade(100), is_buyer_maker=None)], source="ws")

    for decimals in ("decimal", "text", "float"):
        await exported(pool, tmp_path / decimals, CANDLES, TRADES, decimals=decimals)
        row = pq.read_table(tmp_path / decimals / "BTCUSDT-1m.parquet").to_pylist()[0]
        assert {name: row[name] for name in lacking} == lacking
        assert pq.read_table(tmp_path / decimals / "BTCUSDT-trades.parquet").to_pylist()[-1]["is_buyer_maker"] is None
    await exported(pool, tmp_path / "csv", CANDLES, form="csv")
    with (tmp_path / "csv" / "BTCUSDT-1m.csv").open() as opened:
        assert {name: text for name, text in next(csv.DictReader(opened)).items() if not text} == dict.fromkeys(
            lacking, ""
        )


async def test_month_and_minute_are_files_of_different_names(pool: asyncpg.Pool, tmp_path: Path) -> None:
    manifest = await exported(pool, tmp_path / "out", CANDLES, MONTHS)

    assert [file.file for file in manifest.files] == ["BTCUSDT-1m.parquet", "BTCUSDT-1mo.parquet"]


async def test_number_beyond_the_type_is_told_and_nothing_is_left(pool: asyncpg.Pool, tmp_path: Path) -> None:
    wide = structs.replace(candle(START_MS + 20 * MINUTE_MS), volume="0." + "1" * 19)
    await PostgresWriter(pool, "binance").put_klines([wide], source="rest")

    with pytest.raises(Misconfigured, match=r"column volume does not fit .* --numbers text"):
        await exported(pool, tmp_path / "out", CANDLES)

    assert names_in(tmp_path) == []
    await exported(pool, tmp_path / "out", CANDLES, decimals="text")


@pytest.mark.parametrize(
    ("series", "changes", "sentence"),
    [
        (Key("kline", "NOPEUSDT", "1m"), {}, "There are no 1m candles of NOPEUSDT in PostgreSQL at here"),
        (Key("trade", "NOPEUSDT"), {}, "There are no trades of NOPEUSDT"),
        (Key("kline", "BTCUSDT", "5m"), {}, "There are no 5m candles of BTCUSDT"),
        (CANDLES, {"from_ms": NOW_MS}, "stored candles open from 2024-01-01T00:00:00"),
        (TRADES, {"from_ms": NOW_MS}, "stored trades were made from 2024-01-01T00:00:00"),
        (CANDLES, {"from_ms": 5, "to_ms": 5}, "The range is empty"),
    ],
)
async def test_what_is_not_there_is_refused_before_anything_is_written(
    pool: asyncpg.Pool, tmp_path: Path, series: Key, changes: dict[str, object], sentence: str
) -> None:
    with pytest.raises(Misconfigured, match=sentence):
        await exported(pool, tmp_path / "out", CANDLES, series, **changes)

    assert names_in(tmp_path) == []


async def test_earlier_export_is_replaced_on_request_only(pool: asyncpg.Pool, tmp_path: Path) -> None:
    folder, killed = tmp_path / "out", tmp_path / ".out.partial" / "BTCUSDT-1h.parquet"
    killed.parent.mkdir()
    killed.touch()
    await exported(pool, folder, TRADES)

    with pytest.raises(Misconfigured, match="--overwrite replaces it"):
        await exported(pool, folder, CANDLES)
    assert (folder / "BTCUSDT-trades.parquet").exists()
    await exported(pool, folder, CANDLES, replace=True)

    assert names_in(folder) == ["BTCUSDT-1m.parquet", "manifest.json"]
    assert names_in(tmp_path) == ["out"]


async def test_folder_of_other_things_is_never_touched(pool: asyncpg.Pool, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")

    with pytest.raises(Misconfigured, match="holds something that is no export"):
        await exported(pool, tmp_path, CANDLES, replace=True)

    assert stat.S_ISREG((tmp_path / "letter.txt").stat().st_mode)


async def test_command_tells_progress_beside_its_answer(pool: asyncpg.Pool, database: str, tmp_path: Path) -> None:
    words = ("export", "--symbols", "btcusdt", "--intervals", "1m", "--trades")

    spoken = await finished(tmp_path, *words, "--out", "spoken", DATABASE_URL=database)
    counted = await finished(tmp_path, *words, "--out", "counted", "--json", DATABASE_URL=database)

    assert (spoken.code, counted.code) == (0, 0), spoken.errors + counted.errors
    assert "BTCUSDT-1m.parquet: 8 1m candles of BTCUSDT" in spoken.output
    assert "2 missing in 2 gaps" in spoken.output
    assert "BTCUSDT 1m: 8 rows, 100%" in spoken.errors.splitlines()
    assert "\x1b" not in spoken.output + spoken.errors
    made = json.loads(counted.output)
    assert (made["rows"], made["database"].partition("/")[2] in database) == (107, True)
    assert counted.errors == ""


async def test_command_refuses_in_sentences(tmp_path: Path) -> None:
    slip = await finished(tmp_path, "export", "--out", "x", "--intervals", "7m")
    away = await finished(tmp_path, "export", "--out", "x", DATABASE_URL="postgresql://me:secret@127.0.0.1:9/d")

    epoch = await finished(tmp_path, "export", "--out", "x", "--epoch", "99999999999999")

    assert (epoch.code, "2147483647" in epoch.errors, "Traceback" in epoch.errors) == (2, True, False)
    assert (slip.code, "binance has no 7m" in slip.errors) == (MISCONFIGURED, True)
    assert (away.code, "does not answer" in away.errors, "secret" in away.errors) == (CANNOT_ASK, True, False)
    assert names_in(tmp_path) == []
