"""How a backfill is shown: live bars on a terminal, plain lines in a pipe, JSON for programs."""

from __future__ import annotations

import time
from typing import assert_never

import msgspec
from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from data_collector.cli.history.fitting_bars import FittingBars
from data_collector.history.events import (
    Ended,
    Event,
    FileRefused,
    OddCandle,
    Planned,
    Progressed,
    SeriesEnded,
    Waiting,
    by_count,
)
from data_collector.observe.escaping import escaped

LINE_PAUSE_S = 5.0
"""A series writes no more than one line of progress in this time."""

STYLES = {"complete": "green", "incomplete": "yellow", "failed": "bold red", "stopped": "yellow"}


def print_json(event: Event) -> None:
    """One JSON object a line."""
    print(msgspec.json.encode(event).decode(), flush=True)


class PlainLines:
    """For pipes and log files."""

    def __init__(self) -> None:
        self._shown: dict[str, float] = {}

    def tell(self, event: Event) -> None:
        for line in self._lines(event):
            print(escaped(line), flush=True)

    def _lines(self, event: Event) -> list[str]:
        match event:
            case Planned():
                each = [
                    f"{row.series}: {_counted(row.rows, 'row')} missing, {_counted(row.requests, 'request')}"
                    + ("" if row.weight == row.requests > 0 else f", weight {row.weight:,}")
                    for row in event.series
                ]
                return [*each, plan_sentence(event)]
            case Progressed():
                return self._progress(event)
            case Waiting():
                return [waiting_sentence(event)]
            case FileRefused() | OddCandle():
                return [f"{event.series}: {left_out_sentence(event)}"]
            case SeriesEnded():
                return [series_sentence(event)]
            case Ended():
                return [*judgement_sentences(event), end_sentence(event)]
            case _:
                assert_never(event)

    def _progress(self, event: Progressed) -> list[str]:
        now_s = time.monotonic()
        if now_s - self._shown.get(event.series, -LINE_PAUSE_S) < LINE_PAUSE_S:
            return []
        self._shown[event.series] = now_s
        return [f"{event.series}: {event.done:,} of {event.rows:,} ({event.done / max(event.rows, 1):.1%})"]


class RateColumn(ProgressColumn):
    """Rows per second of late."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} rows/s", style="progress.data.speed", justify="right")


class Bars:
    """A table with the plan, one bar per series, and a table of what came of it."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = Console(highlight=False) if console is None else console
        self._progress = FittingBars(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,.0f} of {task.total:,.0f}", justify="right"),
            TextColumn("{task.percentage:>5.1f} %"),
            RateColumn(),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._rows: dict[str, int] = {}

    def tell(self, event: Event) -> None:
        match event:
            case Planned():
                self._rows = {row.series: row.rows for row in event.series}
                self._console.print(_plan_table(event))
                self._console.print(plan_sentence(event))
            case Progressed():
                self._advance(event.series, event.done)
            case Waiting():
                self._open()
                self._progress.console.print(escaped(waiting_sentence(event)), style="yellow", markup=False)
            case FileRefused() | OddCandle():
                style = "red" if isinstance(event, FileRefused) else "yellow"
                sentence = escaped(f"{event.series}: {left_out_sentence(event)}")
                self._progress.console.print(sentence, style=style, markup=False)
            case SeriesEnded():
                if event.rows:
                    self._advance(event.series, event.done)
                    # A series that failed is at its end as well.
                    self._progress.stop_task(self._tasks[event.series])
            case Ended():
                self.close()
                self._console.print(_end_table(event))
                for line in judgement_sentences(event):
                    self._console.print(escaped(line), markup=False)
                self._console.print(end_sentence(event))
            case _:
                assert_never(event)

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._progress.stop()

    def _open(self) -> None:
        if self._tasks or not self._rows:
            return
        for series, rows in self._rows.items():
            if rows:
                # Its clock begins with its first chunk, so that the rate is that of its work.
                self._tasks[series] = self._progress.add_task(series, total=rows, start=False)
        self._progress.start()

    def _advance(self, series: str, done: int) -> None:
        self._open()
        task = self._tasks[series]
        self._progress.start_task(task)
        self._progress.update(task, completed=done)


def plan_sentence(event: Planned) -> str:
    """The last line of a plan."""
    if not event.rows:
        return "Nothing is missing."
    source = {"rest": "by REST", "dumps": "from bulk files", "auto": "by REST; bulk files save some of it"}
    # Where each weighs 1 the exchange counts calls, and weight is no word of its.
    weight = "" if event.weight == event.requests else f" of weight {event.weight:,}"
    return (
        f"In all {_counted(event.rows, 'row')}, {_counted(event.requests, 'request')}{weight} "
        f"{source[event.source]}, about {_duration(event.seconds)}."
    )


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + "s" * (count != 1)


def waiting_sentence(event: Waiting) -> str:
    """What did not work."""
    follows = f"trying again in {event.wait_s:.1f} s" if event.wait_s else "still waiting"
    return f"{event.series}: {event.reason}; {follows}"


def left_out_sentence(event: FileRefused | OddCandle) -> str:
    """What was not taken, and why."""
    if isinstance(event, FileRefused):
        return f"file refused: {event.reason}"
    return f"the exchange has a candle from {event.opens} to {event.closes}, which is not whole: refused"


def series_sentence(report: SeriesEnded) -> str:
    """What became of a series."""
    parts = [f"{report.series}: {report.outcome}", f"{report.added:,} added"]
    parts += [
        f"{count:,} {what}"
        for count, what in (
            (report.changed, "changed"),
            (report.known, "written by others meanwhile"),
            (report.absent, "absent at the exchange"),
            (report.refused, f"refused ({by_count(report.refused_by)})"),
            (report.odd, "of them not whole at the exchange"),
            (report.unproven, "not given by the exchange"),
            (report.files_refused, "files refused"),
        )
        if count
    ]
    return ", ".join(parts) + (f": {report.reason}" if report.reason else "")


def judgement_sentences(event: Ended) -> list[str]:
    """What validation said of the rows that came."""
    told = []
    if event.refused:
        told.append(
            f"Refused by validation: {_counted(event.refused, 'row')} ({by_count(event.refused_by)}), kept in "
            "quarantine and not asked for again: see `data-collector quarantine list`, and `backfill --again`."
        )
    if event.odd:
        told.append(f"Of them {_counted(event.odd, 'candle')} of the exchange's own that cannot be whole.")
    return told if event.gx is None else [*told, *event.gx.sentences()]


def end_sentence(event: Ended) -> str:
    """The last line."""
    done = f"{event.added:,} rows added in {_duration(event.seconds)}"
    match event.outcome:
        case "complete":
            return f"Complete: {done}; {event.absent:,} do not exist at the exchange."
        case "stopped":
            return f"Stopped: {done}. Run the same command again: it goes on from here."
        case "incomplete":
            return f"Incomplete: {done}; {event.unproven:,} were not given. Run the same command again later."
        case "failed":
            return f"Failed: {event.failed} of {event.series} series; {done}. Run the same command again: it goes on."
        case _:
            assert_never(event.outcome)


def _plan_table(event: Planned) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("series", no_wrap=True)
    for name in ("rows missing", "requests", "weight"):
        table.add_column(name, justify="right")
    for row in event.series:
        table.add_row(row.series, f"{row.rows:,}", f"{row.requests:,}", f"{row.weight:,}")
    return table


def _end_table(event: Ended) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("series", no_wrap=True)
    for name in ("added", "changed", "by others", "absent", "refused", "not given"):
        table.add_column(name, justify="right")
    table.add_column("outcome")
    for each in event.reports:
        numbers = (each.added, each.changed, each.known, each.absent, each.refused, each.unproven)
        outcome = Text(f"{each.outcome} {escaped(each.reason)}".rstrip(), style=STYLES[each.outcome])
        table.add_row(each.series, *(f"{number:,}" for number in numbers), outcome)
    return table


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
