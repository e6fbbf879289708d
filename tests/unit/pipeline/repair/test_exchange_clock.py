"""Messages of a time that has not come, a REST side with a clock of its own: nothing is final on the word of one."""

from __future__ import annotations

import pytest

from data_collector.model.channels import number_of
from data_collector.model.errors import VenueUnreachable
from data_collector.model.keys import Key
from data_collector.pipeline.repair.exchange_clock import UNANSWERED_S
from data_collector.pipeline.repair.kline_repair import GRACE_S
from data_collector.pipeline.sequence.exchange_clock import AHEAD_MS, ExchangeClock
from data_collector.pipeline.sequence.trade_sequence import ARBITRATION_S
from tests.market import MINUTE_MS, NOON_MS, SYMBOL, kline, ticker, trade
from tests.unit.pipeline.intake_scene import Scene, rules
from tests.unit.pipeline.repair.test_kline_building import BuiltScene
from tests.unit.pipeline.repair.test_kline_repair import RepairScene, at, begun

DAY_AHEAD = 23 * 60
HOUR_MS = 60 * MINUTE_MS


@pytest.fixture
def scene() -> RepairScene:
    return RepairScene()


async def test_open_kline_of_tomorrow_builds_nothing_and_keeps_out_no_true_frame(scene: RepairScene) -> None:
    """`t`, `T` and `E` lie 23 h ahead, and its ids go on where the last closed kline ends."""
    await begun(scene)
    scene.send(kline(1, closed=False, event_ms=at(1.4), first_trade_id=1334, last_trade_id=1340))

    tomorrow = kline(DAY_AHEAD, closed=False, first_trade_id=1334, last_trade_id=1340)
    Scene.send(scene, tomorrow)
    await scene.repair.look()

    assert scene.stored() == []
    assert [open_ms for _, open_ms, _ in scene.asked] == []
    scene.send(kline(1, first_trade_id=1334, last_trade_id=1400))
    await scene.repair.look()
    assert scene.stored() == [(1, "ws")]
    assert scene.intake.klines.series[Key("kline", SYMBOL, "1m")].open_ms == at(1)


async def test_message_of_tomorrow_is_kept_with_the_reason(scene: RepairScene) -> None:
    await begun(scene)

    Scene.send(scene, kline(DAY_AHEAD, closed=False), kline(DAY_AHEAD), ticker(at(DAY_AHEAD)))
    await scene.repair.look()

    assert [rules(entry) for entry in scene.take_side()] == [["event_time_jump"]] * 3
    assert "3 messages of a time that has not come" in str(scene.intake.tally.clock.doubt)
    await scene.pass_s(61)
    assert scene.intake.tally.clock.doubt is None


@pytest.mark.parametrize("is_closed", [False, True])
async def test_next_minutes_frame_that_comes_early_does_not_empty_the_running_one(
    scene: RepairScene, *, is_closed: bool
) -> None:
    await begun(scene)
    scene.send(kline(1, closed=False, event_ms=at(1.4), first_trade_id=1334, last_trade_id=1340))

    event_ms = at(2.1 if is_closed else 1.5)
    Scene.send(scene, kline(2, closed=is_closed, first_trade_id=1334, last_trade_id=1340, event_ms=event_ms))
    await scene.repair.look()
    assert scene.stored() == []

    scene.send(kline(1, first_trade_id=1334, last_trade_id=1400))
    await scene.repair.look()
    taken = scene.take()
    closed = [each for updates in taken.klines for each in updates if each.kline.is_closed]
    assert [(each.kline.open_ms, each.kline.trades, each.source) for each in closed] == [(at(1), 1234, "ws")]
    assert taken.revisions == []


@pytest.mark.parametrize("event_minute", [1.4, 2.0])
async def test_closing_frame_before_its_end_waits_for_the_true_one(scene: RepairScene, event_minute: float) -> None:
    """17 of 60 trades, 36 seconds before the end."""
    await begun(scene)
    scene.send(kline(1, closed=False, event_ms=at(1.4)))

    Scene.send(scene, kline(1, volume="123.4", trades=17, event_ms=at(event_minute)))
    await scene.repair.look()
    assert scene.stored() == []

    scene.send(kline(1, event_ms=at(2) + 20))
    await scene.repair.look()
    taken = scene.take()
    closed = [each.kline for updates in taken.klines for each in updates if each.kline.is_closed]
    assert [kline.volume for kline in closed] == ["123.456"]
    assert taken.revisions == []


async def test_closing_frame_whose_time_nobody_else_knows_yet_passes_when_rest_says_so(scene: RepairScene) -> None:
    await begun(scene)
    Scene.send(scene, kline(1))
    assert scene.stored() == []

    scene.market.now_ms = at(2)
    await scene.repair.look()

    assert scene.stored() == [(1, "ws")]


async def test_rest_clock_an_hour_ahead_makes_no_running_kline_final(scene: RepairScene) -> None:
    """`/api/v3/time` is wrong throughout, and REST tells running klines as closed; the streams are honest."""
    scene.market.now_ms = at(61)
    Scene.send(scene, kline(0))
    scene.market.has(0, 1)
    await scene.repair.look()
    scene.take()

    for second in (24, 29, 34, 39):
        Scene.send(scene, kline(1, closed=False, event_ms=at(1) + second * 1000))
        await scene.pass_s(GRACE_S)
    assert scene.stored() == []
    assert scene.intake.tally.clock.doubt is not None
    assert "REST side tells a time that is 3,5" in scene.intake.tally.clock.doubt

    Scene.send(scene, kline(1))
    assert scene.stored() == [(1, "ws")]


async def test_doubt_ends_when_the_clocks_agree(scene: RepairScene) -> None:
    await begun(scene)
    for ahead_ms in (HOUR_MS, HOUR_MS):
        scene.intake.tally.note_rest(at(1) + ahead_ms)
    assert scene.intake.tally.clock.doubt is not None
    assert scene.intake.tally.clock.disagreement_ms == HOUR_MS

    scene.intake.tally.note_rest(at(1))

    assert scene.intake.tally.clock.doubt is None


async def test_kline_that_our_own_trades_contradict_is_not_built(scene: RepairScene) -> None:
    """The next minute's frame says that there was no trade; ours are of that minute."""
    await begun(scene)
    scene.begin(1333)
    for number in (1334, 1335):
        scene.send(trade(number, time_ms=at(1.2), event_ms=at(1.2)))
    scene.take()

    scene.send(kline(2, closed=False, event_ms=at(2.1), first_trade_id=1334, last_trade_id=1340))
    assert scene.stored() == []
    scene.market.has(1)
    await scene.pass_s(GRACE_S)

    assert scene.stored() == [(1, "rest")]


async def test_true_frame_mends_a_kline_that_was_built_without_its_trades(scene: RepairScene) -> None:
    await begun(scene)
    scene.send(kline(2, closed=False, event_ms=at(2.5), first_trade_id=1334, last_trade_id=1340))
    assert scene.stored() == [(1, "built")]

    scene.send(kline(1, event_ms=at(2.1)))

    assert [each.record.open_ms for each in scene.take().revisions] == [at(1)]


async def test_event_time_that_rest_contradicts_makes_nothing_overdue(scene: RepairScene) -> None:
    await begun(scene)
    Scene.send(scene, kline(0, interval="1h", closed=False, event_ms=at(20 * 60)))

    await scene.pass_s(GRACE_S)
    assert scene.asked == []

    scene.market.has(1)
    await scene.pass_s(120)
    await scene.pass_s(GRACE_S)
    assert scene.stored() == [(1, "rest")]


async def test_exchange_that_serves_nothing_here_ends_nothing(scene: RepairScene) -> None:
    scene.market.banned = True
    await scene.pass_s(1)
    scene.market.banned = False
    await scene.pass_s(60)
    await begun(scene)


async def test_trade_of_tomorrow_is_missing_until_it_is_told_with_its_true_time(scene: RepairScene) -> None:
    """Its id stays due, no price of it is shown, and nothing after it is of tomorrow."""
    await begun(scene)
    scene.begin(10)
    scene.take()

    Scene.send(scene, trade(11, time_ms=at(DAY_AHEAD), event_ms=at(DAY_AHEAD)))
    await scene.repair.look()
    scene.send(trade(12, time_ms=at(1), event_ms=at(1)))
    scene.wait(ARBITRATION_S)

    assert [rules(entry) for entry in scene.take_side()] == [["event_time_jump"]]
    assert (scene.sequence.next_id, sorted(scene.sequence.held)) == (11, [12])
    scene.send(trade(11, time_ms=at(1), event_ms=at(1)))
    assert scene.sequence.next_id == 13


async def test_ticker_of_tomorrow_keeps_out_none_that_follow(scene: RepairScene) -> None:
    await begun(scene)
    Scene.send(scene, ticker(at(DAY_AHEAD), last_price="1"))
    await scene.repair.look()

    scene.send(ticker(at(1.1)))

    assert [number_of(each.record) for each in scene.take().newest] == [at(1.1)]


async def test_what_was_believed_before_rest_told_its_clock_thaws(scene: RepairScene) -> None:
    """The first messages of all are of tomorrow: the true ones are neither copies nor older."""
    Scene.send(scene, ticker(at(DAY_AHEAD)), kline(DAY_AHEAD, closed=False))
    scene.take()
    scene.market.now_ms = at(1)
    await scene.repair.look()

    scene.send(ticker(at(1.1)), kline(1, closed=False, event_ms=at(1.2)))

    taken = scene.take()
    assert [number_of(each.record) for each in taken.newest] == [at(1.1)]
    assert [each.kline.open_ms for updates in taken.klines for each in updates] == [at(1)]


async def test_exchange_whose_clock_steps_is_believed_when_rest_agrees(scene: RepairScene) -> None:
    """All that it sent in between passes, in its order."""
    await begun(scene)
    scene.begin(10)
    Scene.send(scene, *(trade(number, time_ms=at(300), event_ms=at(300)) for number in (11, 12, 13)))
    assert scene.sequence.next_id == 11

    scene.market.now_ms = at(300)
    await scene.repair.look()

    assert scene.sequence.next_id == 14
    assert scene.take_side() == []


async def test_what_waits_for_a_rest_side_that_is_away_is_refused_in_the_end(
    scene: RepairScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await begun(scene)

    async def away() -> int:
        raise VenueUnreachable("The exchange is away.")

    monkeypatch.setattr(scene.market, "server_time_ms", away)
    Scene.send(scene, ticker(at(DAY_AHEAD)))
    await scene.pass_s(UNANSWERED_S - 1)
    assert len(scene.intake.tally.doubted) == 1

    await scene.pass_s(2)

    assert [rules(entry) for entry in scene.take_side()] == [["event_time_jump"]]


async def test_built_minute_is_not_proven_by_a_rest_clock_that_is_ahead() -> None:
    """Nothing that happens after the question may belong to a minute that is closed by its answer."""
    scene = BuiltScene()
    scene.trade(5)
    scene.market.now_ms = NOON_MS + HOUR_MS
    scene.intake.tally.note_rest(scene.market.now_ms)

    scene.intake.take_head(SYMBOL, scene.next_id - 1, scene.market.now_ms)

    assert scene.beat(62) == []


async def test_trade_of_tomorrow_ends_no_built_minute_and_breaks_none_off() -> None:
    scene = BuiltScene()
    await scene.repair.look()
    scene.trade(5)
    Scene.send(scene, trade(scene.next_id, time_ms=at(DAY_AHEAD), event_ms=at(DAY_AHEAD)))
    await scene.repair.look()
    assert scene.beat(62) == []

    for second in (40, 61):
        scene.trade(second)

    assert scene.beat(62) == [(0, "built")]


def test_wall_clock_has_a_vote_only_where_anybody_agrees_with_it() -> None:
    wall_s = [NOON_MS / 1000]
    clock = ExchangeClock(lambda: 0.0, lambda: wall_s[0])
    clock.rest.note(NOON_MS + HOUR_MS, 0.0)
    clock.messages.note(NOON_MS, 0.0)
    assert clock.now_ms() == NOON_MS

    wall_s[0] -= 86_400
    assert clock.now_ms() == NOON_MS
    assert not clock.agrees(NOON_MS + HOUR_MS + 2 * AHEAD_MS)


def test_messages_alone_are_believed_where_nobody_else_tells_the_time() -> None:
    clock = ExchangeClock(lambda: 0.0, lambda: 0.0)
    assert (clock.now_ms(), clock.is_vouched_for) == (0, False)

    clock.trades.note_sent(NOON_MS, 0.0)
    clock.messages.note_sent(NOON_MS + 5, 0.0)

    assert (clock.now_ms(), clock.has_come(NOON_MS + HOUR_MS)) == (NOON_MS + 5, True)
