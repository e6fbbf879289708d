"""Limits, with time brought by the test."""

from __future__ import annotations

from data_collector.simulator.limits import Bucket, SlidingWindow


def test_sixth_message_within_a_second_is_too_many() -> None:
    window = SlidingWindow(5, 1.0)

    assert all(window.allows(0.1 * index) for index in range(5))
    assert not window.allows(0.99)


def test_limit_is_of_a_sliding_second_not_of_a_bucket() -> None:
    window = SlidingWindow(5, 1.0)
    for moment in (0.0, 0.9, 0.91, 0.92, 0.93):
        assert window.allows(moment)

    assert window.allows(1.01)
    assert not window.allows(1.5)


def test_a_bucket_allows_some_at_once_and_then_its_rate() -> None:
    bucket = Bucket(2.0, 3, 10.0)

    assert [bucket.allows(10.0) for _ in range(4)] == [True, True, True, False]
    assert not bucket.allows(10.4)
    assert bucket.allows(10.5)
    assert not bucket.allows(10.6)
    assert [bucket.allows(100.0) for _ in range(4)] == [True, True, True, False]
