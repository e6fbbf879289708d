"""Trades in the intake: late, refused and poisoned ones."""

from __future__ import annotations

import json

import pytest

from data_collector.model.records import Trade
from data_collector.pipeline.outlet import outlet
from data_collector.pipeline.sequence.trade_sequence import ARBITRATION_S, JUMP_MAX, REFUSED_AHEAD_MAX
from tests.judging import gate_with
from tests.market import NOON_MS, trade
from tests.unit.pipeline.intake_scene import COPIES, Scene, fields, gap_of, gaps, rules, runs


def test_late_trade_goes_to_late_and_not_to_trades(scene: Scene) -> None:
    scene.begin()
    scene.send(trade(15))
    scene.intake.trades.pass_over(scene.sequence, 14, "lost")
    scene.send(trade(12, price="45180.99"), trade(12))

    batch = scene.take()
    (entry,) = batch.side
    assert runs(batch) == [(10, 1), (15, 0)]
    assert (entry.kind, entry.symbol) == ("late", "BTCUSDT")
    assert fields(entry)["why"] == "recovered"
    assert json.loads(fields(entry)["data"])["trade_id"] == 12
    assert scene.counters.value(COPIES, channel="trade") == 1


def test_refused_trade_counts_as_received_and_as_an_error_each_time(scene: Scene) -> None:
    scene.begin()
    scene.send(trade(11, price="0"), trade(11, price="0"))

    assert scene.counts == (4, 2, 2)
    assert scene.counters.value(
        "data_collector_records_refused_total", channel="trade", rule="price_positive"
    ) == 2  # fmt: skip


def test_refused_trade_is_passed_over_by_the_next_good_one(scene: Scene) -> None:
    scene.begin()
    scene.send(trade(11, price="0"), trade(12))
    scene.wait(ARBITRATION_S)

    first, second = scene.take().trades
    assert (first.first_id, second.first_id) == (10, 12)
    assert list(second.refused) == [11]
    assert second.refused[11].rules == ("price_positive",)
    assert json.loads(second.refused[11].content)["trade_id"] == 11
    assert json.loads(second.refused[11].why)[0]["rule"] == "price_positive"


def test_good_copy_of_a_refused_trade_takes_its_place(scene: Scene) -> None:
    scene.begin()
    scene.send(trade(11, price="0"), trade(11), trade(12))

    assert runs(scene.take()) == [(10, 3)]
    assert scene.counts == (5, 4, 1)


def test_good_copy_takes_its_place_before_what_came_meanwhile(scene: Scene) -> None:
    scene.begin()
    scene.send(trade(11, price="0"), trade(13), trade(12), trade(13))
    assert runs(scene.take()) == [(10, 1)]

    scene.send(trade(11))

    assert runs(scene.take()) == [(11, 3)]
    assert scene.counters.value(COPIES, channel="trade") == 1
    assert scene.counts == (6, 5, 1)


def test_copy_that_comes_too_late_finds_its_place_passed(scene: Scene) -> None:
    scene.begin()
    scene.send(trade(11, price="0"), trade(12))
    scene.wait(ARBITRATION_S)

    scene.send(trade(11))

    batch = scene.take()
    assert runs(batch) == [(10, 1), (12, 1)]
    assert [fields(entry)["why"] for entry in batch.side] == ["recovered"]


def test_every_refused_id_waits_its_own_time(scene: Scene) -> None:
    scene.begin()
    scene.send(trade(11, price="0"), trade(12))
    scene.wait(ARBITRATION_S / 2)
    scene.send(trade(13, price="0"), trade(14))
    scene.wait(ARBITRATION_S / 2)
    assert runs(scene.take()) == [(10, 1), (12, 1)]

    scene.send(trade(13))

    assert runs(scene.take()) == [(13, 2)]


def test_trades_go_on_without_a_timer_when_the_time_is_over(scene: Scene) -> None:
    scene.begin()
    scene.send(trade(11, price="0"), trade(12))
    scene.now_s += ARBITRATION_S

    scene.send(trade(13))

    assert runs(scene.take()) == [(10, 1), (12, 2)]


def test_what_waits_is_judged_by_the_rules_of_when_it_goes_on(scene: Scene) -> None:
    scene.begin()
    scene.send(trade(11, price="0"), trade(12), trade(13, price="50"))
    scene.intake.use(gate_with("trade", {"max_value": 100}))

    scene.wait(ARBITRATION_S)
    scene.wait(1.0)

    batch = scene.take()
    assert runs(batch) == [(10, 1), (13, 1)]
    assert gaps(batch) == [(11, 11, "refused"), (12, 12, "refused")]
    assert list(batch.trades[1].refused) == [11, 12]


def test_refused_id_behind_a_hole_waits_too(scene: Scene) -> None:
    scene.begin()
    scene.send(trade(12, price="0"), trade(13))
    assert runs(scene.take()) == [(10, 1)]

    scene.send(trade(12), trade(11))

    assert [number for first, count in runs(scene.take()) for number in range(first, first + count)] == [11, 12, 13]


def test_refused_id_far_ahead_gets_no_place(scene: Scene) -> None:
    scene.begin()
    scene.send(trade(11 + REFUSED_AHEAD_MAX + 1, price="0"))

    batch = scene.take()
    assert [rules(entry) for entry in batch.side] == [["price_positive"]]
    assert (scene.queue.refused, scene.sequence.refused_s) == ({}, {})


def test_what_waits_is_let_go_when_nothing_comes_any_more(scene: Scene) -> None:
    scene.begin()
    scene.send(trade(11, price="0"), trade(12))

    scene.intake.release_held(everything=True)

    assert runs(scene.take()) == [(10, 1), (12, 1)]


def test_trade_with_warnings_goes_on_and_is_marked(scene: Scene) -> None:
    scene.intake.use(gate_with("trade", {"min_value": 0, "max_value": 1_000}, severity="warning"))
    scene.begin()
    scene.send(trade(11, price="999"))

    (run,) = scene.take().trades
    assert run.entries[0::2] == [f"{NOON_MS + 123} price_cap", NOON_MS + 123]
    assert scene.counts == (3, 3, 0)
    assert scene.counters.value(
        "data_collector_records_marked_total", channel="trade", rule="price_cap", severity="warning"
    ) == 1  # fmt: skip
    assert [(record, verdict.rules) for record, verdict, _, _ in scene.notebook.others if verdict is not None] == [
        (trade(10, received_ns=5), ("price_cap",))
    ]


def test_audit_is_told_of_every_message_once(scene: Scene) -> None:
    scene.begin()
    scene.send(trade(11), trade(11), trade(12, price="0"), trade(15), trade(13))
    scene.wait(ARBITRATION_S)

    assert [one.trade_id for one in scene.notebook.plain] == [11]
    told = [
        (record.trade_id, accepted, late)
        for record, _, accepted, late in scene.notebook.others
        if isinstance(record, Trade)
    ]
    assert told == [(10, True, False), (12, False, False), (13, True, False)]


def test_refused_trade_behind_the_cursor_is_quarantined_at_once(scene: Scene) -> None:
    scene.begin()
    scene.send(trade(9, price="0"))

    (entry,) = scene.take_side()
    assert (entry.kind, entry.symbol) == ("quarantine", "BTCUSDT")
    assert set(fields(entry)) == {"data", "why", "at", "columns"}


@pytest.mark.parametrize("trade_id", [-1, 0, 2**53 - 1, 2**53, 2**70, 10 + 1 + JUMP_MAX + 1])
@pytest.mark.parametrize("begun", [True, False])
def test_refused_trade_with_a_poisoned_id_moves_nothing(scene: Scene, trade_id: int, begun: bool) -> None:
    if begun:
        scene.begin()
        scene.take()
    next_id = scene.sequence.next_id

    scene.send(trade(trade_id, price="0"))

    (entry,) = scene.take_side()
    assert "price_positive" in rules(entry)
    assert (scene.queue.refused, scene.sequence.refused_s) == ({}, {})
    assert scene.sequence.next_id == next_id


def test_poisoned_id_is_refused_and_the_symbol_goes_on(scene: Scene) -> None:
    scene.begin()
    scene.send(trade(11 + JUMP_MAX + 1), trade(11))

    batch = scene.take()
    assert runs(batch) == [(10, 2)]
    assert [rules(entry) for entry in batch.side] == [["trade_id_jump"]]
    assert scene.counts == (4, 3, 1)


def test_jump_that_a_second_trade_follows_is_believed(scene: Scene) -> None:
    far = 11 + JUMP_MAX + 1
    scene.begin()
    scene.send(trade(far), trade(far + 1))

    assert gap_of(scene) == (11, far)
    assert scene.counts == (3, 2, 1)


def test_good_trades_that_come_after_they_were_passed_over_are_late(scene: Scene) -> None:
    scene.begin()
    scene.send(trade(15, price="0"))
    scene.take()
    scene.intake.trades.pass_over(scene.sequence, 15, "lost")

    scene.send(trade(12), trade(15), trade(16))

    batch = scene.take()
    assert [json.loads(fields(entry)["data"])["trade_id"] for entry in batch.side] == [12, 15]
    assert runs(batch) == [(16, 1)]


def test_message_from_years_ahead_is_refused_and_the_rest_goes_on(scene: Scene) -> None:
    scene.begin()
    years = 10 * 365 * 86_400_000
    scene.send(trade(11, time_ms=NOON_MS + years, event_ms=NOON_MS + years), trade(11))

    assert runs(scene.take()) == [(10, 2)]
    assert scene.counts == (4, 3, 1)


def test_exchange_that_was_away_for_days_is_believed_at_the_second_message(scene: Scene) -> None:
    scene.begin()
    days = 3 * 86_400_000
    scene.send(*(trade(number, time_ms=NOON_MS + days, event_ms=NOON_MS + days) for number in (11, 12, 13)))
    scene.wait(ARBITRATION_S)

    # What was not believed is missing: REST tells it.
    assert scene.counts == (3, 2, 1)
    assert (scene.sequence.next_id, sorted(scene.sequence.held)) == (11, [12, 13])


def test_trade_for_which_there_is_no_memory_stays_due(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.begin()
    with monkeypatch.context() as short:
        # Memory cannot be made short for one allocation of a process.
        short.setattr(outlet, "trade_json", _refused_memory)
        with pytest.raises(MemoryError):
            scene.send(trade(11))
    scene.send(trade(11), trade(12))

    (run,) = scene.take().trades
    assert (run.first_id, run.count) == (10, 3)
    assert [json.loads(str(text))["trade_id"] for text in run.entries[1::2]] == [10, 11, 12]
    assert scene.counts == (4, 4, 0)


def _refused_memory(_trade: Trade, _symbol_json: str) -> str:
    raise MemoryError
