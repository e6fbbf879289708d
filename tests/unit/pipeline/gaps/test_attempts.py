"""When what is missing is asked for again, and when it is given up."""

from __future__ import annotations

import pytest

from data_collector.pipeline.gaps.attempts import BLOCK_S, GAP_DEADLINE_S, PROGRESS_PAUSE_S, RETRY_CAP_S, Attempts


def test_pauses_double_up_to_a_cap_and_begin_anew_with_progress() -> None:
    attempts = Attempts(0.0)
    pauses = []
    for _ in range(12):
        attempts.fail(attempts.retry_s)
        pauses.append(attempts.retry_s)

    assert pauses[:3] == [0.25, 0.75, 1.75]
    assert pauses[-1] - pauses[-2] == RETRY_CAP_S
    attempts.succeed(pauses[-1])
    attempts.fail(pauses[-1])
    assert (attempts.failed, attempts.retry_s) == (1, pauses[-1] + 0.25)


def test_exchange_that_asks_for_more_time_gets_it() -> None:
    attempts = Attempts(0.0)
    attempts.fail(10.0, 7.0)

    assert attempts.retry_s == 17.0


def test_progress_ends_a_long_wait_but_not_a_short_one() -> None:
    attempts = Attempts(0.0)
    attempts.fail(10.0, 3_600.0)
    attempts.succeed(10.0)
    assert attempts.retry_s == 10.0 + PROGRESS_PAUSE_S

    attempts.succeed(10.5)

    assert attempts.retry_s == 10.0 + PROGRESS_PAUSE_S


def test_what_was_put_off_for_longer_stays_so() -> None:
    attempts = Attempts(0.0)
    attempts.put_off(50.0)
    attempts.fail(10.0)

    assert attempts.retry_s == 50.0


def test_it_is_over_after_so_long_without_progress() -> None:
    attempts = Attempts(0.0)
    assert not attempts.is_over(GAP_DEADLINE_S - 1)
    assert attempts.is_over(GAP_DEADLINE_S)

    attempts.succeed(GAP_DEADLINE_S)

    assert not attempts.is_over(GAP_DEADLINE_S + 1)


@pytest.mark.parametrize("before_s", [0.0, 300.0, GAP_DEADLINE_S - 1])
def test_block_that_the_exchange_names_is_outlasted(before_s: float) -> None:
    """A lockout of a quarter of an hour, whenever it begins: what was missed is asked for again when it ends."""
    attempts = Attempts(0.0)
    attempts.fail(before_s, BLOCK_S)

    assert not attempts.is_hopeless
    assert not attempts.is_over(before_s + BLOCK_S)
    attempts.fail(before_s + BLOCK_S, BLOCK_S)
    assert attempts.is_hopeless == (before_s + 2 * BLOCK_S >= GAP_DEADLINE_S + BLOCK_S + RETRY_CAP_S)
    attempts.succeed(before_s + BLOCK_S)
    assert attempts.is_over(before_s + BLOCK_S + GAP_DEADLINE_S)


@pytest.mark.parametrize("retry_after_s", [60.0, None])
def test_limits_that_follow_each_other_are_not_outlasted(retry_after_s: float | None) -> None:
    attempts = Attempts(0.0)
    for minute in range(10):
        attempts.fail(minute * 60.0, retry_after_s)

    assert attempts.is_over(GAP_DEADLINE_S)


def test_longer_ban_is_hopeless_at_once() -> None:
    attempts = Attempts(0.0)
    attempts.fail(0.0, 2 * BLOCK_S)

    assert attempts.is_hopeless
