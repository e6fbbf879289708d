"""`data-collector certify`: proof that a day in the store is the day that the exchange has."""

from __future__ import annotations

import asyncio
from datetime import date
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from data_collector import __version__
from data_collector.cli.chosen_exchange import ExchangeOption, chosen_settings, symbol_of
from data_collector.cli.history.backfill import opened_rest
from data_collector.cli.surroundings.found_store import find_store, opened
from data_collector.model.errors import Misconfigured
from data_collector.model.published import BulkFiles
from data_collector.model.venue import Venue
from data_collector.service.certificate.certificate import Certificate, ExchangeSource, Held
from data_collector.service.certificate.certificate import certify as certified
from data_collector.settings import Settings
from data_collector.venues.discovery import find_venue

FOLDER = Path("certificates")


def certify(
    symbol: Annotated[str, typer.Argument(help="The exchange's own name, such as BTCUSDT.")],
    day: Annotated[str, typer.Argument(help="A UTC day that is over, such as 2024-01-31.")],
    out: Annotated[
        Path | None, typer.Option(help=f"Where the certificate goes; default: {FOLDER}/SYMBOL-DAY.json.")
    ] = None,
    files_url: Annotated[
        str | None, typer.Option(help="Where daily files are published; default: where the exchange itself does.")
    ] = None,
    rest: Annotated[bool, typer.Option("--rest", help="Ask REST, even where a file is published.")] = False,
    limit: Annotated[int, typer.Option(min=0, max=100_000, help="How many differences are written down.")] = 1000,
    exchange: ExchangeOption = None,
) -> None:
    """Compare a day's trades in the store with the exchange's own and write a certificate.

    The exchange's daily file is taken; where none is published (HTTP 404, or an exchange that publishes none), REST is
    asked by trade ids. Exit code 0 when the two are equal, 1 when they differ, 69 when exchange or store cannot be
    asked.
    """
    settings = chosen_settings(exchange, symbol)
    venue = find_venue(settings.exchange)
    asked_day = _day_of(day)
    files = None if rest else published_files(settings, venue, files_url)
    made = asyncio.run(_made(settings, venue, symbol_of(symbol, venue), asked_day, files, limit))
    path = FOLDER / f"{quote(made.symbol, safe='')}-{made.day}.json" if out is None else out
    _write(path, made)
    typer.echo(_sentence(made))
    typer.echo(f"Certificate: {path}")
    if made.verdict == "different":
        raise typer.Exit(1)


async def _made(
    settings: Settings, venue: Venue, symbol: str, day: date, files: BulkFiles | None, limit: int
) -> Certificate:  # fmt: skip
    address = await find_store(settings=settings)
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[trades]:,}"), TimeElapsedColumn()
    console = Console(stderr=True)
    async with opened_rest(venue, settings) as rest, opened(address) as connection:
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task(f"{symbol} {day}", total=1.0, trades=0)
            return await certified(
                Held(connection, address.masked, venue.store_keys),
                ExchangeSource(rest, settings.rest_url, files),
                symbol,
                day,
                made_by=f"data-collector {__version__}",
                differences_max=limit,
                progress=lambda share, trades: bar.update(task, completed=share, trades=trades),
            )


def published_files(settings: Settings, venue: Venue, url: str | None) -> BulkFiles | None:
    """Those that a day is compared with; None where REST is asked. Raises `Misconfigured`."""
    published = venue.published
    if published is None:
        if url is not None:
            raise Misconfigured(f"--files-url: {venue.name} publishes no files of its past; leave it out.")
        return None
    if url is None and not published.are_of(settings.rest_url):
        return None
    return published.open(url, use_proxy=settings.use_proxy)


def _day_of(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Misconfigured(f"{text!r} is no day; write it as 2024-01-31.") from None


def _write(path: Path, made: Certificate) -> None:
    content = msgspec.json.format(msgspec.json.encode(made), indent=2)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content + b"\n")
    except OSError as error:
        raise Misconfigured(f"The certificate cannot be written to {path} ({error.strerror}).") from error


def _sentence(made: Certificate) -> str:
    theirs, ours = made.exchange_side, made.store_side
    origin = "daily file" if made.source == "file" else "REST side"
    day = f"{made.symbol} {made.day}"
    if made.verdict == "equal":
        return (
            f"Equal: {day} has {ours.count:,} trades ({ours.first_id} to {ours.last_id}) in the store, the same as in "
            f"the exchange's {origin}. SHA-256 {ours.sha256}"
        )
    held = "; from the store's first to its last trade the two are equal" if made.equal_within_held else ""
    return (
        f"Different: {day} has {theirs.count:,} trades in the exchange's {origin} and {ours.count:,} in the store: "
        f"{made.missing:,} missing, {made.differing:,} different, {made.unknown_to_exchange:,} unknown to the "
        f"exchange{held}."
    )
