"""Who decides that a market's next life begins, and what comes to the store then."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from data_collector.model.records import Ticker, Trade
from data_collector.model.sink import TradeRun, TradeTail
from data_collector.pipeline.repair.new_lives import NewLives
from data_collector.pipeline.repair.refill import Reach, resume
from data_collector.pipeline.sequence.new_life import NEW_IDS
from data_collector.pipeline.sequence.trade_sequence import ARBITRATION_S
from tests.market import NOON_MS, SYMBOL, ticker, trade
from tests.unit.pipeline.repair_scene import AN_HOUR, AWAY, NEVER, Answer, RepairScene
from tests.unit.pipeline.sequence.test_new_life import is_suspended, new_trade, new_trades

OLD_TAIL = 150
OTHER = "ETHUSDT"


class Register:
    """The numbers of epochs, and what was ordered."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}
        self.orders: dict[str, int] = {}

    async def remember(self, symbol: str, epoch: int) -> None:
        self.known[symbol] = epoch

    async def ordered(self, symbols: Sequence[str]) -> dict[str, int]:
        return self.orders


class LifeScene(RepairScene):
    """The ids of the symbol have begun anew at 0, behind 150; what was stored was taken."""

    def __init__(
        self, *answers: Answer, last_id: int = NEW_IDS, is_automatic: bool = True, reach: Reach = AN_HOUR
    ) -> None:
        super().__init__(*answers, reach=reach)
        self.register = Register()
        self.rest.told = [ticker(NOON_MS, last_id=last_id)]
        trades = self.intake.trades
        self.lives = NewLives(trades, self.rest, self.register, self.counters, is_automatic=is_automatic)
        self.send(*(trade(trade_id) for trade_id in range(11, OLD_TAIL + 1)))
        self.take()
        self.send(*new_trades(0))
        assert is_suspended(self)

    def decide(self) -> None:
        asyncio.run(self.lives.look())

    def bring(self) -> list[TradeRun]:
        """What the store gets when the refill has done what is due."""
        found: list[TradeRun] = []
        for _ in range(4):
            self.look()
            found += self.take().trades
        return found


class StartScene(LifeScene):
    """The store ends with 150; while nothing was collected, ids began anew at 0, and the feed brings 400 and 401."""

    def __init__(
        self, *answers: Answer, passed_over: int = 0, first_id: int = 0, reach: Reach = AN_HOUR
    ) -> None:  # fmt: skip
        RepairScene.__init__(self, *answers, reach=reach)
        self.register = Register()
        self.rest.told = [ticker(NOON_MS, last_id=401)]
        self.rest.first_id = first_id
        self.lives = NewLives(self.intake.trades, self.rest, self.register, self.counters, is_automatic=True)
        self.sequence.next_id = -1
        self.sequence.recent = [None] * len(self.sequence.recent)
        tail = TradeTail(10, OLD_TAIL + passed_over, last_ms=NOON_MS + 123, stored_id=OLD_TAIL)
        resume([self.sequence], self.outlet, self.kept, {SYMBOL: tail})
        self.send(new_trade(400), new_trade(401))


def old_life(first_id: int = OLD_TAIL) -> list[Trade]:
    return [trade(number, received_ns=0) for number in range(first_id, 402)]


def new_life(first_id: int) -> list[Trade]:
    return new_trades(first_id, 402 - first_id)


def places(runs: Sequence[TradeRun]) -> list[tuple[int, int, int]]:
    return [(run.epoch, run.first_id, run.count) for run in runs]


def test_epoch_begins_when_the_exchange_has_the_new_ids_too() -> None:
    scene = LifeScene([new_trade(0)])
    scene.decide()

    assert not is_suspended(scene)
    assert (scene.register.known, scene.sequence.epoch) == ({SYMBOL: 1}, 1)
    assert scene.counters.value("data_collector_epochs_begun_total") == 1


def test_ids_go_on_when_the_exchange_has_the_old_ones() -> None:
    scene = LifeScene([], last_id=9_000_000)
    scene.decide()

    assert not is_suspended(scene)
    assert (scene.sequence.epoch, scene.sequence.next_id) == (0, OLD_TAIL + 1)


def test_ids_go_on_when_the_exchange_has_another_trade_under_the_first_of_them() -> None:
    scene = LifeScene([trade(0)])
    scene.decide()

    assert not is_suspended(scene)
    assert scene.sequence.epoch == 0


def test_exchange_that_does_not_answer_is_asked_again() -> None:
    scene = LifeScene(AWAY, [new_trade(0)])
    scene.decide()
    assert is_suspended(scene)

    for _ in range(10):
        scene.decide()
    assert scene.sequence.epoch == 1


def test_market_of_which_the_exchange_does_not_tell_keeps_no_other_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = LifeScene([msgspec.structs.replace(new_trade(0), symbol=OTHER)])
    scene.send(ticker(NOON_MS, last_id=1000, symbol=OTHER))
    scene.send(*(msgspec.structs.replace(trade(1000 + number), symbol=OTHER) for number in range(2)))
    scene.wait(ARBITRATION_S)
    scene.send(*(msgspec.structs.replace(each, symbol=OTHER) for each in new_trades(0)))
    assert list(scene.intake.trades.suspended) == [SYMBOL, OTHER]

    async def tickers(symbols: Sequence[str]) -> list[Ticker]:
        return [] if symbols == [SYMBOL] else [ticker(NOON_MS, last_id=NEW_IDS, symbol=OTHER)]

    monkeypatch.setattr(scene.rest, "tickers", tickers)
    scene.decide()

    assert scene.register.known == {OTHER: 1}
    assert is_suspended(scene)


def test_exchange_that_refuses_the_first_id_is_asked_for_the_last() -> None:
    """Without a key the newest trades alone can be had."""
    scene = LifeScene(NEVER, new_trades(150))
    scene.send(*new_trades(NEW_IDS, 150))
    scene.decide()

    assert scene.rest.asked == [0, 150]
    assert scene.sequence.epoch == 1


def test_exchange_that_will_never_tell_is_asked_no_more_and_an_order_is_waited_for() -> None:
    scene = LifeScene(NEVER)
    for _ in range(100):
        scene.decide()
    assert len(scene.rest.asked) == 2
    assert is_suspended(scene)
    assert scene.sequence.new_life.refusal == str(NEVER)

    scene.register.orders = {SYMBOL: 0}
    scene.decide()
    assert scene.sequence.epoch == 1


def test_operator_who_wants_to_decide_is_waited_for() -> None:
    scene = LifeScene([new_trade(0)], is_automatic=False)
    scene.decide()
    assert is_suspended(scene)
    assert scene.sequence.new_life.is_proven

    scene.register.orders = {SYMBOL: 0}
    scene.decide()
    assert scene.sequence.epoch == 1
    scene.decide()
    assert (scene.sequence.new_life.is_proven, scene.sequence.epoch) == (False, 1)


def test_ids_that_the_exchange_knows_never_end_the_suspension_by_themselves() -> None:
    """A reconnect has left out more of them than may be missing, and they grow past the old ones."""
    scene = LifeScene([new_trade(0)], is_automatic=False)
    scene.decide()

    scene.send(*new_trades(3 * NEW_IDS))

    assert is_suspended(scene)
    assert scene.sequence.new_life.is_proven


def test_ids_that_grow_past_the_old_ones_while_the_exchange_is_away_do_not_join_them() -> None:
    """Two of them are missing since a reconnect."""
    scene = LifeScene(AWAY)
    scene.decide()

    scene.send(*new_trades(NEW_IDS, 10), *new_trades(NEW_IDS + 12, 150))

    assert is_suspended(scene)
    assert scene.take().trades == []


def test_store_gets_the_end_of_the_old_life_then_the_new_one_from_its_beginning() -> None:
    """Killed, or kept waiting, in between: what the spool has of the old epoch comes first."""
    scene = LifeScene([new_trade(0)], [new_trade(number) for number in range(NEW_IDS + 2)])
    scene.outlet.end_runs()
    scene.outlet.fall_behind(SYMBOL, 140)
    scene.decide()
    scene.rest.first_id = 0
    scene.send(*new_trades(NEW_IDS, 2))
    scene.wait(ARBITRATION_S)

    runs = scene.bring()

    assert places(runs) == [(0, 140, 11), (1, 0, NEW_IDS + 2)]
    assert [(run.begins, run.after_id) for run in runs] == [(False, -1), (True, OLD_TAIL)]
    assert scene.outlet.debts.get(SYMBOL) is None


def test_new_epoch_is_stored_where_nothing_is_caught_up() -> None:
    """CATCH_UP_SECONDS=0."""
    scene = LifeScene([new_trade(0)], reach=Reach(0, 1_000_000))
    scene.decide()
    scene.send(*new_trades(NEW_IDS, 2))
    scene.wait(ARBITRATION_S)

    runs = scene.bring()
    scene.send(*new_trades(NEW_IDS + 2, 2))
    runs += scene.take().trades

    assert places(runs) == [(1, NEW_IDS, 2), (1, NEW_IDS + 2, 2)]
    assert [(run.begins, run.after_id) for run in runs] == [(True, OLD_TAIL), (False, -1)]


def test_what_was_held_of_the_old_life_is_stored_and_its_hole_is_lost() -> None:
    scene = LifeScene([new_trade(0)], [new_trade(number) for number in range(NEW_IDS + 2)])
    scene.intake.trades.go_on(SYMBOL)
    scene.send(trade(OLD_TAIL + 3))
    scene.send(*new_trades(0))
    scene.decide()
    scene.rest.first_id = 0
    scene.send(*new_trades(NEW_IDS, 2))
    scene.wait(ARBITRATION_S)

    runs = scene.bring()

    assert places(runs) == [(0, OLD_TAIL + 3, 1), (1, 0, NEW_IDS + 2)]
    assert [(gap.first, gap.last, gap.reason) for gap in runs[0].gaps] == [(OLD_TAIL + 1, OLD_TAIL + 2, "lost")]
    assert runs[1].after_id == OLD_TAIL + 3
    assert [life.epoch for life in scene.ledger.status().closed] == [0]


def test_start_goes_on_in_the_epoch_that_was_written_down() -> None:
    """The store has lost everything, and the spool too."""
    scene = RepairScene([])
    sequence = scene.sequence
    sequence.next_id = -1
    resume([sequence], scene.outlet, scene.kept, {}, was_filled=True, epochs={SYMBOL: 3})

    assert (sequence.epoch, scene.queue.epoch, sequence.next_id) == (3, 3, -1)


def test_start_after_a_kill_before_the_first_append_brings_both_epochs() -> None:
    scene = LifeScene([new_trade(0)], [new_trade(number) for number in range(NEW_IDS + 2)])
    scene.decide()
    scene.rest.first_id = 0
    scene.send(*new_trades(NEW_IDS, 2))
    scene.wait(ARBITRATION_S)
    scene.outlet.end_runs()
    scene.sequence.next_id = -1

    resume([scene.sequence], scene.outlet, scene.kept, {SYMBOL: TradeTail(10, 145)})

    assert (scene.sequence.epoch, scene.sequence.next_id) == (1, NEW_IDS + 2)
    assert places(scene.bring()) == [(0, 146, 5), (1, 0, NEW_IDS + 2)]


@pytest.mark.parametrize(
    ("answers", "passed_over", "first_id"),
    [
        ((new_life(OLD_TAIL),), 0, 0),
        ((new_life(OLD_TAIL)[:1],), 0, 390),
        ((new_life(OLD_TAIL)[:1],), 5, 0),
    ],
    ids=["all of the hole is filled", "its older part is skipped", "ids were passed over behind the stored trade"],
)
def test_start_finds_that_ids_began_anew_and_ran_past_the_stored_tail(
    answers: tuple[Answer, ...], passed_over: int, first_id: int
) -> None:
    """A testnet's reset over a weekend: REST has a later trade under the id of the store's newest one."""
    scene = StartScene(*answers, new_life(OLD_TAIL - NEW_IDS + 1), passed_over=passed_over, first_id=first_id)
    scene.look()
    assert is_suspended(scene)
    assert scene.take().trades == []

    scene.decide()
    assert (scene.sequence.epoch, scene.sequence.next_id) == (1, 402)
    scene.rest.answers = [new_life(0)]
    scene.rest.first_id = 0

    runs = scene.bring()
    assert {run.epoch for run in runs} == {1}
    assert [number for run in runs for number in range(run.first_id, run.first_id + run.count)] == list(range(402))
    assert (runs[0].begins, runs[0].after_id) == (True, OLD_TAIL + passed_over)


def test_trades_of_the_new_life_that_memory_had_no_room_for_do_not_get_into_the_old_one() -> None:
    scene = StartScene(new_life(OLD_TAIL), new_life(OLD_TAIL - NEW_IDS + 1))
    scene.intake.trades.spill(scene.sequence)
    scene.look()
    scene.decide()
    scene.rest.answers = [new_life(0)]

    runs = scene.bring()

    assert {run.epoch for run in runs} == {1}
    assert sum(run.count for run in runs) == 402


def test_outage_of_the_line_in_which_ids_began_anew_ends_in_the_next_epoch() -> None:
    """Nothing was restarted: the newest trade that was let through is still known."""
    scene = RepairScene(new_life(OLD_TAIL))
    scene.send(*(trade(trade_id) for trade_id in range(11, OLD_TAIL + 1)))
    scene.send(new_trade(400), new_trade(401))
    scene.look()

    assert is_suspended(scene)
    assert sum(run.count for run in scene.take().trades) == OLD_TAIL - 10


def test_start_after_which_the_ids_go_on_fills_its_hole() -> None:
    scene = StartScene(old_life())
    scene.look()

    assert not is_suspended(scene)
    assert (scene.sequence.epoch, scene.sequence.next_id) == (0, 402)


def test_exchange_that_takes_back_what_it_said_of_the_stored_tail_is_not_asked_for_ever() -> None:
    """One wrong answer, or a wrong time in the store: the hundred trades before it are those of the old life."""
    scene = StartScene(new_life(OLD_TAIL), old_life(OLD_TAIL - NEW_IDS + 1), new_life(OLD_TAIL))
    scene.look()
    scene.decide()
    assert (is_suspended(scene), scene.sequence.epoch) == (False, 0)

    scene.look()
    scene.look()
    assert (is_suspended(scene), scene.sequence.next_id) == (False, 402)


@pytest.mark.parametrize(("answer", "epoch"), [(new_life(OLD_TAIL)[:1], 1), (AWAY, 0)])
def test_start_that_fills_nothing_finds_it_too_but_waits_for_no_exchange(answer: Answer, epoch: int) -> None:
    """CATCH_UP_SECONDS=0"""
    scene = StartScene(answer, new_life(OLD_TAIL - NEW_IDS + 1), reach=Reach(0, 1_000))
    scene.look()
    scene.decide()

    assert (scene.sequence.epoch, scene.sequence.next_id) == (epoch, 402)


def test_exchange_that_never_tells_of_the_stored_tail_proves_nothing() -> None:
    scene = StartScene(NEVER, old_life(389), first_id=390)
    scene.look()

    assert (is_suspended(scene), scene.sequence.next_id) == (False, 402)
