"""Series of which updates come and nothing closes: nobody is to take them for quiet ones."""

from __future__ import annotations

from data_collector.model.keys import Key
from data_collector.service.repairs import unclosed_reasons
from tests.market import SYMBOL, kline
from tests.unit.pipeline.repair.test_kline_repair import RepairScene, at

MINUTES = Key("kline", SYMBOL, "1m")


def test_updates_for_two_intervals_and_the_grace_without_a_close_are_told() -> None:
    scene = RepairScene()
    scene.send(kline(0, closed=False))
    scene.send(kline(1, closed=False))
    scene.send(kline(2, closed=False, event_ms=at(2) + 4_999))
    assert scene.repair.unclosed == []

    scene.send(kline(2, closed=False, event_ms=at(2) + 5_000))

    assert scene.repair.unclosed == [MINUTES]
    (reason,) = unclosed_reasons(scene.repair.unclosed)
    assert "BTCUSDT 1m has closed" in reason


def test_longer_intervals_have_their_own_time() -> None:
    scene = RepairScene()
    for minute in range(0, 60, 2):
        scene.send(kline(0, interval="1h", closed=False, event_ms=at(minute)))

    assert scene.repair.unclosed == []


def test_close_ends_it() -> None:
    scene = RepairScene()
    for minute in range(4):
        scene.send(kline(minute, closed=False))
    assert scene.repair.unclosed == [MINUTES]

    scene.send(kline(3))

    assert scene.repair.unclosed == []


def test_market_that_rests_after_a_first_update_is_no_such_series() -> None:
    """Its status is `BREAK`: nothing is sent any more, and hours later it has neither closed nor gone on."""
    scene = RepairScene()
    scene.send(kline(0, closed=False))
    scene.send(kline(0, interval="1h", closed=False, event_ms=at(30)))

    assert scene.repair.unclosed == []
