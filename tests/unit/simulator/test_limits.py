"""Limits, with time brought by the test."""

from __future__ import annotations

from data_collector.simulator.limits import SlidingWindow


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
