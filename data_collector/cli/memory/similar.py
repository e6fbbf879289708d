"""`data-collector memory similar`: past windows like the newest one, and what followed them, as tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import expm1

import msgspec
import typer
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from data_collector.cli.memory.reading import folder_of, found_dsn, named_ends, opened_client, progress_of
from data_collector.client.adapters.memory import FileInUse, Forecast, Memory, Moments, NoShape, Outcome
from data_collector.client.client import Client
from data_collector.model.errors import Misconfigured, Unavailable
from data_collector.settings import Settings

SHOWN = 10
PERCENT_FROM = 0.002

NO_PROMISE = (
    "No promise. Where the two rows of a horizon are nearly alike, the shape says nothing; p is how often chance alone"
    " brings a mean as far from that of random windows. Outcomes that share candles count once in `worth`."
)


def show_similar(
    settings: Settings, symbol: str, interval: str, window: int, k: int, at: str | None, horizons: str, *, json: bool
) -> None:  # fmt: skip
    """Raises `Misconfigured` and `Unavailable`."""
    asked = _horizons(horizons)
    with named_ends(), _memory(settings, symbol, interval, window) as memory:
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
    print_moments(memory, moments, Console())


def _memory(settings: Settings, symbol: str, interval: str, window: int) -> Memory:
    return Memory(folder_of(settings), symbol, interval, window, exchange=settings.exchange)


def print_moments(memory: Memory, moments: Moments, console: Console) -> None:
    """As tables."""
    console.print(_headline(memory, moments))
    console.print(_hits_table(moments))
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


def _hits_table(moments: Moments) -> Table:
    horizons = [forecast.horizon for forecast in moments.forecasts]
    shown = moments.hits[:SHOWN]
    unit = _unit_of(each for hit in shown for each in hit.after.values())
    numbers = ("similarity", "scale", *(f"{horizon} later" for horizon in horizons))
    table = _table("begins", *numbers, title=f"Most alike, and what followed, in {unit.name}")
    for hit in shown:
        after = [unit.text(hit.after[horizon]) for horizon in horizons]
        table.add_row(hit.start.isoformat(), f"{hit.similarity:.3f}", f"{hit.scale:.2f}", *after)
    left = len(moments.hits) - SHOWN
    if left > 0:
        table.add_row(f"and {left} more")
    return table


def _outcomes_table(forecasts: Sequence[Forecast]) -> Table:
    unit = _unit_of(each for forecast in forecasts for each in forecast.random.quantiles.values())
    quantiles = ("10 %", "25 %", "median", "75 %", "90 %")
    title = f"What followed all of them, in {unit.name}"
    table = _table("windows", "later", "mean", *quantiles, "n", "worth", "p", title=title)
    for forecast in forecasts:
        p_value = "-" if forecast.p_value is None else f"{forecast.p_value:.2f}"
        table.add_row("alike", str(forecast.horizon), *_outcome(forecast, unit), p_value)
        table.add_row("random", "", *_outcome(forecast.random, unit))
    return table


def _table(name: str, *numbers: str, title: str) -> Table:
    table = Table(name, title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for number in numbers:
        table.add_column(number, justify="right")
    return table


def _outcome(outcome: Outcome, unit: _Unit) -> list[str]:
    mean = "-" if outcome.mean is None else unit.text(outcome.mean)
    quantiles = [unit.text(each) for each in outcome.quantiles.values()] or ["-"] * 5
    return [mean, *quantiles, f"{outcome.n:,}", f"{outcome.effective_n:,.0f}"]


class _Unit(Struct, frozen=True):
    """What returns are told in."""

    name: str
    of_one: float

    def text(self, log_return: float) -> str:
        """With its sign."""
        return f"{self.of_one * expm1(log_return):+.2f}"


_PERCENT, _BASIS_POINTS = _Unit("%", 100), _Unit("basis points (0.01 %)", 10_000)


def _unit_of(log_returns: Iterable[float]) -> _Unit:
    """In which the largest of them has digits that say something."""
    return _PERCENT if max(map(abs, log_returns), default=1.0) >= PERCENT_FROM else _BASIS_POINTS
