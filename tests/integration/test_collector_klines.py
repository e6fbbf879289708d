"""Closing frames that do not come, come twice or were missed: every open time closes once, in order."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from data_collector.simulator import FrameFault
from data_collector.simulator.control.faults import RestFault
from tests.integration.exactness import assert_all_of, closed, expected_kline, iso
from tests.integration.scene import DRIVEN, Scene, playing
from tests.integration.store_reader import Store, parsed
from tests.integration.waiting import until_async

SYMBOL = "BTCUSDT"
MINUTES = "btcusdt@kline_1m"
CLOSING = '"x":true'


pytestmark = pytest.mark.usefixtures("short_grace")


def sources(store: Store) -> list[object]:
    return [record.get("src", "ws") for record in closed(store)]


def assert_exact(scene: Scene, symbol: str = SYMBOL) -> None:
    """Every open time from the first to the last once, with the exchange's numbers; nothing is declared."""
    assert_all_of(scene.store, symbol, "1m", scene.simulator.closed_klines(symbol, "1m"))


async def test_closing_frame_that_never_comes_is_fetched(scene: Scene) -> None:
    scene.simulator.faults.add(FrameFault(kind="drop", stream=MINUTES, contains=CLOSING, count=2))

    for _ in range(3):
        await scene.klines_closed()

    assert sources(scene.store) == ["ws", "rest", "rest", "ws"]
    assert_exact(scene)
    assert scene.counted("klines_closed_total", source="rest") == 2
    scene.assert_counts_add_up()


async def test_series_that_never_closes_is_told(store: Store, folder: Path) -> None:
    """Its updates come, and no closing frame from the first minute on: where it goes on is not known."""
    async with playing(store, folder) as scene:
        scene.simulator.faults.add(FrameFault(kind="drop", stream=MINUTES, contains=CLOSING))
        await scene.subscribed()
        for _ in range(3):
            await scene.trade(60_000)
        await until_async(lambda: "no kline of BTCUSDT 1m has closed" in str(scene.status.reasons), "the reason")
        assert scene.status.condition == "degraded"
        assert not scene.status.ready
        assert closed(store) == []

        scene.simulator.faults.clear()
        await scene.klines_closed()

        await until_async(lambda: "has closed" not in str(scene.status.reasons), "an end of it")


async def test_later_closing_frames_wait_for_the_missing_one(scene: Scene) -> None:
    scene.simulator.faults.add(RestFault(path="/api/v3/klines", status=500))
    scene.simulator.faults.add(FrameFault(kind="drop", stream=MINUTES, contains=CLOSING, count=1))
    scene.simulator.advance(3 * 60_000)
    await scene.settled()
    assert len(closed(scene.store)) == 1

    scene.simulator.faults.clear()
    await until_async(lambda: len(closed(scene.store)) == 4, "four closed klines")
    assert_exact(scene)


async def test_fetch_goes_on_when_rest_is_away_for_a_while(scene: Scene) -> None:
    scene.simulator.faults.add(RestFault(path="/api/v3/klines", status=500, count=2))
    scene.simulator.faults.add(FrameFault(kind="drop", stream=MINUTES, contains=CLOSING, count=1))

    await scene.klines_closed()
    await scene.klines_closed()

    assert sources(scene.store) == ["ws", "rest", "ws"]
    assert_exact(scene)


async def test_minutes_without_trades_close_too(store: Store, folder: Path) -> None:
    quiet = structs.replace(DRIVEN, trades_per_s=0.02)
    async with playing(store, folder, quiet) as scene:
        await scene.subscribed()
        for _ in range(20):
            scene.simulator.advance(60_000)

        # What the exchange's clock shows after its newest message is not known to anybody.
        last_ms = scene.simulator.closed_klines(SYMBOL, "1m")[-2].open_ms
        await until_async(lambda: closes_at(store, last_ms), "the last but one of the minutes with trades")

        assert_exact(scene)
        assert set(sources(store)) > {"ws"}


def closes_at(store: Store, open_ms: int) -> bool:
    return any(record["timestamp"] == iso(open_ms, digits="seconds") for record in closed(store))


async def test_restart_fetches_what_closed_meanwhile(scene: Scene, tmp_path: Path) -> None:
    await scene.collector.stop()
    scene.simulator.advance(4 * 60_000)

    async with playing(scene.store, tmp_path, beside=scene) as second:
        await second.subscribed()
        await second.klines_closed()

        assert sources(second.store)[:5] == ["ws", "rest", "rest", "rest", "rest"]
        assert_exact(second)


async def test_what_is_older_than_the_catch_up_is_skipped(scene: Scene, tmp_path: Path) -> None:
    await scene.collector.stop()
    scene.simulator.advance(6 * 60_000)

    async with playing(scene.store, tmp_path, beside=scene, catch_up_seconds="150") as second:
        await second.subscribed()
        await second.klines_closed()

        (gap,) = second.store.gaps(SYMBOL, "kline")
        assert (gap["reason"], gap["count"] + len(closed(second.store))) == ("skipped", 8)


async def test_closing_frame_that_comes_twice_and_differs_is_a_revision(scene: Scene) -> None:
    takers = {"k.V": "0.00000000", "k.Q": "0.00000000"}
    scene.simulator.faults.add(
        FrameFault(kind="conflict", stream=MINUTES, contains=CLOSING, count=1, set=dict(takers), add={"E": 1})
    )

    await scene.klines_closed()
    await until_async(lambda: scene.store.length(f"late:{SYMBOL}") == 1, "the revision")

    (late,) = scene.store.entries(f"late:{SYMBOL}")
    assert late["fields"]["why"] == "revision"
    revised = parsed(late["fields"]["data"])
    newest = scene.store.text(f"kline:{SYMBOL}:1m:{revised['timestamp']}")
    assert newest is not None
    assert parsed(newest) == revised
    assert_exact(scene)
    assert scene.counted("kline_revisions_total") == 1


async def test_stream_that_is_deleted_is_filled_again(scene: Scene) -> None:
    await scene.klines_closed()
    before = closed(scene.store)
    scene.store.ask("DEL", f"stream:{SYMBOL}")

    await scene.klines_closed()

    await until_async(lambda: closed(scene.store)[-3:-1] == before, "the closed klines of before")
    assert_exact(scene)


async def test_store_that_was_wiped_is_filled_again(scene: Scene) -> None:
    await scene.klines_closed()
    before = closed(scene.store)
    scene.store.ask("FLUSHALL")
    scene.store.ask("FUNCTION", "FLUSH")

    await scene.klines_closed()

    await until_async(lambda: closed(scene.store)[-3:-1] == before, "the closed klines of before")
    assert_exact(scene)


async def test_klines_of_before_the_beginning_are_there_for_charts(scene: Scene) -> None:
    await until_async(lambda: len(scene.store.keys(f"kline:{SYMBOL}:1m:*")) >= 500, "five hundred klines")

    assert len(closed(scene.store)) == 1


async def test_closed_minutes_agree_with_the_trades(scene: Scene) -> None:
    for _ in range(2):
        await scene.klines_closed()

    assert [record["check"] for record in closed(scene.store)[1:]] == ["ok", "ok"]
    assert scene.counted("candle_checks_total", result="mismatch") == 0


async def test_kline_that_contradicts_our_trades_is_marked_and_reconciled(scene: Scene) -> None:
    scene.simulator.faults.add(
        FrameFault(kind="change", stream=MINUTES, contains=CLOSING, count=1, add={"k.f": 1, "k.n": -1})
    )

    await scene.klines_closed()
    await until_async(lambda: scene.store.length(f"late:{SYMBOL}") == 1, "what REST tells of it")

    marked = closed(scene.store)[-1]
    (late,) = scene.store.entries(f"late:{SYMBOL}")
    truth = expected_kline(scene.simulator.closed_klines(SYMBOL, "1m")[-1])
    assert marked["check"] == "mismatch"
    assert parsed(late["fields"]["data"]) == truth
    assert marked["trades"] != truth["trades"]
    assert scene.counted("candle_checks_total", result="mismatch") == 1
