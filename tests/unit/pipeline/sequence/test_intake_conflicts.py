"""One trade id with two contents: the first stands, both are kept, and the exchange says which is right."""

from __future__ import annotations

import json

import pytest

from data_collector.pipeline.sequence.new_life import contradicts
from data_collector.pipeline.sequence.trade_intake import CONFLICTS_MAX
from tests.market import NOON_MS, trade
from tests.unit.pipeline.intake_scene import Scene, fields, rules, runs

CONFLICTS = "data_collector_trade_conflicts_total"


@pytest.mark.parametrize("changes", [{"price": "1.5"}, {"quantity": "9"}])
def test_copy_that_says_something_else_is_kept_with_the_first(scene: Scene, changes: dict[str, object]) -> None:
    scene.begin()
    scene.send(trade(11), trade(11, **changes))

    batch = scene.take()
    assert runs(batch) == [(10, 2)]
    assert [rules(entry) for entry in batch.side] == [["trade_id_conflict"]] * 2
    assert [json.loads(fields(entry)["data"])["trade_id"] for entry in batch.side] == [11, 11]
    assert scene.counters.value(CONFLICTS) == 1


def test_copy_that_says_the_same_is_no_conflict(scene: Scene) -> None:
    scene.begin()
    scene.send(trade(11), trade(11))

    assert scene.take_side() == []
    assert scene.counters.value(CONFLICTS) == 0


def test_copy_from_elsewhere_that_says_the_same_in_other_digits_is_no_conflict(scene: Scene) -> None:
    """REST may write zeros at the end where the stream writes none."""
    scene.begin()
    scene.send(trade(11), trade(11, price="45180.50000", quantity="0.1230"))

    assert scene.take_side() == []
    assert scene.counters.value(CONFLICTS) == 0


@pytest.mark.parametrize(
    ("mine_us", "other_us", "is_one"),
    [(0, 998, True), (0, 997, False), (0, None, False), (None, 998, False), (None, None, False)],
)
def test_moment_that_a_float_has_rounded_is_the_same(
    mine_us: int | None, other_us: int | None, *, is_one: bool
) -> None:
    """A millisecond before, by so many microseconds; where they are not known milliseconds decide."""
    mine, other = trade(11, sub_ms_us=mine_us), trade(11, time_ms=NOON_MS + 122, sub_ms_us=other_us)

    assert contradicts(mine, other) != is_one
    assert contradicts(other, mine) != is_one
    assert not contradicts(mine, trade(11, sub_ms_us=500))


def test_conflicts_that_wait_to_be_settled_are_bounded(scene: Scene) -> None:
    scene.begin()
    scene.send(trade(11), *[trade(11, price="1.5")] * (CONFLICTS_MAX + 5))

    assert len(scene.intake.trades.conflicts) == CONFLICTS_MAX
    assert scene.counters.value(CONFLICTS) == CONFLICTS_MAX + 5


def test_exchange_that_agrees_with_the_first_changes_nothing(scene: Scene) -> None:
    assert scene.intake.trades.settle_conflict(trade(11), trade(11, received_ns=0)) == "right"
    assert scene.take_side() == []


def test_what_the_exchange_says_otherwise_goes_to_late(scene: Scene) -> None:
    assert scene.intake.trades.settle_conflict(trade(11), trade(11, price="1.5", received_ns=0)) == "wrong"

    (entry,) = scene.take_side()
    assert (entry.kind, entry.symbol, fields(entry)["why"]) == ("late", "BTCUSDT", "revision")
    assert json.loads(fields(entry)["data"])["price"] == 1.5
