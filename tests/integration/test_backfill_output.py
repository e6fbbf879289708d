"""What `backfill` shows: bars where somebody looks, sentences or JSON where not."""

from __future__ import annotations

import io
import json
import re
import time

import pytest
from rich.console import Console

from data_collector.cli.history.backfill_screen import Bars, PlainLines, print_json
from tests.integration.past import Past


async def test_plain_output_is_one_sentence_a_line(world: Past, capsys: pytest.CaptureFixture[str]) -> None:
    ended = await world.told(intervals="1m,1h", shown_on=PlainLines().tell)

    lines = capsys.readouterr().out.splitlines()
    assert ended.outcome == "complete"
    assert lines[0] == "BTCUSDT 1m: 2,879 rows missing, 3 requests, weight 6"
    assert lines[2] == "In all 2,926 rows, 4 requests of weight 8 by REST, about 0 s."
    assert lines[-1].startswith("Complete: 2,926 rows added in ")


async def test_json_is_one_object_per_event_and_a_summary(world: Past, capsys: pytest.CaptureFixture[str]) -> None:
    await world.told(shown_on=print_json)

    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["event"] for each in events] == ["plan", *["progress"] * 3, "series", "summary"]
    assert events[0]["series"] == [{"series": "BTCUSDT 1m", "rows": 2879, "requests": 3, "weight": 6}]
    assert [each["done"] for each in events[1:4]] == [999, 1998, 2879]
    assert (events[-1]["added"], events[-1]["outcome"]) == (2879, "complete")


async def test_bars_are_shown_and_end_with_a_table(world: Past) -> None:
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=110, legacy_windows=False)

    await world.told(intervals="1m,1h", shown_on=Bars(console).tell)

    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.getvalue())
    assert "BTCUSDT 1m         2,879         3       6" in text
    assert "2,879 of 2,879 100.0 %" in text
    assert "rows/s" in text
    assert "BTCUSDT 1m  2,879        0          0       0        0          0  complete" in text


async def test_seconds_that_are_told_are_all_that_it_took(world: Past) -> None:
    """One that finds nothing missing has planned, and not only run for no time."""
    await world.told()
    began = time.monotonic()
    planned: list[float] = []

    ended = await world.told(shown_on=lambda event: planned.append(time.monotonic() - began))

    assert (ended.outcome, ended.added) == ("complete", 0)
    assert ended.seconds > planned[0] * 0.9, "of the plan, which is told first"
