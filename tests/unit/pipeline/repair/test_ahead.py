"""Trades far ahead of what tickers name are told; a ticker that stands still says nothing."""

from __future__ import annotations

from data_collector.pipeline.repair.ahead import AHEAD_IDS, AHEAD_S, NAMED_MIN, AheadOfTickers
from tests.market import NOON_MS, SYMBOL, ticker
from tests.unit.pipeline.repair_scene import RepairScene


def told(scene: RepairScene, watch: AheadOfTickers) -> list[str]:
    return watch.told(scene.intake.trades.collected.values(), scene.now_s)


def named(scene: RepairScene, watch: AheadOfTickers, first_id: int, count: int) -> list[str]:
    """The ticker names one trade after the other, over the time after which it is told."""
    sentences: list[str] = []
    for number in range(count):
        scene.send(ticker(NOON_MS + 1_000 * number, last_id=first_id + number))
        sentences = told(scene, watch)
        scene.now_s += AHEAD_S / (count - 1) if count > 1 else AHEAD_S
    return sentences or told(scene, watch)


def test_first_ids_that_tickers_contradict_are_told() -> None:
    scene, watch = RepairScene([10]), AheadOfTickers()
    scene.sequence.next_id = 5_000 + AHEAD_IDS
    (sentence,) = named(scene, watch, 100, NAMED_MIN + 2)
    assert sentence.startswith(f"the newest trade of {SYMBOL} is 5,895 ids ahead")

    scene.send(ticker(NOON_MS + 60_000, last_id=5_000 + AHEAD_IDS - 1))
    assert told(scene, watch) == []


def test_ticker_that_stands_still_is_no_evidence() -> None:
    scene, watch = RepairScene([10]), AheadOfTickers()
    scene.sequence.next_id = 5_000
    assert named(scene, watch, 100, 1) == []
    scene.now_s += 10 * AHEAD_S
    assert told(scene, watch) == []


def test_some_ids_ahead_are_the_way_of_a_busy_market() -> None:
    scene, watch = RepairScene([10]), AheadOfTickers()
    scene.sequence.next_id = AHEAD_IDS
    assert named(scene, watch, 100, NAMED_MIN + 2) == []
