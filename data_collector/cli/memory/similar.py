"""`data-collector memory similar`: past windows like the newest one, and what followed them, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from math import expm1

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from data_collector.cli.memory.reading import folder_of, found_dsn, named_ends, opened_client, progress_of
from data_collector.client.adapters.memory import FileInUse, Forecast, Memory, Moments, NoShape, Outcome
from data_collector.client.client import Client
from data_collector.model.errors import Misconfigured, Unavailable
from data_collector.settings import Settings

SHOWN = 10

NO_PROMISE = (
    "No promise. Where the two rows of a horizon are nearly alike, the shape says nothing; p is how often chance alone"
    " brings a mean as far from that of random windows. Outcomes that share candles count once in `worth`."
)


def show_similar(
    settings: Settings, symbol: str, interval: str, window: int, k: int, at: str | None, horizons: str, *, json: bool
) -> None:  # fmt: skip
    """Raises `Misconfigured` and `Unavailable`."""
    asked = _horizons(horizons)
    with named_ends(), Memory(folder_of(settings), symbol, interval, window) as memory:
        try:
            dsn = found_dsn(settings)
        except (Misconfigured, Unavailable):
            # Then history is what the collector's HTTP side and the store have.
            dsn = ""
        with opened_client(settings, dsn) as client:
            _fill(memory, client)
        try:
            moments = memory.moments(k, at, asked)
        except NoShape as error:
            typer.echo(f"{memory.key.label}: {error}", err=True)
            raise typer.Exit(1) from None
    if json:
        print(msgspec.json.format(msgspec.json.encode(moments), indent=2).decode())
        return
    console = Console()
    console.print(_headline(memory, moments))
    console.print(_hits_table(moments, asked))
    console.print()
    console.print(_outcomes_table(moments.forecasts))
    console.print()
    console.print(NO_PROMISE)


def _horizons(text: str) -> list[int]:
    """Raises `Misconfigured`."""
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise Misconfigured(f"--horizons {text!r}: write numbers of candles, such as 5,15,60.") from None


def _fill(memory: Memory, client: Client) -> None:
    try:
        memory.fill(client, tell=progress_of(memory, "candles"))
    except FileInUse as error:
        memory.reload()
        typer.echo(f"{error} It is answered from what that one has written.", err=True)


def _headline(memory: Memory, moments: Moments) -> str:
    at = moments.forecasts[0].at if moments.forecasts else memory.last
    return (
        f"{memory.key.label}: the {memory.shape.window} candles up to {'' if at is None else at.isoformat()}, "
        f"among {len(memory):,} candles since {'' if memory.first is None else memory.first.isoformat()}"
    )


def _hits_table(moments: Moments, horizons: Sequence[int]) -> Table:
    numbers = ("similarity", "scale", *(f"{horizon} later" for horizon in horizons))
    table = _table("begins", *numbers, title="Most alike, and what followed, in %")
    for hit in moments.hits[:SHOWN]:
        after = [_percent(hit.after[horizon]) for horizon in horizons]
        table.add_row(hit.start.isoformat(), f"{hit.similarity:.3f}", f"{hit.scale:.2f}", *after)
    left = len(moments.hits) - SHOWN
    if left > 0:
        table.add_row(f"and {left} more")
    return table


def _outcomes_table(forecasts: Sequence[Forecast]) -> Table:
    quantiles = ("10 %", "25 %", "median", "75 %", "90 %")
    table = _table("windows", "later", "mean", *quantiles, "n", "worth", "p", title="What followed all of them, in %")
    for forecast in forecasts:
        p_value = "-" if forecast.p_value is None else f"{forecast.p_value:.2f}"
        table.add_row("alike", str(forecast.horizon), *_outcome(forecast), p_value)
        table.add_row("random", "", *_outcome(forecast.random))
    return table


def _table(name: str, *numbers: str, title: str) -> Table:
    table = Table(name, title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for number in numbers:
        table.add_column(number, justify="right")
    return table


def _outcome(outcome: Outcome) -> list[str]:
    mean = "-" if outcome.mean is None else _percent(outcome.mean)
    quantiles = [_percent(each) for each in outcome.quantiles.values()] or ["-"] * 5
    return [mean, *quantiles, f"{outcome.n:,}", f"{outcome.effective_n:,.0f}"]


def _percent(log_return: float) -> str:
    return f"{100 * expm1(log_return):+.2f}"
