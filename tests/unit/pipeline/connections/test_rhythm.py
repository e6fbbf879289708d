"""What silence means, by the stream's own rhythm."""

from __future__ import annotations

from data_collector.pipeline.connections.rhythm import (
    BUSY_SILENCE_S,
    SILENCE_MAX_S,
    SILENCE_MIN_S,
    UNKNOWN_SILENCE_S,
    Rhythm,
)


def learned(gap_s: float, messages_per_gap: int = 1, times: int = 200) -> Rhythm:
    """A stream that speaks evenly."""
    rhythm, cursor, now_s = Rhythm(0, 0.0), 0, 0.0
    for _ in range(times):
        cursor, now_s = cursor + messages_per_gap, now_s + gap_s
        assert rhythm.sample(cursor, now_s, counts=True)
    return rhythm


def test_busy_stream_is_asked_about_after_five_seconds() -> None:
    assert learned(1.0, messages_per_gap=50).silence_max_s == SILENCE_MIN_S


def test_stream_of_one_message_a_second_is_asked_about_within_eight() -> None:
    assert learned(1.0).silence_max_s == BUSY_SILENCE_S


def test_slow_stream_may_be_silent_for_twenty_of_its_gaps() -> None:
    # Gaps of 3 s lie in the bucket up to 4 s.
    assert learned(3.0).silence_max_s == 80.0


def test_very_slow_stream_is_asked_about_in_the_end() -> None:
    assert learned(1_000.0).silence_max_s == SILENCE_MAX_S


def test_one_long_gap_in_two_hundred_does_not_count() -> None:
    rhythm = learned(1.0, messages_per_gap=50)
    rhythm.sample(1_000_000, 300.0, counts=False)

    assert rhythm.silence_max_s == SILENCE_MIN_S


def test_rhythm_that_has_changed_is_learned_anew() -> None:
    rhythm, cursor, now_s = learned(0.1), 200, 20.0
    for _ in range(500):
        cursor, now_s = cursor + 1, now_s + 10.0
        rhythm.sample(cursor, now_s, counts=True)

    assert rhythm.silence_max_s == 20 * 16.0


def test_nothing_learned_yet_is_asked_about_after_a_minute() -> None:
    rhythm = Rhythm(0, 0.0)

    assert not rhythm.has_spoken
    assert rhythm.silence_max_s == UNKNOWN_SILENCE_S


def test_cursor_that_is_set_back_is_no_word() -> None:
    rhythm = Rhythm(100, 0.0)

    assert not rhythm.sample(50, 1.0, counts=True)
    assert not rhythm.has_spoken
    assert rhythm.sample(51, 2.0, counts=True)
