"""Trades of which the exchange tells something else than what was let through: its word is kept, and told."""

from __future__ import annotations

import asyncio
import re

from data_collector.model.errors import VenueUnreachable
from data_collector.pipeline.gaps.contradictions import MINUTES_MAX, TOLD_S
from data_collector.pipeline.repair.conflicts import Conflicts
from tests.market import SYMBOL, kline, trade
from tests.unit.pipeline.intake_scene import fields
from tests.unit.pipeline.repair_scene import Answer, RepairScene


def settled(*answers: Answer, conflict: bool = False, minutes: int = 0) -> RepairScene:
    """Trades 10 to 13 were let through; one was told twice, or their minute is contradicted by its kline."""
    scene = RepairScene(*answers)
    scene.send(*(trade(number) for number in range(11, 14)))
    if conflict:
        scene.send(trade(12, price="1.5"))
    for _ in range(minutes):
        scene.intake.trades.contradictions.suspect(kline(0, first_trade_id=10, last_trade_id=13))
    scene.take()
    conflicts = Conflicts(scene.intake.trades, scene.refill, scene.counters)
    asyncio.run(conflicts.settle())
    return scene


def told(scene: RepairScene) -> list[str]:
    return [
        found for sentence in scene.repair.doubts for found in re.findall(r"\d+ (?:trade|minute)s? of \w+", sentence)
    ]


def test_trade_that_the_exchange_tells_otherwise_is_told_for_an_hour() -> None:
    scene = settled([trade(12, price="1.5", received_ns=0)], conflict=True)
    assert told(scene) == [f"1 trade of {SYMBOL}"]
    scene.now_s += TOLD_S - 1
    assert told(scene) == [f"1 trade of {SYMBOL}"]
    scene.now_s += 1
    assert told(scene) == []


def test_trade_that_the_exchange_confirms_is_not_told() -> None:
    assert told(settled([12], conflict=True)) == []


def test_trades_of_a_minute_that_is_contradicted_are_looked_through() -> None:
    answer = [trade(10), trade(11), trade(12, price="1.5"), trade(13, quantity="7"), trade(14, price="2")]
    scene = settled(answer, minutes=1)

    assert told(scene) == [f"2 trades of {SYMBOL}"]
    assert [fields(entry)["why"] for entry in scene.take_side() if entry.kind == "late"] == ["revision"] * 2
    assert scene.rest.asked == [10]


def test_minute_whose_trades_are_all_right_is_told_too() -> None:
    answers: tuple[Answer, ...] = ([10, 11, 12, 13], [], VenueUnreachable("away"))
    for answer in answers:
        assert told(settled(answer, minutes=1)) == [f"1 minute of {SYMBOL}"]


def test_kline_that_only_spans_ids_that_the_exchange_has_not_contradicts_nothing() -> None:
    """It tells two trades, and REST has the same two under the ids that it spans."""
    scene = RepairScene([trade(11, quantity="2"), trade(13, quantity="0.5"), trade(14)])
    scene.send(trade(11, quantity="2"), trade(13, quantity="0.5"))
    scene.intake.trades.pass_over(scene.sequence, 12, "absent")
    scene.intake.trades.release(scene.sequence)
    minute = kline(0, first_trade_id=11, last_trade_id=13, trades=2, volume="2.50")
    scene.intake.trades.contradictions.suspect(minute)

    asyncio.run(Conflicts(scene.intake.trades, scene.refill, scene.counters).settle())

    assert told(scene) == []


def test_minutes_that_wait_are_bounded_and_none_is_forgotten() -> None:
    assert told(settled([10, 11, 12, 13], minutes=MINUTES_MAX + 5)) == [f"6 minutes of {SYMBOL}"]
