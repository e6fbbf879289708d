"""Where series of klines that are made of trades begin: with the one that runs, which REST tells."""

from __future__ import annotations

import pytest

from data_collector.model.keys import Key
from data_collector.pipeline.repair.kline_repair import FIRST_S, GRACE_S
from tests.market import MINUTE_MS, NOON_MS, SYMBOL, kline
from tests.unit.pipeline.repair.test_kline_building import BuiltScene


@pytest.fixture
def scene() -> BuiltScene:
    """Its first minute is told."""
    return BuiltScene()


def test_interval_that_is_added_again_has_no_quiet_kline_that_was_traded_in(scene: BuiltScene) -> None:
    """Its kline runs when it is added: what was traded in it before is not known."""
    key = Key("kline", SYMBOL, "1h")
    scene.trade(5)
    scene.intake.klines.remove(key)
    scene.trade(3_605)
    scene.beat(3_700)
    scene.intake.klines.add(key)
    scene.intake.klines.begin({key: NOON_MS})
    hours = scene.intake.klines.series[key]
    scene.intake.klines.take_told(hours, kline(0, interval="1h", trades=1))
    assert hours.due_ms == NOON_MS + 60 * MINUTE_MS
    for second in (7_205, 7_270):
        scene.trade(second)

    scene.built.beat(SYMBOL, NOON_MS + 7_271_000, with_open=False)

    assert hours.due_ms == NOON_MS + 60 * MINUTE_MS


async def test_kline_that_ran_when_its_interval_was_added_again_is_told_by_rest(scene: BuiltScene) -> None:
    """Its first trades were summed up for nobody: it is not given, and no kline without a trade either."""
    key = Key("kline", SYMBOL, "1h")
    before = kline(-60, interval="1h", received_ns=0, first_trade_id=-1, last_trade_id=-1)
    scene.intake.klines.remove(key)
    for second in range(5, 1_800, 10):
        scene.trade(second)
    scene.intake.klines.add(key)
    scene.intake.klines.resume({key: before.open_ms})
    scene.intake.klines.take_told(scene.intake.klines.series[key], before)
    for second in range(1_805, 3_700, 10):
        scene.trade(second)
    scene.built.beat(SYMBOL, NOON_MS + 3_700_000, with_open=True)

    hours = [each for each in scene.closed() if each.interval == "1h"]
    assert [(each.open_ms, each.trades) for each in hours] == [(before.open_ms, before.trades)]
    assert not scene.built.makes(scene.intake.klines.series[key])


async def test_minute_that_ran_at_the_start_is_told_by_rest_once_it_is_over() -> None:
    """Those that follow wait for it, and are built of the trades."""
    scene = BuiltScene(is_first_told=False)
    scene.market.has(-1)
    assert scene.beat(-5) == []
    for second in (5, 65):
        scene.trade(second)
    scene.market.now_ms = NOON_MS + 1_000
    scene.intake.tally.other_event_ms = scene.market.now_ms
    await scene.pass_s(GRACE_S - 1)
    assert scene.stored() == []

    await scene.pass_s(2)
    assert scene.stored() == [(-1, "rest")]
    assert scene.beat(66) == [(0, "built")]
    await scene.repair.look()
    assert (scene.stored(), scene.gaps(), scene.take_side()) == ([], [], [])


@pytest.mark.parametrize("is_clock_away", [False, True])
async def test_minutes_begin_with_the_first_whole_one_where_rest_tells_nothing(is_clock_away: bool) -> None:
    """What REST tells later of the one before is not put behind it."""
    scene = BuiltScene(is_first_told=False)
    scene.beat(-5)
    scene.market.away, scene.market.banned = True, is_clock_away
    scene.trade(5)
    scene.market.now_ms = NOON_MS + 1_000
    scene.intake.tally.other_event_ms = scene.market.now_ms
    await scene.repair.look()
    scene.trade(65)
    assert scene.beat(66) == []

    await scene.pass_s(FIRST_S)
    assert scene.stored() == [(0, "built")]
    scene.market.away = False
    scene.market.has(-1)
    await scene.pass_s(60)
    assert (scene.stored(), scene.gaps(), scene.take_side()) == ([], [], [])


async def test_first_minute_that_rest_does_not_tell_is_no_open_gap() -> None:
    """Nothing is stored before the first record, so nothing is missing there: neither before nor after it came."""
    scene = BuiltScene(is_first_told=False)
    ledger = scene.intake.klines.ledger
    scene.beat(-5)
    scene.market.now_ms = NOON_MS + 1_000
    scene.intake.tally.other_event_ms = scene.market.now_ms
    await scene.pass_s(FIRST_S + 1)
    assert "1m" in {interval for interval, *_ in scene.asked}
    assert ledger.status().open == []

    for second in (5, 65):
        scene.trade(second)
    scene.beat(66)
    await scene.repair.look()
    assert scene.stored() == [(0, "built")]
    assert ledger.status().open == []


async def test_first_kline_of_a_long_series_is_what_rest_tells_of_it(scene: BuiltScene) -> None:
    scene.beat(-5)
    scene.trade(5)
    scene.trade(3_605)
    scene.beat(3_606)
    scene.market.has(-60, interval="1h")
    scene.market.has(0, interval="1h")
    scene.market.now_ms = NOON_MS + 3_606_000
    await scene.pass_s(GRACE_S + 1)
    assert scene.stored("1h") == [(-60, "rest"), (0, "built")]


async def test_long_series_begins_with_the_next_kline_where_rest_tells_nothing(scene: BuiltScene) -> None:
    scene.beat(-5)
    scene.market.away = True
    scene.trade(5)
    scene.trade(3_605)
    scene.beat(3_606)
    await scene.pass_s(GRACE_S + 1)
    assert scene.stored("1h") == []

    await scene.pass_s(FIRST_S)

    assert scene.stored("1h") == [(0, "built")]
    assert scene.gaps() == []


def test_interval_that_is_added_begins_with_the_running_kline(scene: BuiltScene) -> None:
    scene.trade(5)
    scene.beat(6)
    scene.intake.klines.add(Key("kline", SYMBOL, "5m"))
    scene.trade(65)
    scene.beat(66)
    scene.stored("5m")
    series = scene.intake.klines.series[Key("kline", SYMBOL, "5m")]
    assert series.due_ms == NOON_MS
    assert not scene.built.makes(series)

    scene.intake.klines.remove(Key("kline", SYMBOL, "5m"))
    scene.trade(125)
    assert scene.beat(130) == [(1, "built")]


async def test_series_that_never_closes_although_trades_come_is_told(scene: BuiltScene) -> None:
    """REST does not say on which day weeks open."""
    weeks = Key("kline", SYMBOL, "1w")
    scene.intake.klines.add(weeks)
    for day in range(17):
        scene.trade(day * 86_400 + 5)
        scene.beat(day * 86_400 + 6)
        assert scene.repair.unclosed == ([weeks] if day > 14 else [])

    scene.built.anchor(weeks, NOON_MS - 43_200_000)
    scene.beat(17 * 86_400)
    assert scene.repair.unclosed == []


async def test_kline_that_ran_at_the_start_is_no_quiet_one_where_all_of_its_trades_are_known() -> None:
    """Trades from before its beginning came too, as where the newest ones are told first, or a hole is filled."""
    scene = BuiltScene(is_first_told=False)
    scene.trade(5)
    scene.beat(181)
    scene.trade(200)
    scene.trade(3_605)

    scene.built.beat(SYMBOL, NOON_MS + 3_606_000, with_open=False)

    assert [(each.open_ms, each.trades) for each in scene.closed() if each.interval == "1h"] == [(NOON_MS, 2)]


async def test_lost_series_that_is_filled_again_has_no_quiet_kline_that_was_traded_in() -> None:
    """The store was emptied and the collector killed before it was filled; then trades of a hole came."""
    scene = BuiltScene(is_first_told=False)
    klines, hours = scene.intake.klines, scene.intake.klines.series[Key("kline", SYMBOL, "1h")]
    klines.catch_up_ms = 120 * MINUTE_MS
    klines.begin({}, was_filled=True)
    scene.trade(5)
    scene.beat(181)
    klines.take_told(hours, kline(-60, interval="1h", received_ns=0, first_trade_id=-1, last_trade_id=-1))
    scene.trade(200)
    scene.trade(3_605)

    scene.built.beat(SYMBOL, NOON_MS + 3_606_000, with_open=False)

    closed = [(each.open_ms, each.trades) for each in scene.closed() if each.interval == "1h"]
    assert closed[-1] == (NOON_MS, 2)
