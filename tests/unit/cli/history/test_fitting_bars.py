"""More bars than the terminal has lines."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console
from rich.progress import BarColumn, TextColumn

from data_collector.cli.history.backfill_screen import Bars
from data_collector.cli.history.fitting_bars import FittingBars
from data_collector.history.events import Planned, Progressed, SeriesEnded, SeriesPlanned

HEIGHT = 8


def terminal(height: int = HEIGHT) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=80, height=height, legacy_windows=False)


def text_of(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue())


def shown(bars: FittingBars) -> list[str]:
    """The lines of a frame, without what surrounds the names."""
    bars.console.print(bars.get_renderable())
    return [line.split("  ")[0].rstrip() for line in text_of(bars.console).splitlines()]


def bars_of(number: int, *, working: int, done: int, height: int = HEIGHT) -> FittingBars:
    """The first are done, then some are at work, the rest waits."""
    bars = FittingBars(TextColumn("{task.description}  "), BarColumn(), console=terminal(height))
    for index in range(number):
        task = bars.add_task(f"series {index}", total=10, start=index < done + working)
        bars.update(task, completed=10 if index < done else 0)
    return bars


def test_those_at_work_are_shown_then_those_that_come_next_and_the_rest_is_counted() -> None:
    lines = shown(bars_of(20, working=4, done=9))

    names = [f"series {index}" for index in (9, 10, 11, 12, 13, 14)]
    assert lines == [*names, "… and 14 more: 5 waiting, 9 done"]
    assert len(lines) < HEIGHT


def test_at_the_end_the_done_ones_have_the_room() -> None:
    lines = shown(bars_of(20, working=1, done=19))

    assert lines[-2:] == ["series 19", "… and 14 more: 14 done"]


def test_even_on_the_smallest_terminal_one_bar_and_the_counts_are_shown() -> None:
    lines = shown(bars_of(5, working=3, done=0, height=2))

    assert lines == ["series 0", "… and 4 more: 2 at work, 2 waiting"]


@pytest.mark.parametrize("number", [1, HEIGHT - 2, HEIGHT - 1])
def test_bars_that_fit_are_all_shown(number: int) -> None:
    assert shown(bars_of(number, working=1, done=0)) == [f"series {index}" for index in range(number)]


def test_backfill_of_many_series_shows_what_it_is_at_and_counts_the_failed_as_done() -> None:
    console = terminal(6)
    screen = Bars(console)
    planned = tuple(SeriesPlanned(f"S{index} 1m", 100, 1, 2) for index in range(30))
    screen.tell(Planned(planned, 3000, 30, 60, 1.0, "rest"))
    for index in range(10):
        screen.tell(Progressed(f"S{index} 1m", 50, 100, 50, 0))
        screen.tell(SeriesEnded(f"S{index} 1m", 100, "failed" if index == 3 else "complete", added=50))
    screen.tell(Progressed("S25 1m", 70, 100, 70, 0))
    screen.close()

    frame = text_of(console).splitlines()[-5:]

    assert [line.split()[0] for line in frame] == ["S10", "S11", "S12", "S25", "…"]
    assert frame[-1].strip() == "… and 26 more: 16 waiting, 10 done"
