"""Delays between tries."""

from __future__ import annotations

import random

import pytest

from data_collector.model.backoff import CAP_S, FIRST_S, HEALTHY_S, Backoff


def longest() -> Backoff:
    """The random part always at its upper end."""
    return Backoff(jitter=False)


def test_ceiling_doubles_up_to_the_cap() -> None:
    backoff = longest()

    delays = [backoff.next_delay_s() for _ in range(9)]

    assert delays == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    assert delays[0] == FIRST_S
    assert max(delays) == CAP_S


def test_jitter_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = iter([0.0, 0.5, 0.25])
    monkeypatch.setattr(random, "random", lambda: next(parts))
    backoff = Backoff()

    assert [backoff.next_delay_s() for _ in range(3)] == [0.0, 1.0, 1.0]


def test_real_jitter_stays_within_the_ceiling() -> None:
    backoff = Backoff()

    delays = [backoff.next_delay_s() for _ in range(200)]

    assert all(0.0 <= delay <= CAP_S for delay in delays)
    assert len(set(delays)) > 100


def test_connection_that_is_accepted_and_closed_does_not_start_the_delays_anew() -> None:
    backoff = longest()
    for _ in range(6):
        backoff.next_delay_s(served_s=HEALTHY_S - 0.1)

    assert backoff.next_delay_s(served_s=HEALTHY_S - 0.1) == CAP_S


def test_healthy_minute_starts_the_delays_anew() -> None:
    backoff = longest()
    for _ in range(6):
        backoff.next_delay_s()

    assert backoff.next_delay_s(served_s=HEALTHY_S) == FIRST_S
    assert backoff.next_delay_s() == 2 * FIRST_S


@pytest.mark.parametrize(("asked", "delay"), [(120.0, 120.0), (0.5, 1.0)])
def test_what_the_other_side_asks_for_is_the_least(asked: float, delay: float) -> None:
    assert longest().next_delay_s(retry_after_s=asked) == delay


def test_failures_without_end_do_not_overflow() -> None:
    backoff = longest()
    for _ in range(5_000):
        backoff.next_delay_s()

    assert backoff.next_delay_s() == CAP_S


def test_one_delay_can_be_made_longer_within_the_cap() -> None:
    backoff = longest()

    assert backoff.next_delay_s(factor=4.0) == 4.0
    assert backoff.next_delay_s() == 2.0
    assert [backoff.next_delay_s(factor=4.0) for _ in range(4)] == [16.0, 32.0, 60.0, 60.0]


def test_first_delay_cap_and_healthy_time_are_each_users_own() -> None:
    backoff = Backoff(0.5, 3.0, healthy_s=10.0, jitter=False)

    assert [backoff.next_delay_s() for _ in range(4)] == [0.5, 1.0, 2.0, 3.0]
    assert backoff.next_delay_s(served_s=9.9) == 3.0
    assert backoff.next_delay_s(served_s=10.0) == 0.5


def test_success_starts_the_delays_anew() -> None:
    backoff = longest()
    for _ in range(6):
        backoff.next_delay_s()

    backoff.reset()

    assert backoff.next_delay_s() == FIRST_S
