"""`data-collector audit`: whether the database holds what it should."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack

import msgspec
import typer
from msgspec import Struct, structs
from rich.console import Console
from rich.table import Table
from rich.text import Text

from data_collector.cli.arguments.past import GIVE_UP_S
from data_collector.cli.chosen_exchange import chosen_settings
from data_collector.cli.history.backfill import BackfillOptions, opened_rest
from data_collector.cli.history.backfill_screen import judgement_sentences, waiting_sentence
from data_collector.cli.history.clock import agreed_now_ms
from data_collector.cli.history.options import cuts_told, moment_ms, retention_of, series_of
from data_collector.cli.surroundings.found_database import Surroundings, found_surroundings, opened_database
from data_collector.cli.surroundings.found_store import find_store, opened
from data_collector.history.audit import NOTHING_STORED, AuditEnds, DatabaseAudit
from data_collector.history.bounds import RestBounds
from data_collector.history.comparison import Check, SeriesAudit
from data_collector.history.events import Ended, Event, Waiting, by_count
from data_collector.history.filling import Filling, TimeSpan
from data_collector.history.plan import Plan
from data_collector.history.ports import AuditedRows, Ends, LiveStore
from data_collector.history.retrying import Retrying, Stopping
from data_collector.model.calendar import Calendar
from data_collector.model.errors import Misconfigured, SinkUnavailable, Unavailable
from data_collector.model.gaps import Gap
from data_collector.model.grid import grid_of, joined
from data_collector.model.keys import Key
from data_collector.model.venue import ExchangeApi, Venue
from data_collector.observe.escaping import escaped
from data_collector.service.live_rows import RedisRows
from data_collector.service.loading.load import Load, opened_load
from data_collector.settings import Settings
from data_collector.sinks.postgres.rights import rights_to_repair
from data_collector.sinks.postgres.writing import PostgresWriter
from data_collector.venues.discovery import find_venue


class AuditResult(Struct, frozen=True):
    """What `--json` prints."""

    equal: bool
    checks: list[Check]
    notes: list[str]
    repair: Ended | None = None
    """What was done about the differences; `checks` are those of after it."""


def audit(
    *,
    symbols: str | None,
    intervals: str | None,
    begin: str,
    end: str,
    trades: bool,
    against_exchange: bool,
    repair: bool,
    json: bool,
    exchange: str | None,
) -> None:
    """What it takes and does stands in `cli.arguments.past`."""
    options = BackfillOptions(symbols, intervals, begin, end, with_trades=trades)
    settings = chosen_settings(exchange, symbols)
    try:
        verdict = asyncio.run(audited(settings, options, against_exchange=against_exchange, repair=repair))
    except SinkUnavailable as error:
        raise Unavailable(str(error)) from error
    if json:
        typer.echo(msgspec.json.encode(verdict).decode())
    else:
        _print(verdict)
    if not verdict.equal:
        raise typer.Exit(1)


async def audited(settings: Settings, options: BackfillOptions, *, against_exchange: bool, repair: bool) -> AuditResult:
    """Audit, heal if asked to, and audit again."""
    venue = find_venue(settings.exchange)
    series = series_of(settings, venue, options.symbols, options.intervals, with_trades=options.with_trades)
    notes: list[str] = []
    surroundings = found_surroundings(settings)
    settings = surroundings.settings
    async with AsyncExitStack() as stack:
        rights = rights_to_repair(trades=options.with_trades) if repair else None
        database = await stack.enter_async_context(opened_database(settings, rights))
        rest = await stack.enter_async_context(opened_rest(venue, settings))
        live = await _live_store(stack, surroundings, venue, notes)
        retrying = Retrying(options.give_up_s, Stopping(), _tell_waits)
        now_ms = agreed_now_ms(await retrying.ask("clock of the exchange", rest.server_time_ms))
        from_ms = moment_ms(options.begin, now_ms, option="--from") if options.begin else None
        to_ms = min(moment_ms(options.end, now_ms, option="--to"), now_ms)
        if from_ms is not None and from_ms >= to_ms:
            raise Misconfigured(f"--from {options.begin!r} must be before --to {options.end!r}.")
        notes += cuts_told(settings, series, from_ms, now_ms)
        await _demand_known(database.reader, rest, retrying, venue, series)
        bounds = RestBounds(rest, venue.calendar)
        ends = AuditEnds(database.reader, venue, bounds, live, rest if against_exchange else None)
        at_work = DatabaseAudit(
            ends, from_ms=from_ms, to_ms=to_ms, now_ms=now_ms,
            retention=retention_of(settings, now_ms), retrying=retrying, tell=_tell_progress,
        )  # fmt: skip
        found = [await at_work.series(each) for each in series]
        ended = None
        if repair and not all(each.is_clean and not each.proven for each in found):
            span = TimeSpan(0 if from_ms is None else from_ms, to_ms, now_ms)
            async with opened_load(settings, database.writer, database.quarantine) as load:
                ends_of_repair = Ends(rest, database.reader, load.rows, venue)
                ended = await _repaired(ends_of_repair, found, span)
                withdrawn = await _withdrawn(database.writer, venue.calendar, found)
                ended = structs.replace(ended, absent=ended.absent + withdrawn + await _recorded(load, found))
                ended = structs.replace(ended, gx=await load.audit.finish())
            found = [await at_work.series(each) for each in series]
    return AuditResult(
        all(each.is_clean for each in found), [check for each in found for check in each.checks], notes, ended
    )


async def _demand_known(
    held: AuditedRows, rest: ExchangeApi, retrying: Retrying, venue: Venue, series: Sequence[Key]
) -> None:  # fmt: skip
    """A symbol of which nothing is stored, and that the exchange does not list, was written wrongly."""
    unstored = [
        symbol
        for symbol in dict.fromkeys(each.symbol for each in series)
        if await held.trade_span(symbol) is None
        and not any([await held.span(symbol, interval) for interval in venue.intervals])
    ]
    listed = await retrying.ask("symbol list of the exchange", rest.symbols) if unstored else {}
    unknown = [symbol for symbol in unstored if symbol not in listed]
    if unknown:
        raise Misconfigured(f"--symbols: the exchange does not list {', '.join(unknown)}, and nothing is stored of it.")


async def _live_store(
    stack: AsyncExitStack, surroundings: Surroundings, venue: Venue, notes: list[str]
) -> LiveStore | None:  # fmt: skip
    try:
        address = await find_store(settings=surroundings.settings, folder=surroundings.folder)
        connection = await stack.enter_async_context(opened(address))
    except Unavailable as error:
        notes.append(f"Not compared with the live store: {error}")
        return None
    return RedisRows(connection, venue.store_keys, venue.calendar)


async def _repaired(ends: Ends, found: Sequence[SeriesAudit], span: TimeSpan) -> Ended:
    """What is missing or differs is asked for again; the exchange's answer is what counts, if it breaks no rule."""
    wanted: list[Key] = [each.series for each in found]
    filling = Filling(ends, wanted, span, tell=_tell_waits, stopping=Stopping(), give_up_s=GIVE_UP_S)
    plans = [await filling.plan_for(each.series, each.faults.as_ranges(filling.grid(each.series))) for each in found]
    return await filling.run(Plan(tuple(plans)))


async def _withdrawn(writer: PostgresWriter, calendar: Calendar, found: Sequence[SeriesAudit]) -> int:
    """Candles without trades that were built, and that the exchange does not have, are absent; how many."""
    for each in found:
        grid = grid_of(each.series, calendar)
        ranges = joined(grid, [(open_ms, open_ms) for open_ms in sorted(each.unfounded)])
        gaps = [Gap(first, last, grid.span(first, grid.following(last))[1], "absent") for first, last in ranges]
        if gaps:
            await writer.withdraw_klines(each.series, each.unfounded, gaps)
    return sum(len(each.unfounded) for each in found)


async def _recorded(load: Load, found: Sequence[SeriesAudit]) -> int:
    """What the exchange proved not to have, and nothing said so yet; how many."""
    for each in found:
        await load.rows.put_gaps(each.series, each.proven)
    return sum(gap.count for each in found for gap in each.proven)


def _tell_progress(series: str, rows: int) -> None:
    """Where the audit is; for people who wait."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{series}: {rows:,} rows compared")
        sys.stderr.flush()


def _tell_waits(event: Event) -> None:
    if isinstance(event, Waiting):
        typer.echo(escaped(waiting_sentence(event)), err=True)


def _print(verdict: AuditResult) -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    for note in verdict.notes:
        typer.echo(escaped(note), err=True)
    if sys.stdout.isatty():
        Console(highlight=False).print(_table(verdict.checks))
    else:
        for check in verdict.checks:
            typer.echo(_line(check))
    for check in verdict.checks:
        for example in check.examples:
            typer.echo(escaped(f"  {check.series}, {check.against}: {example}"))
    if verdict.repair is not None:
        ended = verdict.repair
        typer.echo(f"Repaired: {ended.added:,} added, {ended.changed:,} changed, {ended.absent:,} recorded as absent.")
        reasons = [f"{each.series}: {each.reason}" for each in ended.reports if each.outcome == "failed"]
        for line in (*reasons, *judgement_sentences(ended)):
            typer.echo(escaped(line))
    typer.echo(escaped(_ending(verdict)))


def _ending(verdict: AuditResult) -> str:
    if not verdict.equal:
        return "Different."
    calendar = [each for each in verdict.checks if each.against == "calendar"]
    unstored = [each.series for each in verdict.checks if each.note == NOTHING_STORED]
    # A symbol that was written wrongly must not look like one that is complete.
    if unstored:
        return f"Equal, but nothing is stored of {', '.join(unstored)}: see `backfill`."
    absent = ", ".join(f"{each.absent:,} of {each.series}" for each in calendar if each.absent)
    refused = ", ".join(
        f"{each.refused:,} of {each.series} ({by_count(each.refused_by)})" for each in calendar if each.refused
    )
    but = [f"what the exchange itself does not have: {absent}"] if absent else []
    but += [f"what validation refused: {refused}; see `quarantine list`"] if refused else []
    return f"Equal, but for {'; and for '.join(but)}." if but else "Equal."


def _table(checks: Sequence[Check]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("series", no_wrap=True)
    table.add_column("against", no_wrap=True)
    for name in ("compared", "missing", "doubled", "differing", "unknown", "absent", "refused"):
        table.add_column(name, justify="right")
    table.add_column("")
    for each in checks:
        numbers = (
            each.compared, each.missing, each.doubled, each.differing, each.unknown, each.absent, each.refused
        )  # fmt: skip
        mark = Text("ok", style="green") if each.is_clean else Text("differs", style="bold red")
        row = (each.series, each.against, *(f"{number:,}" for number in numbers))
        table.add_row(*row, Text.assemble(mark, f" {each.note}"))
    return table


def _line(each: Check) -> str:
    mark = "ok" if each.is_clean else "differs"
    counts = (
        f"{each.compared:,} compared, {each.missing:,} missing, {each.doubled:,} doubled, "
        f"{each.differing:,} differing, {each.unknown:,} unknown"
    )
    counts += f", {each.absent:,} absent" if each.absent else ""
    counts += f", {each.refused:,} refused ({by_count(each.refused_by)})" if each.refused else ""
    return f"{each.series} against {each.against}: {mark}, {counts}" + (f" ({each.note})" if each.note else "")
