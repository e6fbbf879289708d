"""Weights, with time brought by the test."""

from __future__ import annotations

from data_collector.venues.binance.speaker.weights import WeightCounter

MINUTE_MS = 60_000


def test_weight_starts_anew_with_the_clock_minute() -> None:
    counter = WeightCounter(100, enforced=True)

    assert counter.spend(100, MINUTE_MS + 59_999).status == 200
    assert counter.spend(1, MINUTE_MS + 59_999).status == 429
    fresh = counter.spend(1, 2 * MINUTE_MS)
    assert (fresh.status, fresh.used) == (200, 1)


def test_429_tells_the_seconds_that_are_left_of_the_minute() -> None:
    counter = WeightCounter(10, enforced=True)

    assert counter.spend(11, MINUTE_MS + 18_500).retry_after_s == 42


def test_going_on_after_429_is_banned_and_each_ban_is_longer() -> None:
    counter = WeightCounter(10, enforced=True)
    now_ms = MINUTE_MS

    statuses = [counter.spend(11, now_ms).status for _ in range(12)]
    assert statuses[:10] == [429] * 10
    assert statuses[10:] == [418, 418]
    first = counter.spend(1, now_ms)
    assert first.retry_after_s == 120
    now_ms = first.banned_until_ms
    assert counter.spend(1, now_ms).status == 200
    second = [counter.spend(11, now_ms) for _ in range(11)][-1]
    assert (second.status, second.retry_after_s) == (418, 240)


def test_limits_that_are_not_enforced_are_still_counted() -> None:
    counter = WeightCounter(10, enforced=False)

    assert counter.spend(500, 0).status == 200
    assert counter.spend(500, 0).used == 1000
