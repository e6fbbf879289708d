"""`data-collector export`: candles and trades of the database as Parquet or CSV, with a manifest."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
import typer
from msgspec import structs
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

from data_collector import __version__
from data_collector.cli.chosen_exchange import chosen_settings
from data_collector.cli.history.backfill import opened_rest
from data_collector.cli.history.fitting_bars import FittingBars
from data_collector.cli.history.options import cuts_told, moment_ms, retention_of, series_of
from data_collector.cli.surroundings.found_database import found_surroundings, opened_database
from data_collector.history.export import MANIFEST, ExportedFile, ExportOrder, Manifest, Tell
from data_collector.history.export import export as exported
from data_collector.history.export_format import Decimals, Form
from data_collector.history.programs.forms import Program, demand_known
from data_collector.history.programs.pairs import Pair, named_pairs, pair_in, pairs_of
from data_collector.model.errors import Misconfigured, SinkUnavailable, Unavailable, VenueRefused, VenueUnreachable
from data_collector.model.keys import Key
from data_collector.model.venue import Venue
from data_collector.settings import Settings
from data_collector.venues.discovery import find_venue

PLAIN_STEP = 0.1
"""How much of a series lies between two lines of a progress that no terminal shows."""


def export(
    *,
    out: Path,
    begin: str | None,
    end: str | None,
    symbols: str | None,
    intervals: str | None,
    trades: bool,
    epoch: int | None,
    form: Form,
    numbers: Decimals,
    meta: bool,
    program: Program | None,
    pairs: str | None,
    overwrite: bool,
    json: bool,
    exchange: str | None,
) -> None:
    """What it takes and does stands in `cli.arguments.past`."""
    settings = chosen_settings(exchange, symbols)
    venue = find_venue(settings.exchange)
    named = _checked_pairs(venue, program, pairs, plain_words=(form, numbers, meta) == ("parquet", "decimal", False))
    now_ms = time.time_ns() // 1_000_000
    order = ExportOrder(
        series=series_of(settings, venue, symbols, intervals, with_trades=trades),
        from_ms=None if begin is None else moment_ms(begin, now_ms, option="--from"),
        to_ms=None if end is None else moment_ms(end, now_ms, option="--to"),
        folder=out.absolute(),
        retention=retention_of(settings, now_ms),
        replace=overwrite,
        form=form,
        decimals=numbers,
        with_origin=meta,
        program=program,
        exchange=settings.exchange,
        made_by=f"data-collector {__version__}",
        now_ms=now_ms,
    )
    if program is not None:
        demand_known(program, order.series)
    for line in cuts_told(settings, order.series, order.from_ms, now_ms):
        typer.echo(line, err=True)
    with _progress(order, quiet=json) as tell:
        manifest = asyncio.run(_exported(settings, order, tell, epoch, named))
    if json:
        print(msgspec.json.format(msgspec.json.encode(manifest), indent=2).decode())
        return
    sentences = [_sentence(file) for file in manifest.files]
    typer.echo("\n".join([*sentences, *manifest.notes, f"Manifest: {out / MANIFEST}"]))


def _checked_pairs(venue: Venue, program: Program | None, pairs: str | None, *, plain_words: bool) -> dict[str, Pair]:
    if program is not None and not plain_words:
        raise Misconfigured("--as decides what files hold: leave out --format, --numbers and --meta.")
    if program is None and pairs is not None:
        raise Misconfigured("--pairs names pairs for --as; without it files are named by the symbols.")
    return named_pairs(pairs, venue.read_symbol)


async def _exported(
    settings: Settings, order: ExportOrder, tell: Tell, epoch: int | None, named: Mapping[str, Pair]
) -> Manifest:
    venue = find_venue(settings.exchange)
    symbols = [series.symbol for series in order.series]
    asks = order.program is not None and any(not (each in named or pair_in(each)) for each in symbols)
    settings = found_surroundings(settings, with_exchange=asks).settings
    if order.program is not None:
        listed = await _listed_pairs(venue, settings) if asks else {}
        order = structs.replace(order, pairs=pairs_of(symbols, named, listed))
    async with opened_database(settings) as database:
        reader = database.reader if epoch is None else database.reader.in_epoch(epoch)
        try:
            return await exported(reader, venue.calendar, order, tell, place=database.place)
        except SinkUnavailable as error:
            raise Unavailable(f"{error}. Nothing was exported.") from error


async def _listed_pairs(venue: Venue, settings: Settings) -> dict[str, Pair]:
    """As the exchange lists them now."""
    async with opened_rest(venue, settings) as rest:
        try:
            listed = await rest.symbols()
        except (VenueRefused, VenueUnreachable) as error:
            raise Unavailable(
                f"Base and quote of the symbols are asked of the exchange, and it does not tell them: {error}. "
                "--pairs SYMBOL=BASE/QUOTE names them instead."
            ) from error
    return {symbol: Pair(rules.base, rules.quote) for symbol, rules in listed.items()}


@contextmanager
def _progress(order: ExportOrder, *, quiet: bool) -> Iterator[Tell]:
    """Bars on a terminal; lines elsewhere, on the side of errors, so that what was asked for stands alone."""
    console = Console(stderr=True)
    if quiet and not console.is_terminal:
        yield lambda series, share, rows: None
    elif not console.is_terminal:
        yield _plain_lines()
    else:
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[rows]:>12,} rows"))
        with FittingBars(*columns, TimeRemainingColumn(), console=console, transient=True) as bars:
            tasks = {series: bars.add_task(series.label, total=1.0, rows=0, start=False) for series in order.series}

            def tell(series: Key, share: float, rows: int) -> None:
                bars.start_task(tasks[series])
                bars.update(tasks[series], completed=share, rows=rows)

            yield tell


def _plain_lines() -> Tell:
    shown: dict[Key, float] = {}

    def tell(series: Key, share: float, rows: int) -> None:
        if share >= 1.0 or share - shown.get(series, 0.0) >= PLAIN_STEP:
            shown[series] = share
            print(f"{series.label}: {rows:,} rows, {int(share * 100)}%", file=sys.stderr, flush=True)

    return tell


def _sentence(file: ExportedFile) -> str:
    missing = sum(hole.count for hole in file.gaps)
    count = len(file.gaps) + file.gaps_left_out
    gaps = "no gap" if not count else f"{missing:,} missing in {count:,} gap" + "s" * (count != 1)
    what = "trades" if file.interval is None else f"{file.interval} candles"
    return f"{file.file}: {file.rows:,} {what} of {file.symbol} from {file.first} to {file.last}, {gaps}"
