"""Trades that come when their kline is over: the longer klines of their time lack them, and are not given."""

from __future__ import annotations

from data_collector.candles.building import CandleBuilder
from data_collector.candles.candle import LACKING_MAX
from data_collector.model.calendar import MINUTE_MS, UtcCalendar
from data_collector.model.records import Kline, Trade
from tests.market import NOON_MS, SYMBOL

LATER_MS = NOON_MS + 10 * MINUTE_MS


def builder_of(*intervals: str) -> CandleBuilder:
    builder = CandleBuilder(SYMBOL, UtcCalendar(), intervals)
    builder.begin(NOON_MS)
    return builder


def traded(trade_id: int, second: int) -> Trade:
    time_ms = NOON_MS + second * 1_000
    return Trade(SYMBOL, trade_id, "10", "1", time_ms, time_ms, is_buyer_maker=False, received_ns=1)


def told(klines: list[Kline]) -> list[tuple[str, int, int | None]]:
    return [(each.interval, (each.open_ms - NOON_MS) // MINUTE_MS, each.trades) for each in klines]


def test_trade_that_comes_after_its_minute_was_given_is_missed() -> None:
    builder = builder_of("1m", "5m")
    builder.add(traded(1, 10))
    builder.prove(1, NOON_MS + 65_000, 2)
    assert told(builder.close(NOON_MS + 66_000, 2)) == [("1m", 0, 1)]

    for trade_id, second in ((2, 50), (3, 51), (4, 70), (5, 310)):
        builder.add(traded(trade_id, second))

    assert builder.missed == [NOON_MS, NOON_MS]
    assert told(builder.close(NOON_MS + 400_000, 6)) == [("1m", 1, 1)]
    assert not builder.has_all_of("5m", NOON_MS)
    assert builder.quiet_until_ms(NOON_MS) == NOON_MS


def test_trade_of_a_minute_that_was_taken_for_quiet_keeps_longer_klines_back() -> None:
    builder = builder_of("1m", "5m")
    builder.prove(0, NOON_MS + 65_000, 1)
    assert builder.close(NOON_MS + 66_000, 1) == []

    for trade_id, second in ((1, 50), (2, 130), (3, 310), (4, 610)):
        builder.add(traded(trade_id, second))

    assert told(builder.close(LATER_MS + 60_000, 5)) == [("1m", 2, 1), ("1m", 5, 1), ("5m", 5, 1)]
    assert builder.quiet_until_ms(NOON_MS + MINUTE_MS) == builder.settled_ms


def test_more_minutes_than_are_kept_are_no_minutes_of_which_all_is_known() -> None:
    builder = builder_of("1m", "1h")
    minutes = LACKING_MAX + 1
    builder.prove(0, NOON_MS + (minutes + 1) * MINUTE_MS, 1)
    builder.close(NOON_MS + (minutes + 2) * MINUTE_MS, 1)

    for number in range(minutes):
        builder.add(traded(number + 1, number * 60))

    assert len(builder.missed) == minutes
    assert builder.starts_ms == NOON_MS + MINUTE_MS
    assert builder.quiet_until_ms(NOON_MS + MINUTE_MS) == NOON_MS + MINUTE_MS
