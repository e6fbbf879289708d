"""What a forecast is worth: nothing on a walk, much where a pattern was planted, and a look ahead is found out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from data_collector.client.adapters import memory as memory_module
from data_collector.client.adapters.memory import Forecast, Memory
from data_collector.client.records import time_of
from tests.market import MINUTE_MS, NOON_MS, SYMBOL
from tests.unit.client.adapters.candles import Numbers, feed, klines, walk

CANDLES, WINDOW, HORIZON, QUESTIONS = 5_000, 64, 16, 300


def asked(folder: Path, closes: Numbers, rows: Sequence[int], exclusion: int = WINDOW) -> list[Forecast]:
    """As of each of these rows."""
    memory = Memory(folder, SYMBOL, "1m", WINDOW, channels={"close": 1})
    feed(memory, klines(closes))
    return [memory.forecast(HORIZON, 20, time_of(NOON_MS + row * MINUTE_MS), exclusion) for row in rows]


def t_of(forecasts: Sequence[Forecast], closes: Numbers, rows: Sequence[int]) -> float:
    """Of the correlation between the means and what came."""
    came = [math.log(closes[row - 1 + HORIZON] / closes[row - 1]) for row in rows]
    correlation = float(np.corrcoef([float(each.mean or 0) for each in forecasts], came)[0, 1])
    return correlation * math.sqrt((len(rows) - 2) / (1 - correlation**2))


def share_below(p_value: float, forecasts: Sequence[Forecast]) -> float:
    return sum(each.p_value is not None and each.p_value < p_value for each in forecasts) / len(forecasts)


def drawn_rows() -> list[int]:
    chance = np.random.default_rng(2)
    return sorted(int(row) for row in chance.choice(np.arange(1500, CANDLES - HORIZON), QUESTIONS, replace=False))


@pytest.mark.parametrize("seed", [1, 4])
def test_walk_is_not_foreseen_and_chance_is_told_as_such(tmp_path: Path, seed: int) -> None:
    closes, rows = walk(CANDLES, seed), drawn_rows()

    forecasts = asked(tmp_path, closes, rows)

    assert abs(t_of(forecasts, closes, rows)) < 4
    assert share_below(0.05, forecasts) < 0.15
    assert 0.3 < share_below(0.5, forecasts) < 0.7


def test_planted_pattern_is_foreseen_and_is_no_chance(tmp_path: Path) -> None:
    """A wave, up or down, which a move in the same sense follows."""
    chance = np.random.default_rng(3)
    steps = chance.standard_t(4, 2 * CANDLES) * 1e-3
    wave = np.sin(np.linspace(0, 2 * np.pi, WINDOW))
    places = np.arange(200, 2 * CANDLES - WINDOW - HORIZON, 2 * WINDOW)
    for place, sense in zip(places, chance.choice([-1, 1], len(places)), strict=True):
        steps[place : place + WINDOW] += sense * wave * 3e-3
        steps[place + WINDOW : place + WINDOW + HORIZON] += sense * 1e-3
    closes, rows = np.exp(np.cumsum(steps)) * 40_000, (places[20:] + WINDOW).tolist()

    forecasts = asked(tmp_path, closes, rows)

    assert t_of(forecasts, closes, rows) > 10
    assert share_below(0.05, forecasts) > 0.8


def test_outcomes_that_are_not_known_yet_would_be_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual bug: neighbours of now count, whose outcome is now's own."""
    monkeypatch.setattr(memory_module, "_known", lambda first, exclusion, horizon: first)
    closes, rows = walk(CANDLES, 4), drawn_rows()

    assert t_of(asked(tmp_path, closes, rows, exclusion=1), closes, rows) > 4
