"""What a memory answers: the same however it was filled and whenever it is asked, and honest about its worth."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from data_collector.client import Kline, TooLarge, WrongQuestion
from data_collector.client.adapters import memory as memory_module
from data_collector.client.adapters.memory import Hit, Memory, NoShape
from data_collector.client.adapters.remembering.outcomes import RANDOM_WINDOWS
from data_collector.client.records import CALENDAR, ms_of, time_of
from tests.market import MINUTE_MS, NOON_MS, SYMBOL
from tests.unit.client.adapters.candles import candle, feed, klines, walk

LENGTH = 16


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    return Memory(tmp_path, SYMBOL, "1m", window=LENGTH)


def begun(hits: list[Hit]) -> list[int]:
    """Minutes after noon at which they begin."""
    return [(ms_of(hit.start) - NOON_MS) // MINUTE_MS for hit in hits]


def test_pieces_give_what_all_at_once_gives_bit_for_bit(tmp_path: Path) -> None:
    candles = klines(walk(9000))
    pieces, whole = (Memory(tmp_path / name, SYMBOL, "1m") for name in ("pieces", "whole"))

    feed(pieces, candles, (1, 1, 5, 4000, 90, 1))
    feed(whole, candles)

    assert pieces.similar(k=20) == whole.similar(k=20)
    assert pieces.forecast(60) == whole.forecast(60)
    (one_ms, one), (other_ms, other) = pieces.vectors(), whole.vectors()
    assert (one_ms.tobytes(), one.tobytes()) == (other_ms.tobytes(), other.tobytes())
    files = [(tmp_path / name / "BTCUSDT-1m.candles").read_bytes() for name in ("pieces", "whole")]
    assert files[0] == files[1]
    assert Memory(tmp_path / "pieces", SYMBOL, "1m").similar(k=20) == whole.similar(k=20)


def test_answer_as_of_then_is_that_of_a_memory_that_ends_there(tmp_path: Path) -> None:
    candles = klines(walk(9000))
    whole, then = (Memory(tmp_path / name, SYMBOL, "1m") for name in ("whole", "then"))

    feed(whole, candles)
    feed(then, candles[:6000])
    at = candles[5999].close_time

    assert whole.similar(k=20, at=at) == then.similar(k=20)
    assert whole.similar(k=20, at=at + timedelta(seconds=59)) == then.similar(k=20)
    assert whole.forecast(60, at=at) == then.forecast(60)


def test_hit_tells_what_followed_it(memory: Memory) -> None:
    closes = walk(2000)
    feed(memory, klines(closes))

    hit = memory.similar(k=1, horizons=(1, 30))[0]

    (start,) = begun([hit])
    assert hit.end - hit.start == timedelta(minutes=LENGTH)
    assert hit.after == {
        horizon: pytest.approx(np.log(closes[start + LENGTH - 1 + horizon] / closes[start + LENGTH - 1]))
        for horizon in (1, 30)
    }
    drawn = memory.path(hit.start, 30)
    assert (len(drawn), drawn[LENGTH - 1], drawn[-1]) == (LENGTH + 30, 0.0, hit.after[30])
    spreads = [np.std(np.log(closes[first : first + LENGTH])) for first in (start, 2000 - LENGTH)]
    assert hit.scale == pytest.approx(spreads[0] / spreads[1], rel=1e-6)
    assert 0.5 <= hit.scale <= 2


def test_nothing_is_found_of_which_the_outcome_was_not_known(memory: Memory) -> None:
    feed(memory, klines(walk(400)))

    found = {
        horizon: begun(memory.similar(k=400, horizons=(horizon,), exclusion=0, scale=None)) for horizon in (1, 5, 40)
    }

    assert {horizon: sorted(each) for horizon, each in found.items()} == {
        horizon: [*range(400 - LENGTH - horizon + 1)] for horizon in (1, 5, 40)
    }


def test_hits_overlap_neither_now_nor_each_other(memory: Memory) -> None:
    feed(memory, klines(walk(3000)))

    minutes = sorted(begun(memory.similar(k=10_000, scale=None)))

    assert minutes[-1] <= 3000 - 2 * LENGTH
    assert all(later - earlier >= LENGTH for earlier, later in pairwise(minutes))
    assert len(minutes) > 3000 / LENGTH / 2


def test_neither_window_nor_horizon_reaches_over_a_gap(memory: Memory) -> None:
    minutes = [*range(300), *range(301, 700), *range(760, 1200)]
    feed(memory, klines(walk(len(minutes)), minutes))
    reach = LENGTH + 20

    found = begun(memory.similar(k=2000, horizons=(20,), exclusion=1, scale=None))

    expected = [(0, 300), (301, 700), (760, 1200)]
    assert sorted(found) == [minute for first, end in expected for minute in range(first, end - reach + 1)]


def test_months_follow_each_other_though_their_lengths_differ(tmp_path: Path) -> None:
    memory = Memory(tmp_path, SYMBOL, "1M", window=4)
    open_ms, candles = ms_of(time_of(NOON_MS).replace(hour=0)), list[Kline]()
    for made in klines(walk(40)):
        candles.append(structs.replace(made, interval="1M", timestamp=time_of(open_ms)))
        open_ms = CALENDAR.next_open_ms("1M", open_ms)

    feed(memory, candles[:30] + candles[31:])

    assert len(memory.vectors()[0]) == (30 - 3) + (9 - 3)
    assert memory.similar(k=1, horizons=(2,))[0].end.day == 1


def flat(candles: list[Kline]) -> list[Kline]:
    return candles[:-LENGTH] + [structs.replace(each, close=candles[1].close) for each in candles[-LENGTH:]]


@pytest.mark.parametrize(
    ("candles", "reason", "words"),
    [
        (klines(walk(15)), "short", "There are 15 candles"),
        (klines(walk(200))[:-3] + klines(walk(200))[-2:], "gap", "are missing in the window"),
        (flat(klines(walk(200))), "flat", "close of all 16 candles"),
        ([*klines(walk(200))[:-1], candle(199, 40_000, 40_001, 39_999, float("nan"))], "untold", "volume of a candle"),
        ([*klines(walk(200))[:-1], candle(199, 0, 1, 0, 5)], "untold", "close of a candle"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_window_without_a_shape_is_told_and_gets_no_answer(
    memory: Memory, candles: list[Kline], reason: str, words: str
) -> None:
    feed(memory, candles)

    with pytest.raises(NoShape, match=words) as told:
        memory.similar()
    with pytest.raises(NoShape):
        memory.forecast(5)

    assert told.value.reason == reason


def test_window_without_a_shape_is_never_found(memory: Memory) -> None:
    candles = flat(klines(walk(200)))
    feed(
        memory,
        [
            *candles,
            *(structs.replace(each, timestamp=each.timestamp + timedelta(minutes=200)) for each in candles[:150]),
        ],
    )

    found = begun(memory.similar(k=2000, horizons=(), exclusion=1, scale=None))

    assert 200 - LENGTH not in found
    assert {200 - LENGTH - 1, 200 - LENGTH + 1} <= set(found)


def test_series_without_volume_is_compared_by_what_it_has(tmp_path: Path) -> None:
    candles = [structs.replace(each, volume=Decimal("NaN")) for each in klines(walk(500))]
    with Memory(tmp_path, SYMBOL, "1m", LENGTH) as memory:
        feed(memory, candles)
        with pytest.raises(NoShape, match="leave it out of channels="):
            memory.similar()

    hits = Memory(tmp_path, SYMBOL, "1m", LENGTH, channels={"close": 2, "range": 1}).similar(k=3)

    assert len(hits) == 3


def test_history_that_is_too_short_for_a_hit_gives_none_and_says_so(memory: Memory) -> None:
    feed(memory, klines(walk(LENGTH + 3)))

    forecast = memory.forecast(5)

    assert memory.similar() == []
    assert (forecast.n, forecast.effective_n, forecast.mean, forecast.quantiles) == (0, 0.0, None, {})
    assert (forecast.random.n, forecast.p_value) == (0, None)


def test_forecast_counts_what_outcomes_share_once(memory: Memory) -> None:
    feed(memory, klines(walk(1000)))

    apart = memory.forecast(LENGTH, k=20)
    sharing = memory.forecast(500, k=20)

    assert (apart.n, apart.effective_n) == (20, 20.0)
    assert sharing.n > 10
    assert sharing.effective_n < 2
    assert list(apart.quantiles) == [0.1, 0.25, 0.5, 0.75, 0.9]
    assert list(apart.quantiles.values()) == sorted(apart.quantiles.values())
    assert apart.random.n > 500


def test_random_windows_are_drawn_among_those_that_could_have_been_found(memory: Memory) -> None:
    feed(memory, klines(walk(5000)))

    every = memory.similar(k=5000, horizons=(5,), exclusion=1)
    forecast = memory.forecast(5, k=5000, exclusion=1)

    assert forecast.random.n == RANDOM_WINDOWS < len(every)
    assert forecast.random.mean == pytest.approx(np.mean([hit.after[5] for hit in every]), abs=2e-4)
    assert memory.forecast(5, k=1).random != forecast.random
    assert memory.forecast(5, k=1, exclusion=1).random == forecast.random


def test_product_of_vectors_is_the_similarity(memory: Memory) -> None:
    feed(memory, klines(walk(3000)))

    hits = memory.similar(k=20)
    open_ms, vectors = memory.vectors()

    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0)
    found = vectors[np.searchsorted(open_ms, [ms_of(hit.start) for hit in hits])] @ vectors[-1]
    assert np.abs(found - [hit.similarity for hit in hits]).max() < 1e-5


def test_vectors_of_a_time_begin_in_it(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    feed(memory, klines(walk(100)))

    open_ms, vectors = memory.vectors(time_of(NOON_MS + 10 * MINUTE_MS), time_of(NOON_MS + 20 * MINUTE_MS))
    every, _ = memory.vectors()

    assert open_ms.tolist() == [NOON_MS + minute * MINUTE_MS for minute in range(10, 20)]
    assert vectors.shape == (10, 3 * LENGTH)
    assert vectors.dtype.name == "float32"
    assert len(every) == 100 - LENGTH + 1
    monkeypatch.setattr(memory_module, "VECTOR_NUMBERS_MAX", 1000)
    with pytest.raises(TooLarge, match="ask for a shorter time"):
        memory.vectors()


def test_price_in_another_unit_has_the_same_hits(tmp_path: Path) -> None:
    walked = klines(walk(3000))
    unit = Decimal(7)
    dear = [
        structs.replace(each, close=each.close * unit, high=each.high * unit, low=each.low * unit) for each in walked
    ]
    one, other = (Memory(tmp_path / name, SYMBOL, "1m") for name in ("one", "other"))

    feed(one, walked)
    feed(other, dear)

    assert begun(one.similar(k=20)) == begun(other.similar(k=20))


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda memory: memory.similar(k=0), "k=0"),
        (lambda memory: memory.similar(horizons=(5, 0)), "1 at least"),
        (lambda memory: memory.forecast(5, exclusion=-1), "exclusion=-1"),
        (lambda memory: memory.similar(scale=(2.0, 0.5)), "scale="),
        (lambda memory: memory.similar(at="yesterday"), "is no time"),
        (lambda memory: memory.path("2024-01-01"), "no window begins there"),
    ],
)
def test_question_that_cannot_be_answered_is_told(memory: Memory, ask: Callable[[Memory], object], words: str) -> None:
    with pytest.raises(WrongQuestion, match=words):
        ask(memory)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: Memory(folder, SYMBOL, "1m", window=1), "window=1"),
        (lambda folder: Memory(folder, SYMBOL, "1m", channels={"open": 1}), "none of close, range, volume"),
        (lambda folder: Memory(folder, SYMBOL, "1m", channels={"close": -1}), "weights of 0 or more"),
        (lambda folder: Memory(folder, SYMBOL, "1m", channels={"close": 0}), "no weight above 0"),
        (lambda folder: Memory(folder, SYMBOL, "1m", embedding="shape/9"), "this version has shape/1"),
        (lambda folder: Memory(folder, SYMBOL, "7m"), "is no interval"),
    ],
)
def test_memory_that_cannot_be_is_told(tmp_path: Path, make: Callable[[Path], object], words: str) -> None:
    with pytest.raises(WrongQuestion, match=words):
        make(tmp_path)
