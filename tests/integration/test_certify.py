"""`data-collector certify`: a day in a real store against the exchange's file and against its REST side."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from msgspec import structs

from data_collector.model.calendar import DAY_MS
from data_collector.model.records import Trade
from data_collector.model.wire import json_text, trade_json
from data_collector.simulator import Simulator
from data_collector.venues.binance.speaker import SPEAKER
from tests.integration.command import Finished, finished
from tests.integration.day_file_server import csv_of, packed, serving
from tests.integration.scene import DRIVEN, START_MS
from tests.integration.store_reader import Store

SYMBOL = "BTCUSDT"
DAY = "2025-12-31"
CANNOT_ASK, MISCONFIGURED = 69, 78


@pytest.fixture
async def exchange() -> AsyncIterator[Simulator]:
    """Its market opened shortly before midnight, and it is the next day now."""
    simulator = Simulator(structs.replace(DRIVEN, start_ms=START_MS - 60_000), [SPEAKER])
    await simulator.start()
    simulator.advance(90_000)
    yield simulator
    await simulator.stop()


def of_the_day(exchange: Simulator) -> list[Trade]:
    return [each for each in exchange.tape(SYMBOL) if START_MS - DAY_MS <= each.time_ms < START_MS]


async def keep(store: Store, trades: Sequence[Trade]) -> None:
    """Write as the service does; ids that are left out are holes that nobody declared."""
    before_ms = 0
    for each in trades:
        before_ms = max(before_ms, each.time_ms)
        entry_id = f"{before_ms}-{each.trade_id}"
        store.ask("XADD", f"trades:{SYMBOL}", entry_id, "data", trade_json(each, json_text(SYMBOL)))


async def certify(folder: Path, store: Store, exchange: Simulator, *words: str, day: str = DAY) -> Finished:
    return await finished(
        folder, "certify", SYMBOL, day, *words, REDIS_URL=store.url, BINANCE_REST_URL=exchange.rest_url
    )


def certificate(folder: Path) -> dict[str, object]:
    content: dict[str, object] = json.loads((folder / "certificates" / f"{SYMBOL}-{DAY}.json").read_text())
    return content


async def test_day_is_certified_by_rest_where_no_file_is_published(
    tmp_path: Path, store: Store, exchange: Simulator
) -> None:
    await keep(store, exchange.tape(SYMBOL))

    async with serving({}) as files_url:
        ended = await certify(tmp_path, store, exchange, "--files-url", files_url)

    assert ended.code == 0, ended.errors
    made = certificate(tmp_path)
    assert (made["verdict"], made["source"], made["differences"]) == ("equal", "rest", [])
    assert made["exchange_side"] == made["store_side"]
    assert made["store_side"] == {**side_of(of_the_day(exchange)), "sha256": digest(made), "repeated": 0}


def side_of(trades: Sequence[Trade]) -> dict[str, object]:
    return {"first_id": trades[0].trade_id, "last_id": trades[-1].trade_id, "count": len(trades)}


def digest(made: dict[str, object]) -> object:
    side = made["exchange_side"]
    assert isinstance(side, dict)
    return side["sha256"]


async def test_day_is_certified_by_the_published_file(tmp_path: Path, store: Store, exchange: Simulator) -> None:
    await keep(store, exchange.tape(SYMBOL))

    async with serving(packed(SYMBOL, DAY, csv_of(of_the_day(exchange)))) as files_url:
        ended = await certify(tmp_path, store, exchange, "--files-url", files_url)

    assert ended.code == 0, ended.errors
    made = certificate(tmp_path)
    assert (made["verdict"], made["source"]) == ("equal", "file")
    assert str(made["source_url"]).startswith(files_url)


async def test_day_that_lacks_and_falsifies_trades_differs(tmp_path: Path, store: Store, exchange: Simulator) -> None:
    trades = of_the_day(exchange)
    assert all(after.trade_id == before.trade_id + 1 for before, after in pairwise(trades))
    ours = [structs.replace(trades[2], price="1.5"), *trades[3:-2]]
    await keep(store, ours)

    async with serving(packed(SYMBOL, DAY, csv_of(trades))) as files_url:
        ended = await certify(tmp_path, store, exchange, "--files-url", files_url, "--out", "proof/day.json")

    assert ended.code == 1, ended.errors
    assert "Different" in ended.output
    made = json.loads((tmp_path / "proof" / "day.json").read_text())
    assert (made["missing"], made["missing_before_first"], made["missing_after_last"]) == (4, 2, 2)
    assert [each["kind"] for each in made["differences"]] == ["missing", "differs", "missing"]


async def test_file_that_does_not_match_its_checksum_is_not_believed(
    tmp_path: Path, store: Store, exchange: Simulator
) -> None:
    files = packed(SYMBOL, DAY, csv_of(of_the_day(exchange)))
    path = next(iter(files))

    async with serving(files | {path: files[path] + b"x"}) as files_url:
        ended = await certify(tmp_path, store, exchange, "--files-url", files_url)

    assert (ended.code, "does not match its checksum" in ended.errors) == (CANNOT_ASK, True)


@pytest.mark.parametrize("csv", ["nonsense\n", "1,1.0,1.0,1.0,notatime,True,True\n", "5,1.0,1.0,1.0,0,True,True\n"])
async def test_file_that_holds_something_else_is_not_believed(
    tmp_path: Path, store: Store, exchange: Simulator, csv: str
) -> None:
    async with serving(packed(SYMBOL, DAY, csv)) as files_url:
        ended = await certify(tmp_path, store, exchange, "--files-url", files_url)

    assert ended.code == CANNOT_ASK
    assert not (tmp_path / "certificates").exists()


async def test_day_that_is_not_over_is_refused(tmp_path: Path, store: Store, exchange: Simulator) -> None:
    ended = await certify(tmp_path, store, exchange, day="2026-01-01")

    assert (ended.code, "is not over yet" in ended.errors) == (MISCONFIGURED, True)


async def test_text_that_is_no_day_is_refused(tmp_path: Path, store: Store, exchange: Simulator) -> None:
    assert (await certify(tmp_path, store, exchange, day="yesterday")).code == MISCONFIGURED


async def test_exchange_that_is_away_is_told(tmp_path: Path, store: Store) -> None:
    ended = await finished(tmp_path, "certify", SYMBOL, DAY, REDIS_URL=store.url, BINANCE_REST_URL="http://127.0.0.1:9")

    assert (ended.code, "cannot be reached" in ended.errors) == (CANNOT_ASK, True)
