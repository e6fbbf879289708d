"""`data-collector backfill`: brings what the database lacks of the past."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Container, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import typer
from msgspec import Struct, structs

from data_collector.cli.arguments.past import GIVE_UP_S
from data_collector.cli.chosen_exchange import chosen_settings
from data_collector.cli.history.backfill_screen import Bars, PlainLines, print_json
from data_collector.cli.history.clock import agreed_now_ms
from data_collector.cli.history.options import check_retention, moment_ms, series_of
from data_collector.cli.surroundings.found_database import found_surroundings, opened_database
from data_collector.history.events import Ended, GxCheck, Tell
from data_collector.history.filling import Filling, Source, TimeSpan
from data_collector.history.plan import Plan
from data_collector.history.ports import Ends
from data_collector.history.retrying import Retrying, Stopping
from data_collector.model.errors import Misconfigured, VenueRefused, VenueUnreachable
from data_collector.model.published import BulkFiles
from data_collector.model.venue import ExchangeApi, Venue
from data_collector.observe.escaping import escaped
from data_collector.service.loading.load import opened_load
from data_collector.service.loading.load_audit import LoadAudit
from data_collector.settings import Settings
from data_collector.settings.fields import variable_of
from data_collector.sinks.postgres.rights import rights_to_load
from data_collector.venues.discovery import find_venue

INTERRUPTED = 130
EXIT_CODES = {"complete": 0, "incomplete": 1, "failed": 1, "stopped": INTERRUPTED}

OFFLINE = "{reason}. Files need no exchange: this machine's clock counts, and symbols are taken as they were given."


class BackfillOptions(Struct, frozen=True):
    """What the command was asked for, as text."""

    symbols: str | None
    intervals: str | None
    begin: str
    end: str = "now"
    with_trades: bool = False
    source: Source = "rest"
    files: str | None = None
    give_up_s: float = GIVE_UP_S
    again: bool = False


def backfill(
    *,
    begin: str,
    end: str,
    symbols: str | None,
    intervals: str | None,
    trades: bool,
    source: Source,
    files: str | None,
    yes: bool,
    plan_only: bool,
    give_up_after: float,
    again: bool,
    json: bool,
    exchange: str | None,
) -> None:
    """What it takes and does stands in `cli.arguments.past`."""
    settings = chosen_settings(exchange, symbols)
    options = BackfillOptions(symbols, intervals, begin, end, trades, source, files, give_up_after, again)
    bars = Bars() if sys.stdout.isatty() and not json else None
    tell = print_json if json else PlainLines().tell if bars is None else bars.tell
    asks = not yes and not json and sys.stdin.isatty() and sys.stdout.isatty()
    stopping = Stopping()
    agreed = (lambda plan: False) if plan_only else (lambda plan: not asks or not plan.rows or _agreed(stopping))

    async def run() -> Ended | None:
        _stop_at_signals(stopping)
        return await filled(settings, options, tell, stopping, agreed=agreed)

    try:
        ended = asyncio.run(run())
    except asyncio.CancelledError:
        if not stopping.requested:
            raise
        typer.echo("Stopped before anything was fetched.", err=True)
        raise typer.Exit(INTERRUPTED) from None
    finally:
        if bars is not None:
            bars.close()
    if ended is not None and EXIT_CODES[ended.outcome]:
        raise typer.Exit(EXIT_CODES[ended.outcome])


async def filled(
    settings: Settings,
    options: BackfillOptions,
    tell: Tell,
    stopping: Stopping,
    *,
    agreed: Callable[[Plan], bool] = lambda plan: True,
) -> Ended | None:
    """Plan and fill; None when the plan is not `agreed` to. All that happens is told, the sum of it last."""
    began = time.monotonic()
    venue = find_venue(settings.exchange)
    settings = found_surroundings(settings).settings
    async with (
        opened_database(settings, rights_to_load(trades=options.with_trades), give_up_s=options.give_up_s) as database,
        opened_load(settings, database.writer, database.quarantine) as load,
        opened_rest(venue, settings) as rest,
    ):
        ends = Ends(rest, database.reader, load.rows, venue)
        filling = await _filling(settings, options, venue, ends, tell, stopping)
        plan = await filling.plan()
        tell(filling.planned(plan))
        asked = time.monotonic()
        if not agreed(plan):
            return None
        began += time.monotonic() - asked
        ended = structs.replace(await filling.run(plan), gx=await _checked(load.audit, stopping))
        ended = structs.replace(ended, seconds=round(time.monotonic() - began, 3))
        tell(ended)
        return ended


async def _checked(audit: LoadAudit, stopping: Stopping) -> GxCheck | None:
    """What Great Expectations says of all rows, or of those that it has seen when we are to stop."""
    try:
        with stopping.interruptible():
            return await audit.finish()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if not stopping.requested or task is None:
            raise
        # The end that was asked for is this one.
        while task.uncancel():
            pass
        return audit.break_off()


async def _filling(
    settings: Settings, options: BackfillOptions, venue: Venue, ends: Ends, tell: Tell, stopping: Stopping
) -> Filling:  # fmt: skip
    retrying = Retrying(options.give_up_s, stopping, tell)
    series = series_of(settings, venue, options.symbols, options.intervals, with_trades=options.with_trades)
    bulk_files = bulk_files_of(settings, venue, options.source, options.files)
    # Faults of the command line are told even where the exchange is out of reach.
    moment_ms(options.begin, 0, option="--from")
    moment_ms(options.end, 0, option="--to")
    now_ms, listed = await _clock_and_symbols(retrying, ends.rest, options.source)
    span = span_of(options.begin, options.end, now_ms)
    check_retention(settings, series, span)
    unlisted = sorted({each.symbol for each in series if listed is None or each.symbol not in listed})
    if listed is not None and unlisted:
        _judge_unlisted(unlisted, venue, options.source)
    return Filling(
        structs.replace(ends, files=bulk_files, files_alone=frozenset(unlisted)), series, span,
        source=options.source, again=options.again, tell=tell, stopping=stopping, give_up_s=options.give_up_s,
    )  # fmt: skip


async def _clock_and_symbols(
    retrying: Retrying, rest: ExchangeApi, source: Source
) -> tuple[int, Container[str] | None]:  # fmt: skip
    """What the exchange says; where files alone are wanted and it does not answer, this machine's clock and no list."""
    if source == "dumps":
        try:
            return agreed_now_ms(await rest.server_time_ms()), await rest.symbols()
        except (VenueUnreachable, VenueRefused) as error:
            typer.echo(escaped(OFFLINE.format(reason=error)), err=True)
            return round(time.time() * 1000), None
    now_ms = await retrying.ask("clock of the exchange", rest.server_time_ms)
    return agreed_now_ms(now_ms), await retrying.ask("symbol list of the exchange", rest.symbols)


def span_of(begin: str, end: str, now_ms: int) -> TimeSpan:
    """From text to times; the future is cut off."""
    from_ms, to_ms = moment_ms(begin, now_ms, option="--from"), moment_ms(end, now_ms, option="--to")
    if from_ms >= to_ms:
        raise Misconfigured(f"--from {begin!r} must be before --to {end!r}.")
    if from_ms >= now_ms:
        raise Misconfigured(f"--from {begin!r} lies in the future.")
    return TimeSpan(from_ms, min(to_ms, now_ms), now_ms)


def _judge_unlisted(symbols: Sequence[str], venue: Venue, source: Source) -> None:
    """Today's list says nothing of the past: the files of a symbol stay when it goes."""
    names = ", ".join(symbols)
    if source != "dumps":
        cure = "; of a symbol that it listed once, --source dumps takes the published files" if venue.published else ""
        raise Misconfigured(f"--symbols: the exchange does not list {names}{cure}.")
    typer.echo(f"The exchange does not list {names} now: the published files alone decide.", err=True)


def bulk_files_of(settings: Settings, venue: Venue, source: Source, place: str | None) -> BulkFiles | None:
    """The published files that are to be used."""
    published = venue.published
    if source == "rest" and (place is None or published is not None):
        return None
    if published is None:
        raise Misconfigured(f"{venue.name} publishes no files of its past; use --source rest.")
    if place is not None:
        if "://" not in place and not Path(place).is_dir():
            raise Misconfigured(f"--files: {place} is no folder; give a base URL or a folder.")
        return published.open(place, use_proxy=settings.use_proxy)
    if not published.are_of(settings.rest_url):
        host, name = urlsplit(settings.rest_url).hostname, variable_of("rest_url", venue.name)
        raise Misconfigured(
            f"{name} is {host}, and the published files are of {venue.name} itself: name other ones with --files, "
            "or use --source rest."
        )
    return published.open(use_proxy=settings.use_proxy)


@asynccontextmanager
async def opened_rest(venue: Venue, settings: Settings) -> AsyncIterator[ExchangeApi]:
    """The exchange's REST side, for the length of the block."""
    rest = venue.open_rest(settings.rest_url, use_proxy=settings.use_proxy, api_key=settings.rest_key)
    try:
        yield rest
    finally:
        await rest.close()


def _stop_at_signals(stopping: Stopping) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.request)


def _agreed(stopping: Stopping) -> bool:
    """Ask. The loop stands still meanwhile, so Ctrl-C is to end the question."""
    loop = asyncio.get_running_loop()
    loop.remove_signal_handler(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return typer.confirm("Begin?", default=True)
    except (KeyboardInterrupt, typer.Abort):
        raise typer.Exit(INTERRUPTED) from None
    finally:
        loop.add_signal_handler(signal.SIGINT, stopping.request)
