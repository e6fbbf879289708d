"""`data-collector memory`: moments like now and what followed them; shapes of windows for PostgreSQL."""

from __future__ import annotations

from typing import Annotated

import typer

from data_collector.cli.arguments.exchange import ExchangeOption
from data_collector.cli.chosen_exchange import chosen_settings, symbol_of
from data_collector.cli.memory.similar import show_similar
from data_collector.cli.memory.vectors import keep_vectors
from data_collector.client.adapters.pgvector import TABLE
from data_collector.model.errors import Misconfigured
from data_collector.settings.texts import symbols as symbols_of_text
from data_collector.venues.discovery import find_venue

HELP = "Moments like now and what followed them; shapes of windows for PostgreSQL (docs/memory.md)."

memory = typer.Typer(help=HELP)

Interval = Annotated[str, typer.Option(help="Of the candles; case matters (1m minute, 1M month).")]
Window = Annotated[int, typer.Option(help="Candles of a window.")]


@memory.callback(invoke_without_command=True, help=HELP)
def keep(
    context: typer.Context, *,
    vectors: Annotated[
        bool, typer.Option("--vectors", help="Write shapes into PostgreSQL, from history and then live, until Ctrl-C.")
    ] = False,
    symbols: Annotated[str | None, typer.Option(help="Separated by commas; default: SYMBOLS.")] = None,
    interval: Interval = "1m",
    window: Window = 64,
    table: Annotated[str, typer.Option(help="Where they are kept.")] = TABLE,
    exchange: ExchangeOption = None,
) -> None:  # fmt: skip
    """Write shapes, or show what can be done."""
    if context.invoked_subcommand is not None:
        return
    if not vectors:
        typer.echo(context.get_help())
        raise typer.Exit(2)
    settings = chosen_settings(exchange, symbols)
    try:
        chosen = settings.symbols if symbols is None else symbols_of_text(symbols, find_venue(settings.exchange))
    except ValueError as error:
        raise Misconfigured(f"--symbols: {error}.") from None
    keep_vectors(settings, chosen, interval, window, table)


@memory.command()
def similar(
    symbol: Annotated[str, typer.Argument(help="The exchange's own name, such as BTCUSDT; case does not matter.")],
    *,
    interval: Interval = "1m",
    window: Window = 64,
    k: Annotated[int, typer.Option("--k", "-k", help="How many past windows.")] = 20,
    at: Annotated[str | None, typer.Option(help="As of then: 2024-01-31T12:00:00+00:00, -2h; default: now.")] = None,
    horizons: Annotated[str, typer.Option(help="How many candles later, separated by commas.")] = "5,15,60",
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    exchange: ExchangeOption = None,
) -> None:
    """Show past windows that are most like the newest one, what followed them, and what followed any.

    Exit code 0, also where nothing is found; 1 where the newest candles have no shape: some are missing, or they do not
    move. 69 when the store or the history does not answer.
    """
    settings = chosen_settings(exchange, symbol)
    named = symbol_of(symbol, find_venue(settings.exchange))
    show_similar(settings, named, interval, window, k, at, horizons, json=json)
