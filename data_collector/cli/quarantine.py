"""`data-collector quarantine`: what validation refused, and moving it out when its rule was corrected."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec
import typer
from msgspec import Struct
from rich.console import Console
from rich.table import Table
from rich.text import Text

from data_collector.api.answers import Refused
from data_collector.api.quarantine import newest_refusals
from data_collector.api.store_reading import StoreReading
from data_collector.cli.replay import Replay, SortedCount, SymbolReport
from data_collector.cli.surroundings.found_store import find_store, opened
from data_collector.model.errors import Misconfigured, SinkUnavailable, Unavailable
from data_collector.model.keys import UNKNOWN
from data_collector.observe.escaping import escaped
from data_collector.settings import Settings, load_settings
from data_collector.sinks.redis.quarantine import PAGE_ENTRIES, QuarantineStreams
from data_collector.validation.gate.compiler import CompiledSuite, compile_suite
from data_collector.validation.rules.columns import Kind
from data_collector.validation.rules.folder import RulesFolder
from data_collector.venues.discovery import find_venue

NEVER_REPLAYED = (
    "Not replayed are raw frames, records of symbols that were not subscribed (quarantine:unknown) and tickers; they "
    "stay in quarantine."
)

quarantine = typer.Typer(
    help="What validation refused: show it, and replay it when its rule was corrected.", no_args_is_help=True
)

Symbols = Annotated[
    list[str] | None,
    typer.Argument(metavar="SYMBOL...", help="The exchange's own names; default: those of SYMBOLS, and unknown."),
]


class _Answer(Struct):
    """What `replay --json` prints."""

    dry_run: bool
    rule: str | None
    symbols: list[SymbolReport]
    foreign_keys: list[str]


@quarantine.command("list")
def list_refused(
    symbols: Symbols = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many entries at most.")] = 20,
) -> None:
    """Show the newest refused records and frames with the rules that they broke."""
    settings = load_settings()
    entries = asyncio.run(_newest(settings, _named(symbols, settings), limit))
    if not entries:
        typer.echo("Nothing is in quarantine.", err=True)
        return
    rows = [[entry.at, entry.symbol, _rules(entry), escaped(_content(entry))] for entry in entries]
    if not sys.stdout.isatty():
        print("\n".join("  ".join(row) for row in rows))
        return
    table = Table("refused at", "symbol", "rules", box=None, pad_edge=False)
    table.add_column("record", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)


@quarantine.command()
def replay(
    symbols: Symbols = None,
    rule: Annotated[str | None, typer.Option(metavar="ID", help="Only what was refused for this rule.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Judge only; write nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Judge refused records by the rules in force now, and move those that pass to `late:` and `kline:`.

    `trades:` and `stream:` only go forward, so what comes after its place was passed does not go there.
    """
    settings = load_settings()
    suites = _suites(settings)
    replaying = Replay(suites, settings, rule, is_dry=dry_run, tell=_tell_progress)
    reports, foreign = asyncio.run(_replayed(replaying, _named(symbols, settings)))
    if json:
        print(msgspec.json.encode(_Answer(dry_run, rule, reports, foreign)).decode())
    else:
        _print([report for report in reports if report.read or symbols], is_dry=dry_run)
    for sentence in foreign:
        typer.echo(f"{escaped(sentence)}: what needs this key stays in quarantine.", err=True)


def _named(symbols: Sequence[str] | None, settings: Settings) -> list[str]:
    """`unknown` is the one name that is not written in capitals."""
    if not symbols:
        return [*settings.symbols, UNKNOWN]
    names = dict.fromkeys(symbol.strip().upper() for symbol in symbols)
    return [UNKNOWN if name == UNKNOWN.upper() else name for name in names]


async def _newest(settings: Settings, symbols: Sequence[str], limit: int) -> list[Refused]:
    address = await find_store(settings=settings)
    store = StoreReading()
    try:
        page = await newest_refusals(store, address.whole, find_venue("binance").store_keys, symbols, limit)
    except SinkUnavailable as error:
        raise Unavailable(str(error)) from error
    finally:
        store.close()
    return page.errors


def _rules(entry: Refused) -> str:
    return escaped(",".join(reason.rule for reason in entry.reasons))


def _content(entry: Refused) -> str:
    return bytes(entry.record).decode() if entry.frame is None else entry.frame


def _suites(settings: Settings) -> Mapping[Kind, CompiledSuite]:
    """Raises `Misconfigured`: nothing is moved by rules other than those that the user has written."""
    shelved = RulesFolder(settings.suites_dir).load()
    if shelved.faults:
        raise Misconfigured("\n".join([*shelved.faults.values(), "Nothing was replayed. Correct the rules first."]))
    if settings.validation_service_url is not None:
        typer.echo("Records are judged by SUITES_DIR here; VALIDATION_SERVICE_URL is not asked.", err=True)
    return {kind: compile_suite(suite) for kind, suite in shelved.suites.items()}


async def _replayed(replaying: Replay, symbols: Sequence[str]) -> tuple[list[SymbolReport], list[str]]:
    address = await find_store(settings=replaying.settings)
    async with opened(address) as connection:
        streams = QuarantineStreams(connection, find_venue("binance").store_keys)
        try:
            return await replaying.run(streams, symbols), sorted(streams.foreign)
        finally:
            if sys.stderr.isatty():
                sys.stderr.write("\r\x1b[K")


def _tell_progress(report: SymbolReport) -> None:
    if report.read > PAGE_ENTRIES and sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{report.symbol}: {report.read:,} read, {report.replayed.count:,} replayed")
        sys.stderr.flush()


def _print(reports: Sequence[SymbolReport], *, is_dry: bool) -> None:
    if not reports:
        typer.echo("Nothing is in quarantine.", err=True)
        return
    table = Table(box=None, pad_edge=False)
    for name in ("symbol", "would be replayed" if is_dry else "replayed", "still refused", "not replayable"):
        table.add_column(name, overflow="fold")
    table.add_column("passed over", justify="right")
    table.add_column("already gone", justify="right")
    for report in reports:
        counts = (report.replayed, report.still_refused, report.not_replayable)
        cells = [report.symbol, *map(_cell, counts), f"{report.passed_over:,}", f"{report.gone:,}"]
        table.add_row(*(Text(escaped(cell)) for cell in cells))
    Console(width=None if sys.stdout.isatty() else 200).print(table)
    if any(report.not_replayable.count for report in reports):
        typer.echo(NEVER_REPLAYED)


def _cell(count: SortedCount) -> str:
    sorts = ", ".join(f"{name} {number:,}" for name, number in sorted(count.by.items(), key=lambda pair: -pair[1]))
    return f"{count.count:,} ({sorts})" if sorts else f"{count.count:,}"
