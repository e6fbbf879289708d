"""`data-collector memory`: what is wrong before anything is read."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from data_collector.cli.app import command_line
from data_collector.model.errors import CollectorError


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
