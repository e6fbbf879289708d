"""Longer klines that go on after a restart: the shorter ones that were stored are what they consist of so far."""

from __future__ import annotations

from data_collector.model.calendar import MINUTE_MS
from data_collector.model.records import Kline
from tests.market import NOON_MS, SYMBOL, kline
from tests.unit.candles.test_building import builder_of, told, traded


def minute_of(number: int, **changes: object) -> Kline:
    plain: dict[str, object] = {
        "open": "10", "high": "10", "low": "10", "close": "10", "volume": "2", "quote_volume": "20", "trades": 2,
        "taker_buy_base_volume": "0", "taker_buy_quote_volume": "0", "first_trade_id": -1, "last_trade_id": -1,
    }  # fmt: skip
    return kline(number, **plain | changes)


def test_minutes_of_several_klines_make_several() -> None:
    """The longer one that ended was not stored when the process was killed, and minutes behind its end were."""
    builder = builder_of("1m", "5m")
    builder.begin(NOON_MS + 9 * MINUTE_MS)

    builder.restore("5m", [minute_of(number) for number in range(9)])
    builder.add(traded(1, 9 * 60 + 1))
    builder.add(traded(2, 10 * 60 + 1))

    given = builder.close(NOON_MS + 11 * MINUTE_MS, 3)
    assert told(given) == [("5m", 0, 10), ("1m", 9, 1), ("5m", 5, 9)]
    assert [(each.volume, each.quote_volume) for each in given if each.interval == "5m"] == [("10", "100"), ("9", "90")]


def test_minutes_of_one_kline_that_is_over_make_it_when_the_next_one_is() -> None:
    builder = builder_of("1m", "5m")
    builder.begin(NOON_MS + 5 * MINUTE_MS)

    builder.restore("5m", [minute_of(number) for number in range(5)])
    builder.add(traded(1, 5 * 60 + 1))
    builder.add(traded(2, 6 * 60 + 1))

    assert told(builder.close(NOON_MS + 7 * MINUTE_MS, 3)) == [("5m", 0, 10), ("1m", 5, 1)]


def test_minutes_are_summed_up_whatever_digits_each_has() -> None:
    finer = minute_of(1, high="12.75", close="11.5", volume="0.125", quote_volume="1.4375")
    builder = builder_of("1m", "5m")
    builder.begin(NOON_MS + 5 * MINUTE_MS)

    builder.restore("5m", [minute_of(0), finer])

    (whole,) = builder.settle(NOON_MS + 5 * MINUTE_MS, 0)
    assert (whole.symbol, whole.high, whole.low, whole.close) == (SYMBOL, "12.75", "10", "11.5")
    assert (float(whole.volume), float(whole.quote_volume or 0), whole.trades) == (2.125, 21.4375, 4)


def test_nothing_goes_on_with_a_minute_of_which_not_all_is_known() -> None:
    builder = builder_of("1m", "5m")

    builder.restore("5m", [minute_of(0), minute_of(1, quote_volume=None)])

    assert builder.settle(NOON_MS + 5 * MINUTE_MS, 0) == []
