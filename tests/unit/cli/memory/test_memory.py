"""`data-collector memory`: what is wrong before anything is read."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from data_collector.cli.app import command_line
from data_collector.cli.memory.similar import print_moments
from data_collector.client.adapters.memory import Memory
from data_collector.model.errors import CollectorError
from tests.market import SYMBOL
from tests.unit.client.adapters.candles import feed, klines, walk


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ("similar BTCUSDT --horizons soon", 78, "write numbers of candles, such as 5,15,60"),
        ("similar BTCUSDT --window 1", 78, "window=1 is no number of candles"),
        ("similar BTCUSDT --interval 7m", 78, "'7m' is no interval"),
        ("similar BTCUSDT", 69, "No store is running below"),
        ("--vectors", 78, "DATABASE_URL is not set"),
        ("--vectors --symbols ,", 78, "--symbols"),
    ],
)
def test_command_that_cannot_work_says_why(
    words: str, code: int, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("REDIS_URL", raising=False)

    ended = CliRunner().invoke(command_line(["memory"]), ["memory", *words.split()])

    assert isinstance(ended.exception, CollectorError)
    assert (ended.exception.exit_code, sentence in str(ended.exception)) == (code, True), str(ended.exception)


def test_command_alone_says_what_there_is() -> None:
    ended = CliRunner().invoke(command_line(["memory"]), ["memory"])

    assert "--vectors" in ended.output
    assert "similar" in ended.output


@pytest.mark.parametrize(("size", "unit"), [(1.0, "%"), (0.01, "basis points (0.01 %)")])
def test_small_moves_are_told_in_basis_points(size: float, unit: str, tmp_path: Path) -> None:
    with Memory(tmp_path, SYMBOL, "1m", 16) as memory:
        feed(memory, klines(40_000 * (walk(600) / 40_000) ** size))
        moments = memory.moments(5, horizons=(5, 15))
    screen = StringIO()

    print_moments(memory, moments, Console(file=screen, width=80))

    lines = screen.getvalue().splitlines()
    assert [line.rstrip() for line in lines if "followed" in line] == [
        f"Most alike, and what followed, in {unit}", f"What followed all of them, in {unit}"
    ]  # fmt: skip
    medians = [float(line.split()[5]) for line in lines if line.startswith("alike")]
    assert medians == [
        pytest.approx(forecast.quantiles[0.5] * (100 if unit == "%" else 10_000), abs=0.01)
        for forecast in moments.forecasts
    ]
