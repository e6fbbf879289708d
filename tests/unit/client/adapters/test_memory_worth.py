"""What a forecast is worth: nothing on a walk, much where a pattern was planted, and a look ahead is found out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from data_collector.client.adapters import memory as memory_module
from data_collector.client.adapters.memory import Memory
from data_collector.client.records import time_of
from tests.market import MINUTE_MS, NOON_MS, SYMBOL
from tests.unit.client.adapters.candles import Numbers, feed, klines, walk

CANDLES, WINDOW, HORIZON, QUESTIONS = 5_000, 64, 16, 300


def asked(folder: Path, closes: Numbers, rows: Sequence[int], exclusion: int = WINDOW) -> float:
    """t of the correlation between the forecast as of each of these rows and what came."""
    memory = Memory(folder, SYMBOL, "1m", WINDOW, channels={"close": 1})
    feed(memory, klines(closes))
    forecasts = [
        memory.forecast(HORIZON, k=20, at=time_of(NOON_MS + row * MINUTE_MS), exclusion=exclusion).mean for row in rows
    ]
    came = [math.log(closes[row - 1 + HORIZON] / closes[row - 1]) for row in rows]
    correlation = float(np.corrcoef(np.array(forecasts, np.float64), came)[0, 1])
    return correlation * math.sqrt((len(rows) - 2) / (1 - correlation**2))


def drawn_rows() -> list[int]:
    chance = np.random.default_rng(2)
    return sorted(int(row) for row in chance.choice(np.arange(1500, CANDLES - HORIZON), QUESTIONS, replace=False))


@pytest.mark.parametrize("seed", [1, 4])
def test_walk_is_not_foreseen(tmp_path: Path, seed: int) -> None:
    assert abs(asked(tmp_path, walk(CANDLES, seed), drawn_rows())) < 4


def test_planted_pattern_is_foreseen(tmp_path: Path) -> None:
    """A wave, up or down, which a move in the same sense follows."""
    chance = np.random.default_rng(3)
    steps = chance.standard_t(4, 2 * CANDLES) * 1e-3
    wave = np.sin(np.linspace(0, 2 * np.pi, WINDOW))
    places = np.arange(200, 2 * CANDLES - WINDOW - HORIZON, 2 * WINDOW)
    for place, sense in zip(places, chance.choice([-1, 1], len(places)), strict=True):
        steps[place : place + WINDOW] += sense * wave * 3e-3
        steps[place + WINDOW : place + WINDOW + HORIZON] += sense * 1e-3
    closes = np.exp(np.cumsum(steps)) * 40_000

    assert asked(tmp_path, closes, (places[20:] + WINDOW).tolist()) > 10


def test_outcomes_that_are_not_known_yet_would_be_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual bug: neighbours of now count, whose outcome is now's own."""
    monkeypatch.setattr(memory_module, "_known", lambda first, exclusion, horizon: first)

    assert asked(tmp_path, walk(CANDLES, 4), drawn_rows(), exclusion=1) > 4
