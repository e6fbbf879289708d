"""A run on its way to a programme: what is away keeps its question, and what fails is no end."""

from __future__ import annotations

import pytest

from data_collector.client import Gap, GapFound, StoreAway, WrongQuestion
from data_collector.client.reading.delivery import PATIENCE_S, Behind, Delivery, Patience
from data_collector.client.reading.questions import (
    TRIES,
    ApiAnswer,
    ApiRequest,
    Clock,
    Plan,
    StoreCommand,
    WaitUntil,
    ask_api,
    ask_store,
)
from data_collector.client.reading.streams import Batch, Run
from tests.market import SYMBOL

GAP = Gap(SYMBOL, "trade", None, 1, 2, 2, "lost")


class Scripted:
    """Asks, hands on, asks, and fails."""

    block_ms = 0
    is_caught_up = False
    unreadable = 0

    def run(self) -> Run:
        reply = yield from ask_store("PING")
        yield Batch([GAP, GAP], f"behind {reply}")
        yield from ask_store("PING")
        raise StoreAway("It answers nonsense.")

    def behind(self) -> Plan[Behind]:
        yield from ()
        return Behind(0, 0.0)


class Interrupted(Scripted):
    """Ctrl-C comes while it reads an answer."""

    def run(self) -> Run:
        yield from ask_store("PING")
        raise KeyboardInterrupt


def test_question_is_asked_until_it_is_answered() -> None:
    delivery = Delivery(Scripted(), raises=False)

    assert delivery.question() == StoreCommand(("PING",))
    assert delivery.question() == StoreCommand(("PING",))
    assert delivery.batch() is None
    delivery.answer("pong")
    assert delivery.question() is None
    assert delivery.batch() == Batch([GAP, GAP], "behind pong")
    assert delivery.position == "behind pong"


def test_run_that_fails_goes_on_failing_and_does_not_end() -> None:
    delivery = Delivery(Scripted(), raises=False)
    delivery.answer("pong")
    delivery.batch()
    assert delivery.question() == StoreCommand(("PING",))

    for _ in range(2):
        with pytest.raises(StoreAway, match="It answers nonsense"):
            delivery.answer("nonsense") if delivery.question() else None


def test_run_that_was_interrupted_in_a_step_is_no_end() -> None:
    delivery = Delivery(Interrupted(), raises=False)
    with pytest.raises(KeyboardInterrupt):
        delivery.answer("pong")

    for _ in range(2):
        with pytest.raises(WrongQuestion, match=r"go on with a new live\(position=…\)"):
            delivery.question()


def test_gaps_are_raised_one_by_one_and_the_position_stays_before_them() -> None:
    delivery = Delivery(Scripted(), raises=True)
    delivery.answer("pong")

    for _ in range(2):
        with pytest.raises(GapFound):
            delivery.batch()
        assert delivery.position == ""
    assert delivery.batch() == Batch([], "behind pong")
    assert delivery.position == "behind pong"


def test_api_that_is_busy_is_asked_later_and_in_the_end_for_the_last_time() -> None:
    asked: list[bool] = []
    plan = ask_api("/klines/BTCUSDT", {})
    question = next(plan)
    while len(asked) < TRIES:
        assert isinstance(question, ApiRequest)
        asked.append(question.is_last_try)
        if question.is_last_try:
            break
        question = plan.send(ApiAnswer(503, {}, b""))
        assert isinstance(question, Clock)
        assert isinstance(plan.send(10.0), WaitUntil)
        question = plan.send(None)

    assert asked == [False] * (TRIES - 1) + [True]


def test_patience_ends_and_tells_when_it_was_needed(caplog: pytest.LogCaptureFixture) -> None:
    patience, now_s, pauses = Patience(PATIENCE_S), 100.0, []
    patience.answered()
    away = StoreAway("The store cannot be read.")
    while (pause_s := patience.pause_s(now_s, away)) is not None:
        pauses.append(pause_s)
        now_s += pause_s

    assert pauses[:3] == [0.1, pytest.approx(0.3), pytest.approx(0.7)]
    assert now_s <= 100.0 + PATIENCE_S
    patience.answered()
    patience.answered()
    assert [(each.name, each.message) for each in caplog.records] == [
        ("data_collector.client", "The store cannot be read. It is asked again for 60 s."),
        ("data_collector.client", "What was away answers again, and reading goes on where it was."),
    ]
