"""Candles of trades: only those that are whole."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec import structs

from data_collector.history.built.making import StoredSums
from data_collector.history.comparison import (
    AbsentRows,
    Check,
    FaultyRows,
    RefusedRows,
    compare,
    same_kline,
    same_prices,
    same_trade,
    without_explained,
)
from data_collector.model.calendar import UtcCalendar
from data_collector.model.gaps import Gap
from data_collector.model.grid import IdGrid
from data_collector.model.keys import Key
from data_collector.model.records import Kline, Trade
from tests.market import kline

MINUTE_MS = 60_000
NOON_MS = 1_704_110_400_000


def trade(trade_id: int, second: float, price: str = "10", quantity: str = "1") -> Trade:
    time_ms = NOON_MS + int(second * 1000)
    return Trade("BTCUSDT", trade_id, price, quantity, time_ms, time_ms, is_buyer_maker=False)


def made(trades: Sequence[Trade]) -> list[Kline]:
    maker = StoredSums(Key("kline", "BTCUSDT", "1m"), UtcCalendar())
    return [kline for each in trades for kline in maker.take([each])]


def minutes(klines: Sequence[Kline]) -> list[float]:
    return [(kline.open_ms - NOON_MS) / MINUTE_MS for kline in klines]


def test_candle_has_the_prices_and_sums_of_its_trades() -> None:
    (candle,) = made(
        [
            trade(1, 30),
            trade(2, 61, "10.5", "0.1"),
            trade(3, 80, "12", "0.2"),
            trade(4, 90, "9", "0.3"),
            trade(5, 119.999, "11", "0.4"),
            trade(6, 130),
        ]
    )

    assert (candle.open_ms, candle.close_ms) == (NOON_MS + MINUTE_MS, NOON_MS + 2 * MINUTE_MS - 1)
    assert (candle.open, candle.high, candle.low, candle.close) == ("10.5", "12", "9", "11")
    assert (candle.volume, candle.trades) == ("1.0", 4)


def test_first_and_last_candle_of_a_run_are_not_whole() -> None:
    assert minutes(made([trade(1, 0), trade(2, 61), trade(3, 125), trade(4, 170)])) == [1]


def test_minute_without_trades_is_a_candle_without_volume() -> None:
    klines = made([trade(1, 10), trade(2, 200)])

    assert minutes(klines) == [1, 2]
    assert [(kline.trades, kline.volume) for kline in klines] == [(0, "0"), (0, "0")]


def test_hole_in_the_ids_begins_anew() -> None:
    klines = made([trade(1, 10), trade(2, 70), trade(4, 100), trade(5, 130), trade(6, 190)])

    assert minutes(klines) == [2]


def test_trade_that_is_told_with_an_earlier_time_belongs_to_its_own_candle() -> None:
    klines = made([trade(1, 10), trade(2, 61), trade(3, 120.2), trade(4, 119.8), trade(5, 190)])

    assert minutes(klines) == [1, 2]
    assert [kline.trades for kline in klines] == [2, 1]


LACKING = ("trades", "quote_volume", "taker_buy_base_volume", "taker_buy_quote_volume")


@pytest.mark.parametrize("name", LACKING)
def test_what_only_the_other_side_tells_is_a_difference_and_the_reverse_is_none(name: str) -> None:
    full = kline()
    bare = structs.replace(full, **{name: None})

    assert [same_kline(*pair) for pair in ((full, bare), (bare, bare), (bare, full))] == [True, True, False]


def test_trades_of_our_own_do_not_contradict_a_count_that_is_not_told() -> None:
    full = kline()

    assert same_prices(structs.replace(full, trades=None), full)
    assert not same_prices(structs.replace(full, trades=5), full)


def test_side_that_is_not_told_is_compared_in_the_same_way() -> None:
    told = trade(1, 0)
    bare = structs.replace(told, is_buyer_maker=None)

    assert [same_trade(*pair) for pair in ((told, bare), (bare, bare), (bare, told))] == [True, True, False]


@pytest.mark.parametrize(
    ("declared", "hole", "by"),
    [
        ([(5000, 5004, "a"), (5002, 5002, "b")], (5000, 5004), {"a": 5, "b": 1}),
        ([(5000, 5010, "a"), (5002, 5002, "b"), (5003, 5003, "b"), (5004, 5004, "a")], (5008, 5009), {"a": 2}),
    ],
)
def test_row_that_two_ranges_declare_as_refused_counts_once_and_is_not_missing(
    declared: Sequence[tuple[int, int, str]], hole: tuple[int, int], by: dict[str, int]
) -> None:
    """The live feed declared a range, a backfill single ids in it."""
    gaps = [Gap(first, last, last - first + 1, "refused", (rule,)) for first, last, rule in declared]
    refused, check = RefusedRows(IdGrid(), gaps), Check("BTCUSDT trades", "calendar")

    assert without_explained(check, IdGrid(), [hole], (), refused) == []
    assert (check.refused, check.refused_by) == (hole[1] - hole[0] + 1, by)
    assert all(refused.of(number) is not None for number in range(hole[0], hole[1] + 1))


def test_ids_that_nobody_has_are_absent_inside_the_answers_and_missing_behind_them() -> None:
    """The database lacks 3 to 5 and 8 to 10; the exchange tells 1, 2, 4 and then 6, 7."""
    calendar, exchange = Check("BTCUSDT trades", "calendar"), Check("BTCUSDT trades", "exchange", missing=1)
    faults, absent = FaultyRows({4}), AbsentRows(IdGrid())
    absent.take([1, 2, 4], 100)
    absent.take([6, 7], 100)

    proven = absent.settle(calendar, exchange, faults, [(3, 5), (8, 10)])

    assert proven == [Gap(3, 3, 1, "absent"), Gap(5, 5, 1, "absent")]
    assert (calendar.absent, exchange.missing) == (2, 4)
    assert faults.as_ranges(IdGrid()) == [(4, 4), (8, 10)]


def test_stored_row_that_contradicts_what_validation_refused_is_named() -> None:
    """A repair puts the exchange's copy into quarantine, and the tampered row stays."""
    refused = RefusedRows(IdGrid(), [Gap(7, 7, 1, "refused", ("price_cap",))])
    check = Check("BTCUSDT trades", "exchange")

    compare(check, FaultyRows(), {7: trade(7, 1, "9")}, {7: trade(7, 1, "10")}, same=same_trade, refused=refused)

    assert (check.differing, check.refused) == (1, 0)
    (example,) = check.examples
    assert example.startswith("trade 7 is 1 at 9 here and 1 at 10 there; validation refused that one (price_cap), ")
