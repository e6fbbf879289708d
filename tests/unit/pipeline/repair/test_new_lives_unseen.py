"""New lives whose first ids are no whole row: some are lost, some refused, some under ids that we have."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest

from data_collector.model.records import Trade
from data_collector.model.sink import SideEntry, TradeTail
from data_collector.model.venue import TradePage, TradePlace, TradesRefused
from data_collector.pipeline.repair.new_lives import DENIALS_MIN, DOUBT_LOOKS, NewLives
from data_collector.pipeline.repair.resuming import resume
from tests.market import NOON_MS, SYMBOL, ticker, trade
from tests.unit.pipeline.intake_scene import COPIES, fields, rules
from tests.unit.pipeline.life_scene import Register
from tests.unit.pipeline.repair_scene import NEVER, RepairScene, ScriptedRest
from tests.unit.pipeline.sequence.test_new_life import is_suspended

TAIL = 400
LATER_MS = NOON_MS + 1_000_000
LAST_LOOK = 100


class Tape(ScriptedRest):
    """The REST side of an exchange with these trades."""

    def __init__(self, trades: Iterable[Trade]) -> None:
        super().__init__([])
        self.hold(trades)
        self.newest_only = False
        """Without a key it tells no older ones, and not that there are none."""

    def hold(self, trades: Iterable[Trade]) -> None:
        """It has these and no others now."""
        self.tape = list(trades)
        self.told = [ticker(NOON_MS, last_id=self.tape[-1].trade_id)]

    async def trades(
        self, symbol: str, from_id: int, *, near: TradePlace | None = None, limit: int = 1000, urgent: bool = False
    ) -> TradePage:
        self.asked.append(from_id)
        later = [each for each in self.tape if each.trade_id >= from_id]
        page = TradePage(later[:limit], reaches_head=len(later) <= limit)
        if self.newest_only and self.tape[0].trade_id > from_id:
            raise TradesRefused(NEVER, page)
        return page

    async def first_trade_id(self, symbol: str, since_ms: int, *, urgent: bool = False) -> int | None:
        return self.tape[0].trade_id


class UnseenScene(RepairScene):
    """Ids up to the tail were let through and taken; what the exchange has is set by the test."""

    def __init__(self, tail: int = TAIL) -> None:
        self.exchange = Tape([old(number) for number in range(tail + 1)])
        super().__init__(rest=self.exchange)
        self.send(*(old(number) for number in range(11, tail + 1)))
        self.take()
        self.register = Register()
        trades = self.intake.trades
        self.lives = NewLives(trades, self.exchange, self.register, self.counters, is_automatic=True)
        self.side: list[SideEntry] = []

    async def decide(self) -> None:
        for _ in range(LAST_LOOK):
            await self.lives.look()
            self.repair.look()
            await self.repair.work_off()
            self.now_s += 0.5

    async def stored(self) -> list[tuple[int, int, str]]:
        """Epoch, id and price of what the store gets."""
        found: list[tuple[int, int, str]] = []
        for _ in range(LAST_LOOK):
            self.now_s += 0.2
            self.repair.look()
            await self.repair.work_off()
            batch = self.take()
            self.side += batch.side
            for run in batch.trades:
                for number in range(run.count):
                    price = str(json.loads(str(run.entries[2 * number + 1]))["price"])
                    found.append((run.epoch, run.first_id + number, price))
                self.side += [SideEntry("quarantine", SYMBOL, refusal.fields, 0) for refusal in run.refused.values()]
        return found


def old(trade_id: int) -> Trade:
    return made(trade_id, "45.0", NOON_MS + 1_000 + trade_id)


def new(trade_id: int, *, first_id: int = 0) -> Trade:
    return made(trade_id, "0.5", LATER_MS + trade_id - first_id)


def made(trade_id: int, price: str, time_ms: int) -> Trade:
    return trade(trade_id, price=price, time_ms=time_ms, event_ms=time_ms + 1)


def refused(one: Trade) -> Trade:
    """A rule refuses every fourth."""
    return made(one.trade_id, "0", one.time_ms) if one.trade_id % 4 == 1 else one


async def test_rule_that_refuses_many_trades_of_a_new_life_does_not_hide_it() -> None:
    scene = UnseenScene()
    life = [refused(new(number)) for number in range(TAIL + 100)]
    scene.exchange.hold(life)
    scene.send(*life[:250])
    assert is_suspended(scene)
    scene.send(*life[250:])
    assert scene.take_side() == []

    await scene.decide()

    assert await scene.stored() == [(1, number, "0.5") for number in range(TAIL + 100) if number % 4 != 1]
    quarantined = [fields(entry) for entry in scene.side]
    assert {entry["epoch"] for entry in quarantined} == {"1"}
    assert [json.loads(entry["data"])["trade_id"] for entry in quarantined] == list(range(1, TAIL + 100, 4))


@pytest.mark.parametrize("last_id", [30, 300])
async def test_market_whose_new_ids_are_refused_in_part_never_reaches_the_old_ones(last_id: int) -> None:
    """The old life was so short that the due id comes before a hundred of the new ones were taken."""
    scene = UnseenScene(last_id)
    life = [refused(new(number)) for number in range(last_id + 20)]
    scene.exchange.hold(life)
    scene.send(*life)

    assert is_suspended(scene)
    await scene.decide()
    assert await scene.stored() == [(1, number, "0.5") for number in range(last_id + 20) if number % 4 != 1]


@pytest.mark.parametrize("step", [20, 7, 3])
async def test_new_life_of_which_frames_are_lost_is_seen_and_what_is_missing_is_asked_for(step: int) -> None:
    scene = UnseenScene()
    life = [new(number) for number in range(TAIL + 100)]
    scene.exchange.hold(life)
    scene.send(*(each for each in life if each.trade_id % step))

    assert is_suspended(scene)
    await scene.decide()

    assert await scene.stored() == [(1, number, "0.5") for number in range(TAIL + 100)]


@pytest.mark.parametrize("below", [1, 50, 99])
async def test_new_ids_that_begin_close_below_the_due_one_are_no_copies(below: int) -> None:
    scene = UnseenScene()
    first_id = TAIL + 1 - below
    life = [new(number, first_id=first_id) for number in range(first_id, TAIL + 50)]
    scene.exchange.hold(life)
    scene.send(*life)
    assert is_suspended(scene)
    assert scene.take().trades == []

    await scene.decide()

    assert await scene.stored() == [(1, number, "0.5") for number in range(first_id, TAIL + 50)]
    assert scene.side == []
    assert scene.counters.value(COPIES, channel="trade") == 0


async def test_few_trades_of_a_new_life_are_stored_in_it_though_no_more_come() -> None:
    scene = UnseenScene()
    life = [new(number) for number in range(3)]
    scene.exchange.hold(life)
    scene.send(*life)
    for _ in range(DOUBT_LOOKS):
        await scene.lives.look()
    assert not is_suspended(scene)

    await scene.decide()

    assert await scene.stored() == [(1, number, "0.5") for number in range(3)]


@pytest.mark.parametrize("first_id", [1, TAIL - 50])
async def test_young_life_is_seen_where_the_exchange_tells_its_newest_trades_alone(first_id: int) -> None:
    """No key is set."""
    scene = UnseenScene()
    life = [new(number, first_id=first_id) for number in range(first_id, first_id + 60)]
    scene.exchange.hold(life)
    scene.exchange.newest_only = True
    scene.send(*life)

    await scene.decide()

    assert await scene.stored() == [(1, each.trade_id, "0.5") for each in life]


async def test_newer_trade_under_an_id_that_we_have_lets_nothing_through_until_the_exchange_has_told() -> None:
    """A plain conflict: the exchange has the old one, and goes on behind it."""
    scene = UnseenScene()
    scene.exchange.hold([old(number) for number in range(TAIL + 4)])
    other = made(TAIL - 5, "0.5", LATER_MS)
    after = [made(TAIL + number, "45.0", LATER_MS + number) for number in range(1, 4)]
    scene.exchange.tape[-3:] = after
    scene.send(other, *after)
    assert is_suspended(scene)
    assert scene.take().trades == []

    await scene.decide()

    assert await scene.stored() == [(0, TAIL + number, "45.0") for number in range(1, 4)]
    assert [rules(entry) for entry in scene.side] == [["trade_id_conflict"]] * 2
    assert scene.counters.value("data_collector_trade_conflicts_total") == 1
    assert [each.trade_id for each in scene.intake.trades.conflicts] == [TAIL - 5]


async def test_far_trade_that_honest_ones_follow_is_quarantined_and_suspends_nothing() -> None:
    scene = UnseenScene()
    scene.skip_to(5_000_001)
    scene.sequence.resume(5_000_001, newest_ms=NOON_MS + 2_000, stored_id=5_000_000)
    scene.send(made(7, "0.5", LATER_MS), *(made(5_000_001 + number, "45.0", LATER_MS + 1) for number in range(3)))

    assert not is_suspended(scene)
    assert [rules(entry) for entry in scene.take_side()] == [["trade_id_conflict"]]
    assert scene.sequence.next_id == 5_000_004


async def test_line_that_is_behind_still_brings_the_end_of_the_old_life() -> None:
    """Of two lines one is in the new life already."""
    scene = UnseenScene()
    life = [new(number) for number in range(150)]
    scene.exchange.hold(life)
    scene.send(*life[:50], old(TAIL + 1), *life[50:], old(TAIL + 2), old(TAIL + 3))
    assert is_suspended(scene)

    await scene.decide()

    ends = [(0, TAIL + number, "45.0") for number in range(1, 4)]
    assert await scene.stored() == ends + [(1, number, "0.5") for number in range(150)]


async def test_trades_of_a_life_between_two_resets_are_kept_in_quarantine() -> None:
    """Ids begin anew twice within a second."""
    scene = UnseenScene()
    between = [made(number, "7.0", LATER_MS + number) for number in range(30)]
    life = [made(number, "0.5", LATER_MS + 1_000 + number) for number in range(120)]
    scene.exchange.hold(life)
    scene.send(*between, *life)

    await scene.decide()

    assert await scene.stored() == [(1, number, "0.5") for number in range(120)]
    lost = [json.loads(fields(entry)["data"]) for entry in scene.side]
    assert [(each["trade_id"], each["price"]) for each in lost] == [(number, 7.0) for number in range(30)]


async def test_exchange_that_does_not_know_of_the_new_life_yet_is_asked_again() -> None:
    """Its REST side is behind the stream."""
    scene = UnseenScene()
    life = [new(number) for number in range(120)]
    scene.send(*life)
    for _ in range(DENIALS_MIN - 1):
        await scene.lives.look()
    assert is_suspended(scene)
    scene.exchange.hold(life)

    await scene.decide()

    assert await scene.stored() == [(1, number, "0.5") for number in range(120)]


async def test_stray_before_the_first_new_id_does_not_hide_the_new_life() -> None:
    scene = UnseenScene()
    life = [new(number, first_id=300) for number in range(300, 500)]
    scene.exchange.hold(life)
    scene.send(made(3, "9.0", LATER_MS - 1), *life)

    await scene.decide()

    assert await scene.stored() == [(1, number, "0.5") for number in range(300, 500)]
    assert [rules(entry) for entry in scene.side] == [["trade_id_conflict"]]


async def test_connection_that_shows_again_what_waits_in_the_spool_begins_no_life() -> None:
    """Killed, and what was taken last is in the spool alone."""
    scene = UnseenScene()
    scene.outlet.end_runs()
    scene.sequence.next_id = -1
    scene.sequence.recent = [None] * len(scene.sequence.recent)
    tail = TradeTail(10, 300, last_ms=NOON_MS + 1_300, stored_id=300)
    resume([scene.sequence], scene.outlet, scene.kept, {SYMBOL: tail})
    assert scene.sequence.next_id == TAIL + 1
    shown = [old(number) for number in range(350, TAIL + 10)]
    scene.exchange.hold(old(number) for number in range(TAIL + 10))
    scene.send(*shown)

    await scene.decide()

    assert (scene.sequence.epoch, scene.sequence.next_id) == (0, TAIL + 10)
    assert await scene.stored() == [(0, number, "45.0") for number in range(301, TAIL + 10)]
    assert scene.side == []
