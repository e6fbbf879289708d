"""The search is exact: what it finds is what comparing every window with every number finds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_collector.client.adapters.memory import CHANNELS
from data_collector.client.adapters.remembering.candle_file import ROW, Rows
from data_collector.client.adapters.remembering.screen import ROUNDING
from data_collector.client.adapters.remembering.search import nearest
from data_collector.client.adapters.remembering.shape import channel_values, shape_of
from data_collector.client.adapters.remembering.windows import Windows
from tests.market import MINUTE_MS, NOON_MS
from tests.unit.client.adapters.candles import Numbers, walk

PRICES = {"close": 1.0}


def rows_of(closes: Sequence[float] | Numbers, minutes: Sequence[int] | None = None, seed: int = 0) -> Rows:
    chance = np.random.default_rng(seed)
    rows = np.zeros(len(closes), ROW)
    rows["open_ms"] = NOON_MS + MINUTE_MS * np.array(range(len(closes)) if minutes is None else minutes)
    rows["close"] = rows["open"] = closes
    rows["high"], rows["low"] = rows["close"] * (1 + chance.random(len(closes)) / 100), rows["close"]
    rows["volume"] = chance.lognormal(size=len(closes))
    return rows


def windows_of(rows: Rows, window: int, channels: dict[str, float] = PRICES) -> Windows:
    windows = Windows("1m", shape_of(window, channels, "shape/1"))
    windows.set_rows(0, rows, len(rows))
    return windows


def found(windows: Windows, first: int, count: int, k: int, exclusion: int) -> list[tuple[int, float]]:
    unit = windows.unit(first)
    starts, similarities = nearest(
        windows.bounds(unit, windows.counting(count, 0)), lambda at: windows.similarities(unit, at), k, exclusion
    )
    return list(zip(starts, similarities, strict=True))


def expected(
    rows: Rows, window: int, first: int, count: int, k: int, exclusion: int, channels: dict[str, float] = PRICES
) -> list[tuple[int, float]]:
    """By a loop over all windows."""
    total = sum(channels.values())
    series = {name: channel_values(name, rows) for name in channels}
    alike = []
    for start in range(count):
        if rows["open_ms"][start + window - 1] - rows["open_ms"][start] != (window - 1) * MINUTE_MS:
            continue
        parts = [(values[start : start + window], values[first : first + window]) for values in series.values()]
        if any(np.isnan(there).any() or (there == there[0]).all() for there, _ in parts):
            continue
        correlations = [float(np.corrcoef(there, now)[0, 1]) for there, now in parts]
        weighted = [weight / total * each for weight, each in zip(channels.values(), correlations, strict=True)]
        alike.append((start, round(sum(weighted), 9)))
    chosen = list[tuple[int, float]]()
    for start, similarity in sorted(alike, key=lambda each: (-each[1], each[0])):
        if len(chosen) < k and all(abs(start - other) >= exclusion for other, _ in chosen):
            chosen.append((start, similarity))
    return chosen


@settings(deadline=None)
@given(
    closes=st.lists(st.sampled_from([1.0, 2.0, 3.0, 4.0, 5.0]), min_size=12, max_size=60),
    missing=st.sets(st.integers(0, 50), max_size=3),
    window=st.integers(2, 6),
    k=st.integers(1, 12),
    exclusion=st.integers(0, 8),
)
def test_hits_are_those_of_a_loop_over_all_windows_ties_too(
    closes: list[float], missing: set[int], window: int, k: int, exclusion: int
) -> None:
    """Few prices make many windows of exactly the same shape, flat ones too."""
    minutes = [minute for minute in range(len(closes) + 4) if minute not in missing][: len(closes)]
    rows = rows_of([*closes[: len(minutes) - window], *np.arange(1.0, window + 1)], minutes)
    first = len(rows) - window
    count = max(0, first - max(exclusion, 1) + 1)

    hits = found(windows_of(rows, window), first, count, k, exclusion)

    wanted = expected(rows, window, first, count, k, exclusion)
    assert [start for start, _ in hits] == [start for start, _ in wanted]
    assert dict(hits) == pytest.approx(dict(wanted), abs=2e-9)


@pytest.mark.parametrize(("channels", "k", "exclusion"), [(PRICES, 3, 64), (CHANNELS, 1, 64), (PRICES, 40, 1)])
def test_few_windows_that_are_looked_into_hold_the_best_of_all(
    channels: dict[str, float], k: int, exclusion: int
) -> None:
    rows = rows_of(walk(5_000, seed=5))
    windows = windows_of(rows, 64, channels)
    first = windows.count - 1

    hits = found(windows, first, first - 64, k, exclusion)

    wanted = expected(rows, 64, first, first - 64, k, exclusion, channels)
    assert [start for start, _ in hits] == [start for start, _ in wanted]
    assert dict(hits) == pytest.approx(dict(wanted), abs=2e-9)


def test_repeated_pattern_is_found_at_its_earliest_places() -> None:
    """Thousands of windows are exactly alike: far more than are looked into at first."""
    closes = np.tile([4.0, 5.0, 7.0, 5.0, 4.0, 3.0, 2.0, 3.0], 3000)
    windows = windows_of(rows_of(closes), 8)

    hits = found(windows, windows.count - 1, windows.count - 9, 50, 8)

    assert hits == [(8 * number, 1.0) for number in range(50)]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1000),
    window=st.sampled_from([2, 16, 64, 1500]),
    quiet=st.floats(1e-7, 1.0),
    jump=st.floats(-5.0, 5.0),
)
def test_no_window_is_more_alike_than_its_bound(seed: int, window: int, quiet: float, jump: float) -> None:
    """Quiet stretches beside leaps, where 24 bits say little, too."""
    chance = np.random.default_rng(seed)
    steps = chance.normal(size=6000) * 1e-3
    steps[2000:4000] *= quiet
    steps[chance.integers(0, 6000, 3)] += jump
    windows = windows_of(rows_of(np.exp(np.cumsum(steps)) * 100), window)
    counting = windows.counting(windows.count, 0)
    starts = np.flatnonzero(counting)
    unit = windows.unit(int(starts[chance.integers(len(starts))]))

    bounds = windows.bounds(unit, counting)

    found = bounds.found.reshape(-1)
    assert (found[starts] + ROUNDING >= windows.similarities(unit, starts)).all()
    assert (found[len(counting) :] == -np.inf).all()
    for floor in (-np.inf, 0.3):
        assert bounds.reaching(floor).tolist() == np.flatnonzero((found >= floor) & (found > -np.inf)).tolist()
    assert len(bounds.reaching(bounds.floor(20))) >= 20


def test_bounds_of_a_walk_are_close() -> None:
    windows = windows_of(rows_of(walk(20_000)), 64)
    unit, counting = windows.unit(windows.count - 1), windows.counting(windows.count, 0)

    bounds = windows.bounds(unit, counting).found.reshape(-1)

    exact = windows.similarities(unit, np.flatnonzero(counting))
    assert np.abs(bounds[: windows.count] - exact).max() < 1e-3
