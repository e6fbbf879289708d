"""The backfill of what the exchange has and what is no whole candle, against a real PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import pytest

from data_collector.history.events import OddCandle, Waiting
from data_collector.model.calendar import MINUTE_MS
from data_collector.model.keys import Key
from data_collector.simulator.control.faults import RestFault
from data_collector.venues.binance.bulk_names import day_file
from tests.bulk_archives import laid_out, published
from tests.integration.past import START_MS, Past, past
from tests.integration.postgres_server import rows

TWO_DAYS = 2 * 1440
FROM_MS = START_MS - TWO_DAYS * MINUTE_MS
KLINES = "/api/v3/klines"


@pytest.fixture
async def world(tmp_path: Path, database: str) -> AsyncIterator[Past]:
    async with past(tmp_path, database) as made:
        yield made


@pytest.mark.parametrize("added", [{"6": -31_212}, {"0": 13_000, "6": 13_000}], ids=["short", "off the grid"])
async def test_candles_of_the_exchange_that_are_not_whole_are_named_and_refused_once(
    world: Past, added: dict[str, int]
) -> None:  # fmt: skip
    """As the exchange's own history of 2017 and 2018 has them around its standstills."""
    odd_ms = FROM_MS + 1500 * MINUTE_MS
    odd = (odd_ms, odd_ms + 2 * MINUTE_MS)
    world.simulator.faults.add(RestFault(path=KLINES, kind="alter", within=odd, add=added))
    first = await world.told()
    told = list(world.events)
    second = await world.told()
    audit = await world.run("audit", "--symbols", "BTCUSDT", "--intervals", "1m", "--against-exchange")

    assert (first.outcome, first.added, first.refused, first.odd) == ("complete", TWO_DAYS - 1 - 3, 3, 3)
    assert [each.opens for each in told if isinstance(each, OddCandle)] == [
        f"2025-12-31T01:0{minute}:{added.get('0', 0) // 1000:02}.000+00:00" for minute in range(3)
    ]
    assert not [each for each in told if isinstance(each, Waiting)]
    assert world.gaps() == [("kline", "1m", each, each, 1, "refused") for each in range(odd_ms, odd[1] + 1, MINUTE_MS)]
    assert rows(world.dsn, "select count(*), min(key), max(rules[1]) from market_data_quarantine") == [
        (3, odd_ms, "close_time_fits" if "0" not in added else "open_time_grid")
    ]
    assert (second.outcome, second.added, second.odd, second.refused) == ("complete", 0, 0, 0)
    assert audit.code == 0, audit.output


async def test_replay_stores_no_candle_that_is_not_whole_where_the_rule_only_warns(world: Past) -> None:
    """It ends 31 seconds early, and the user made `close_time_fits` a warning."""
    odd_ms = FROM_MS + 5 * MINUTE_MS
    world.simulator.faults.add(RestFault(path=KLINES, kind="alter", within=(odd_ms, odd_ms), add={"6": -31_212}))
    await world.told("2025-12-30", "2025-12-30T00:14")
    shipped = json.loads((files("data_collector.validation.suites") / "kline.json").read_text())
    rules = [each for each in shipped["expectations"] if each["meta"]["rule_id"] == "close_time_fits"]
    (world.folder / "suites").mkdir()
    (world.folder / "suites" / "kline.json").write_text(
        json.dumps({"expectations": [each | {"severity": "warning"} for each in rules]})
    )

    ended = await world.run("quarantine", "replay", "BTCUSDT", "--json")

    (report,) = json.loads(ended.output)["history"]
    assert (report["released"], report["still_refused_by"]) == (0, {"close_time_fits": 1})
    assert odd_ms not in world.stored()


async def test_candles_of_files_that_are_not_whole_are_named_and_the_others_taken(world: Past) -> None:
    def line(minute: int, shift_ms: int = 0, length_ms: int = MINUTE_MS) -> str:
        open_us = (FROM_MS + minute * MINUTE_MS + shift_ms) * 1000
        return f"{open_us},1,2,1,2,5,{open_us + length_ms * 1000 - 1},9,3,2,4,0\n"

    file = day_file(Key("kline", "BTCUSDT", "1m"), datetime(2025, 12, 30, tzinfo=UTC))
    csv = "".join(line(minute) for minute in range(10)) + line(10, length_ms=28_788) + line(11, 13_000) + line(13)
    laid_out(world.folder / "files", published(file, csv))
    place = str(world.folder / "files")
    first = await world.told("2025-12-30", "2025-12-30T00:14", source="dumps", files=place)
    second = await world.told("2025-12-30", "2025-12-30T00:14", source="dumps", files=place)

    assert (first.added, first.odd, first.refused, first.unproven) == (11, 2, 2, 1)
    assert [gap[2] for gap in world.gaps()] == [FROM_MS + 10 * MINUTE_MS, FROM_MS + 11 * MINUTE_MS]
    assert (second.added, second.odd, second.unproven) == (0, 0, 1)
