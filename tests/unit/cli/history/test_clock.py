"""What time it is for commands that have nobody but REST to ask."""

from __future__ import annotations

import time

import pytest

from data_collector.cli.history.clock import agreed_now_ms


def test_exchange_that_is_behind_or_close_is_believed(capsys: pytest.CaptureFixture[str]) -> None:
    now_ms = round(time.time() * 1000)

    assert agreed_now_ms(now_ms - 86_400_000) == now_ms - 86_400_000
    assert agreed_now_ms(now_ms + 30_000) == now_ms + 30_000
    assert capsys.readouterr().err == ""


def test_rest_clock_that_is_ahead_makes_no_running_candle_past(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now_ms = round(time.time() * 1000)

    assert agreed_now_ms(now_ms + 3_600_000) < now_ms + 1_800_000

    told = capsys.readouterr().err
    assert "s ahead of this machine's" in told
    assert "doctor" in told
