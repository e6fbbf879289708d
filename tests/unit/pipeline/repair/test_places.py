"""From which trade an exchange that pages by time is asked."""

from __future__ import annotations

import asyncio

from data_collector.model.sink import TradeTail
from data_collector.model.venue import TradePlace
from data_collector.pipeline.repair.places import DISORDER_MS
from tests.market import NOON_MS, SYMBOL, trade
from tests.unit.pipeline.repair_scene import RepairScene

NOON_US = NOON_MS * 1000


def test_question_names_the_last_trade_before_what_is_missing() -> None:
    scene = RepairScene([10, 11, 12, 13])
    scene.send(trade(12))

    scene.look()

    assert scene.rest.asked == [10]
    assert scene.rest.near == [TradePlace(10, NOON_US + 123_000)]


def test_place_has_the_microseconds_that_the_stream_told() -> None:
    scene = RepairScene([])
    scene.sequence.advance(trade(11, sub_ms_us=456))

    asyncio.run(scene.refill.trades(SYMBOL, 12))

    assert scene.rest.near == [TradePlace(11, NOON_US + 123_456)]


def test_wider_question_names_no_trade_behind_its_beginning() -> None:
    """Every other question begins 999 ids earlier, where nothing is known."""
    scene = RepairScene([], [])
    scene.skip_to(5_000)
    scene.sequence.recent[4_999 & scene.sequence.recent_mask] = trade(4_999)
    scene.send(trade(5_001))

    scene.look()
    scene.look(30)

    assert scene.rest.asked == [4_999, 5_000 - 999]
    assert scene.rest.near == [TradePlace(4_999, NOON_US + 123_000), None]


def test_after_a_start_it_is_asked_from_the_end_of_the_store() -> None:
    """The newest time in the store may be that of a trade before its last one."""
    scene = RepairScene([])
    scene.places.note_stored({SYMBOL: TradeTail(1, 4_999, last_ms=NOON_MS, stored_id=4_990), "ETHUSDT": None})
    scene.skip_to(5_000)
    scene.sequence.recent = [None] * len(scene.sequence.recent)

    asyncio.run(scene.refill.trades(SYMBOL, 4_999))
    asyncio.run(scene.refill.trades(SYMBOL, 4_989))

    assert scene.rest.near == [TradePlace(4_990, NOON_US - DISORDER_MS * 1000), None]


def test_end_of_the_store_is_no_place_in_the_next_life_of_the_ids() -> None:
    scene = RepairScene([])
    scene.places.note_stored({SYMBOL: TradeTail(1, 4_999, last_ms=NOON_MS, stored_id=4_990)})
    scene.sequence.begin_epoch(1, 6_000)

    asyncio.run(scene.refill.trades(SYMBOL, 5_999))

    assert scene.rest.near == [None]
