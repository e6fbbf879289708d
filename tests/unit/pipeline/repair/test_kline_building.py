"""Klines that are made of the trades that pass, and what becomes of those that cannot be."""

from __future__ import annotations

import pytest

from data_collector.model.gate import Gate, Verdict
from data_collector.model.keys import Key
from data_collector.model.records import Kline, Record
from data_collector.pipeline.repair.kline_building import KlineBuilding
from data_collector.pipeline.repair.kline_repair import BUILT_GRACE_S, GRACE_S
from data_collector.pipeline.sequence.built_klines import BuiltKlines
from data_collector.pipeline.sequence.trade_sequence import ARBITRATION_S
from tests.judging import shipped_gate
from tests.market import MINUTE_MS, NOON_MS, SYMBOL, kline, ticker, trade
from tests.unit.pipeline.intake_scene import fields
from tests.unit.pipeline.repair.test_kline_repair import RepairScene

FIRST_ID = 10


class RefusingGate:
    """Refuses every closed kline."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.check_trade = gate.check_trade
        self.sentences = gate.sentences

    def check(self, record: Record) -> Verdict | None:
        closed = isinstance(record, Kline) and record.is_closed
        return Verdict(("some_rule",)) if closed else self._gate.check(record)


class BuiltScene(RepairScene):
    """The first trade comes ten seconds before noon; the minute that runs then, which REST tells, is stored."""

    def __init__(self, *, is_first_told: bool = True, first_s: float = -10) -> None:
        super().__init__(are_built=True)
        built = self.intake.klines.built
        assert built is not None
        self.built: BuiltKlines = built
        self.building = KlineBuilding(built, self.intake, self.market, self.repair.exchange_clock, lambda: self.now_s)
        self.next_id = FIRST_ID
        self.send(ticker(NOON_MS - MINUTE_MS, last_id=FIRST_ID))
        self.trade(first_s)
        self.wait(ARBITRATION_S)
        if is_first_told:
            minutes = self.intake.klines.series[Key("kline", SYMBOL, "1m")]
            self.intake.klines.begin_at(minutes, NOON_MS - MINUTE_MS)
            self.intake.klines.take_told(minutes, kline(-1, received_ns=0, first_trade_id=-1, last_trade_id=-1))
            self.take()

    def trade(self, second: float, *, ids: int = 1, **changes: object) -> None:
        """The next one, so many seconds after noon; with more `ids` some before it do not come."""
        time_ms = NOON_MS + int(second * 1000)
        self.next_id += ids - 1
        self.send(trade(self.next_id, time_ms=time_ms, event_ms=time_ms, **changes))
        self.next_id += 1

    def beat(self, second: float) -> list[tuple[int, str]]:
        """The exchange's clock stands there; minutes and sources of what closed."""
        self.built.beat(SYMBOL, NOON_MS + int(second * 1000), with_open=True)
        return self.stored()

    def closed(self) -> list[Kline]:
        return [each.kline for updates in self.take().klines for each in updates if each.kline.is_closed]


@pytest.fixture
def scene() -> BuiltScene:
    return BuiltScene()


def test_minute_closes_half_a_second_after_its_end_when_a_later_trade_came(scene: BuiltScene) -> None:
    scene.trade(5, price="1.50", quantity="2")
    scene.trade(30, price="2.25", quantity="0.125", is_buyer_maker=False)
    assert scene.beat(61) == []
    scene.trade(60)
    assert scene.beat(60.4) == []

    scene.built.beat(SYMBOL, NOON_MS + 60_500, with_open=True)

    (minute,) = scene.closed()
    assert minute == kline(
        0, open="1.50", high="2.25", low="1.50", close="2.25", volume="2.125", quote_volume="3.28125",
        taker_buy_base_volume="0.125", taker_buy_quote_volume="0.28125", trades=2, event_ms=NOON_MS + 60_500,
        first_trade_id=11, last_trade_id=12, received_ns=0,
    )  # fmt: skip


def test_minute_before_the_first_trade_is_not_given(scene: BuiltScene) -> None:
    for second in (5, 65):
        scene.trade(second)

    assert scene.beat(70) == [(0, "built")]


def test_kline_with_trades_from_before_the_first_ticker_is_not_whole() -> None:
    """The ticker names the first trade that is here as it was within a second around its own time."""
    scene = BuiltScene(is_first_told=False, first_s=0.9)

    scene.send(ticker(NOON_MS + 950, last_id=FIRST_ID))

    assert not scene.built.will_make(Key("kline", SYMBOL, "1h"), NOON_MS)
    assert scene.built.builders[SYMBOL].starts_ms > NOON_MS + 900


def test_longer_kline_that_lacks_a_trade_is_not_taken_for_one_without_any(scene: BuiltScene) -> None:
    hours = scene.intake.klines.series[Key("kline", SYMBOL, "1h")]
    scene.intake.klines.begin({hours.key: NOON_MS})
    scene.trade(5)
    scene.trade(3_605)
    scene.built.prove(SYMBOL, scene.next_id - 1, NOON_MS + 3_665_000)
    scene.beat(3_666)
    for second in (3_650, 3_670, 7_205, 7_270):
        scene.trade(second)

    scene.built.beat(SYMBOL, NOON_MS + 7_271_000, with_open=False)

    assert [(each.open_ms, each.trades) for each in scene.closed() if each.interval == "1h"] == []
    assert hours.due_ms == NOON_MS + 60 * MINUTE_MS


def test_open_klines_come_of_what_is_whole_so_far(scene: BuiltScene) -> None:
    scene.beat(-5)
    scene.trade(5)
    scene.trade(6)
    scene.beat(7)

    updates = [each for updates in scene.take().klines for each in updates]

    assert [(each.kline.interval, each.kline.trades, each.source) for each in updates if each.kline.trades] == []
    scene.trade(8)
    scene.built.beat(SYMBOL, NOON_MS + 9_000, with_open=True)
    (update,) = [each for updates in scene.take().klines for each in updates if each.kline.interval == "1m"]
    assert (update.kline.is_closed, update.kline.trades, update.source) == (False, 3, "built")


async def test_minute_with_a_lost_trade_is_told_by_rest(scene: BuiltScene) -> None:
    scene.trade(5)
    scene.trade(65)
    scene.beat(66)
    scene.trade(70, ids=2)
    scene.intake.trades.pass_over(scene.sequence, scene.next_id - 2, "lost")
    scene.intake.trades.release(scene.sequence)
    for second in (125, 185):
        scene.trade(second)
    scene.market.has(1)
    scene.market.now_ms = NOON_MS + 190_000

    assert scene.beat(190) == []
    await scene.pass_s(GRACE_S + 1)

    assert scene.stored() == [(1, "rest"), (2, "built")]


async def test_late_copy_of_a_lost_trade_changes_no_kline(scene: BuiltScene) -> None:
    """Its minute was not whole, so it is none of those that were built."""
    scene.trade(5)
    scene.trade(65)
    assert scene.beat(66) == [(0, "built")]
    scene.trade(70, ids=2)
    lost_id = scene.next_id - 2
    scene.intake.trades.pass_over(scene.sequence, lost_id, "lost")
    scene.intake.trades.release(scene.sequence)
    for second in (125, 185):
        scene.trade(second)
    assert scene.beat(190) == []

    scene.send(trade(lost_id, time_ms=NOON_MS + 69_000, event_ms=NOON_MS + 69_000))

    assert [entry.kind for entry in scene.take_side()] == ["late"]
    assert scene.beat(250) == []
    series = scene.intake.klines.series[Key("kline", SYMBOL, "1m")]
    assert (series.due_ms, series.first_held_ms) == (NOON_MS + MINUTE_MS, NOON_MS + 2 * MINUTE_MS)


async def test_row_that_rest_told_first_stands(scene: BuiltScene) -> None:
    scene.trade(5)
    scene.trade(65)
    scene.beat(66)
    scene.market.has(1)
    scene.market.now_ms = NOON_MS + 130_000
    await scene.pass_s(60)
    await scene.pass_s(GRACE_S + 1)
    assert scene.stored() == []
    await scene.pass_s(BUILT_GRACE_S + 1)
    assert scene.stored() == [(1, "rest")]
    scene.trade(125)

    assert scene.beat(130) == []
    assert scene.take_side() == []


async def test_minutes_without_a_trade_are_closed_when_the_newest_id_proves_them(scene: BuiltScene) -> None:
    scene.trade(5, price="7.50")
    scene.trade(65, price="8.25")
    assert scene.beat(66) == [(0, "built")]
    scene.send(ticker(NOON_MS + 125_000, last_id=scene.next_id - 1))
    assert scene.beat(125) == [(1, "built")]
    scene.send(ticker(NOON_MS + 245_000, last_id=scene.next_id - 1))
    scene.built.beat(SYMBOL, NOON_MS + 245_000, with_open=True)

    quiet = scene.closed()

    assert [(each.trades, each.open, each.close, each.volume) for each in quiet] == [(0, "8.25", "8.25", "0.000")] * 2
    assert scene.market.asked == []


async def test_newest_id_is_asked_for_where_no_trade_follows(scene: BuiltScene) -> None:
    heads: list[list[str]] = []

    async def tell(symbols: list[str]) -> dict[str, int]:
        heads.append(symbols)
        return dict.fromkeys(symbols, scene.next_id - 1)

    scene.market.heads = tell  # type: ignore[assignment, method-assign]
    scene.trade(5)
    scene.trade(65)
    scene.beat(66)
    scene.market.now_ms = NOON_MS + 130_000
    await scene.repair.look()
    await scene.building.ask()
    assert heads == []
    scene.now_s += 65
    await scene.building.ask()

    assert heads == [[SYMBOL]]
    assert scene.beat(131) == [(1, "built")]


async def test_kline_that_a_rule_refuses_is_no_quiet_one(scene: BuiltScene) -> None:
    """Its place is explained, and not filled with zeros."""
    scene.trade(5)
    scene.trade(65)
    assert scene.beat(66) == [(0, "built")]
    scene.intake.refusals.gate = RefusingGate(shipped_gate())
    scene.send(ticker(NOON_MS + 185_000, last_id=scene.next_id - 1))
    assert scene.beat(186) == []
    scene.intake.refusals.gate = shipped_gate()
    scene.trade(188)
    scene.trade(245)
    scene.built.beat(SYMBOL, NOON_MS + 250_000, with_open=True)

    updates = [each for updates in scene.take().klines for each in updates if each.kline.is_closed]
    assert [(each.kline.trades, each.source) for each in updates] == [(0, "built"), (1, "built")]
    assert [(gap.first, gap.reason, gap.rules) for each in updates for gap in each.gaps] == [
        (NOON_MS + MINUTE_MS, "refused", ("some_rule",))
    ]


def test_ids_that_begin_anew_leave_their_minute_to_rest(scene: BuiltScene) -> None:
    scene.trade(5)
    scene.trade(65)
    assert scene.beat(66) == [(0, "built")]
    scene.sequence.begin_epoch(1, 1)
    scene.next_id = 1
    for second in (70, 125, 185):
        scene.trade(second)

    assert scene.beat(190) == []
    assert scene.intake.klines.series[Key("kline", SYMBOL, "1m")].first_held_ms == NOON_MS + 2 * MINUTE_MS


def test_trades_that_passed_unseen_leave_their_minute_to_rest(scene: BuiltScene) -> None:
    """They waited in the spool, because memory was full."""
    scene.trade(5)
    scene.sequence.skip_to(scene.next_id + 3)
    scene.next_id += 3
    for second in (65, 125, 185):
        scene.trade(second)

    assert scene.beat(190) == []
    series = scene.intake.klines.series[Key("kline", SYMBOL, "1m")]
    assert (series.due_ms, series.first_held_ms) == (NOON_MS, NOON_MS + 2 * MINUTE_MS)


async def test_minutes_that_an_old_newest_id_closed_are_compared_when_no_trade_follows(scene: BuiltScene) -> None:
    """A cache repeats the newest id while the stream is mute: one kline lacks a trade, the next has none at all."""
    for second in (5, 6):
        scene.trade(second)
    for second in (62, 122):
        scene.intake.take_head(SYMBOL, scene.next_id - 1, NOON_MS + second * 1000)
        assert scene.beat(second + 1) == [((second - 62) // 60, "built")]
    scene.market.has(0, 1, trades=4)
    scene.market.now_ms = NOON_MS + 200_000

    scene.beat(160)
    for second, revised in ((160, 1), (190, 1)):
        # REST's row of a minute is final a minute after its end.
        scene.intake.tally.other_event_ms = NOON_MS + second * 1000
        await scene.repair.look()
        assert [(entry.kind, fields(entry)["why"]) for entry in scene.take_side()] == [("late", "revision")] * revised


async def test_minute_that_an_id_closed_and_a_trade_followed_is_not_asked_about(scene: BuiltScene) -> None:
    for second in (5, 65):
        scene.trade(second)
    scene.intake.take_head(SYMBOL, scene.next_id - 1, NOON_MS + 122_000)
    assert scene.beat(123) == [(0, "built"), (1, "built")]
    scene.trade(130)
    for second in (131, 170):
        scene.beat(second)

    # One minute of an hour is compared in any case.
    assert [each.kline.open_ms for each in scene.intake.klines.doubts.waiting if each.origin == "built"] == [NOON_MS]


@pytest.mark.parametrize(("last", "compared"), [(119.9, []), (119.97, [1])])
async def test_minute_whose_last_trade_may_be_told_early_is_compared(
    scene: BuiltScene, last: float, compared: list[int]
) -> None:
    """The exchange may count a trade at the border in the next minute, and none that follows shows it."""
    for second in (5, 65, last, 121):
        scene.trade(second)
    scene.beat(123)

    doubts = [each for each in scene.intake.klines.doubts.waiting if each.origin == "built"]
    assert [(each.kline.open_ms - NOON_MS) // MINUTE_MS for each in doubts] == [0, *compared]


async def test_minute_that_waits_is_compared_when_its_turn_has_come(scene: BuiltScene) -> None:
    """A trade of it is told when it is over, and the one before it, of which a trade is lost, is still missing."""
    scene.trade(5, ids=2)
    scene.intake.trades.pass_over(scene.sequence, scene.next_id - 2, "lost")
    scene.intake.trades.release(scene.sequence)
    for second in (65, 125, 185):
        scene.trade(second)
    assert scene.beat(190) == []
    scene.trade(70)
    scene.trade(191)
    assert scene.beat(192) == []
    scene.market.has(1, trades=2)
    scene.market.now_ms = scene.intake.tally.other_event_ms = NOON_MS + 200_000
    for _ in range(2):
        await scene.pass_s(GRACE_S + 1)
    assert (scene.stored(), scene.take_side()) == ([], [])

    scene.market.has(0)
    await scene.pass_s(60)
    assert scene.stored() == [(0, "rest"), (1, "built"), (2, "built")]
    await scene.repair.look()
    assert [(entry.kind, fields(entry)["why"]) for entry in scene.take_side()] == [("late", "revision")]
