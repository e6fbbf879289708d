"""What the store lacks: opened, paid, left to somebody else, taken over."""

from __future__ import annotations

from data_collector.pipeline.outlet.debts import Debts


def test_new_debt_of_a_symbol_replaces_the_old_one() -> None:
    debts = Debts(lambda: 5.0)
    first = debts.open("BTCUSDT", 10)
    second = debts.open("BTCUSDT", 7, wiped=True)

    assert debts.get("BTCUSDT") is second
    assert first is not second
    assert (second.due_id, second.wiped, second.since_s) == (7, True, 5.0)
    assert debts.payable() == [second]


def test_it_is_told_while_one_is_to_be_paid() -> None:
    debts = Debts(lambda: 0.0)
    debts.open("BTCUSDT", 10)
    debts.open("ETHUSDT", 20)
    debts.close("BTCUSDT")
    assert debts.due.is_set()

    debts.close("ETHUSDT")

    assert not debts.due.is_set()
    assert "ETHUSDT" not in debts


def test_what_somebody_else_writes_is_not_paid_until_it_is_taken_over() -> None:
    now_s = 0.0
    debts = Debts(lambda: now_s)
    debts.stand_by("BTCUSDT", 10, epoch=0, wiped=False)
    debt = debts.get("BTCUSDT")
    assert debt is not None
    assert (debts.payable(), debts.due.is_set()) == ([], False)

    now_s = 100.0
    debts.take_over(debt)

    assert (debts.payable(), debts.due.is_set(), debt.since_s) == ([debt], True, 100.0)
