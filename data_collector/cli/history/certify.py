"""`data-collector certify`: proof that a day in the store is the day that the exchange has."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from urllib.parse import quote

import msgspec
import typer
from msgspec import Struct
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from data_collector import __version__
from data_collector.cli.arguments.past import CERTIFICATES
from data_collector.cli.chosen_exchange import chosen_settings, symbol_of
from data_collector.cli.history.backfill import opened_rest
from data_collector.cli.history.backfill_screen import LINE_PAUSE_S
from data_collector.cli.surroundings.found_exchange import exchange_of_store
from data_collector.cli.surroundings.found_store import find_store, opened
from data_collector.model.errors import Misconfigured
from data_collector.model.published import BulkFiles
from data_collector.model.venue import Venue
from data_collector.service.certificate.certificate import Certificate, ExchangeSource, Held
from data_collector.service.certificate.certificate import certify as certified
from data_collector.service.certificate.day_trades import Progress as ShowShare
from data_collector.settings import Settings
from data_collector.venues.discovery import find_venue


def certify(
    *, symbol: str, day: str, out: Path | None, files_url: str | None, rest: bool, limit: int, exchange: str | None
) -> None:
    """What it takes and does stands in `cli.arguments.past`."""
    settings = chosen_settings(exchange, symbol)
    venue = find_venue(settings.exchange)
    asked_day = _day_of(day)
    asked = Asked(symbol_of(symbol, venue), asked_day, files_url, rest, limit)
    made = asyncio.run(_made(settings, venue, asked))
    name = quote(f"{venue.key_prefix}{made.symbol}", safe="")
    path = CERTIFICATES / f"{name}-{made.day}.json" if out is None else out
    _write(path, made)
    typer.echo(_sentence(made))
    typer.echo(f"Certificate: {path}")
    if made.verdict == "different":
        raise typer.Exit(1)


class Asked(Struct, frozen=True):
    """What the command was asked for."""

    symbol: str
    day: date
    files_url: str | None
    by_rest: bool
    differences_max: int


async def _made(settings: Settings, venue: Venue, asked: Asked) -> Certificate:
    address = await find_store(settings=settings)
    settings = await exchange_of_store(settings, address)
    files = None if asked.by_rest else published_files(settings, venue, asked.files_url)
    async with opened_rest(venue, settings) as rest, opened(address) as connection:
        with _shown(f"{asked.symbol} {asked.day}") as progress:
            return await certified(
                Held(connection, address.masked, venue.store_keys),
                ExchangeSource(rest, settings.rest_url, files),
                asked.symbol,
                asked.day,
                made_by=f"data-collector {__version__}",
                differences_max=asked.differences_max,
                progress=progress,
            )


@contextmanager
def _shown(what: str) -> Iterator[ShowShare]:
    """A bar on a terminal, else a line now and then."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _line_now_and_then(what)
        return
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[trades]:,}"), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=1.0, trades=0)
        yield lambda share, trades: bar.update(task, completed=share, trades=trades)


def _line_now_and_then(what: str) -> ShowShare:
    typer.echo(f"{what}: asking the exchange for its trades …", err=True)
    told_s = time.monotonic()

    def show(share: float, trades: int) -> None:
        nonlocal told_s
        if time.monotonic() - told_s >= LINE_PAUSE_S:
            told_s = time.monotonic()
            typer.echo(f"{what}: {trades:,} trades of the exchange, {share:.0%} of the day", err=True)

    return show


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
