"""`data-collector quarantine`: what validation refused, and moving it out when its rule was corrected."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
from data_collector.cli.arguments.exchange import ExchangeOption
from data_collector.cli.chosen_exchange import chosen_settings
from data_collector.cli.replay import Replay, SortedCount, SymbolReport
from data_collector.cli.surroundings.found_database import Surroundings, found_surroundings, opened_database
from data_collector.cli.surroundings.found_store import find_store, opened
from data_collector.history.events import GxCheck
from data_collector.model.errors import Misconfigured, SinkUnavailable, Unavailable
from data_collector.model.keys import UNKNOWN
from data_collector.model.store_url import StoreAddress
from data_collector.observe.escaping import escaped
from data_collector.service.loading.load import gate_in_force, opened_load
from data_collector.service.loading.release import Release, SeriesRelease
from data_collector.service.running import running_collectors
from data_collector.settings import Settings
from data_collector.settings.texts import shown
from data_collector.settings.texts import symbols as symbols_of_text
from data_collector.sinks.postgres.quarantine import RefusedRow
from data_collector.sinks.postgres.rights import rights_to_load
from data_collector.sinks.redis.quarantine import PAGE_ENTRIES, QuarantineStreams
from data_collector.venues.discovery import find_venue

NEVER_REPLAYED = (
    "Not replayed are raw frames, records of symbols that were not subscribed (quarantine:unknown) and tickers; they "
    "stay in quarantine."
)

STILL_DECLARED = (
    "`/completeness` and `/gaps` go on telling replayed trades as refused: `trades:` has passed them, and they are in"
    " `late:` now."
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
    history: list[SeriesRelease]
    """Of PostgreSQL."""
    gx: GxCheck | None
    """What real Great Expectations said of what history got."""

    @property
    def has_asked(self) -> bool:
        """Whether something was refused for the rule that was asked for."""
        of_store = any(each.read > each.passed_over for each in self.symbols)
        return of_store or any(each.read > each.passed_over for each in self.history)


class _Database:
    """PostgreSQL, if there is one. Where it cannot be asked, what the store has is told all the same."""

    def __init__(self, settings: Settings) -> None:
        self.surroundings: Surroundings | None = None
        self.is_away = False
        self.store: StoreAddress | None = None
        self._fault: Exception | None = None
        try:
            self.surroundings = _with_database(settings)
        except (Misconfigured, Unavailable) as error:
            self._fault = error

    async def find_store(self, settings: Settings) -> None:
        """Where no collector runs and there is a database, it is not needed: who only backfills has none."""
        try:
            self.store = await find_store(settings=settings)
        except Unavailable as error:
            if self._fault is not None:
                raise self._fault from error
            if self.surroundings is None:
                raise
            typer.echo(f"PostgreSQL alone: {escaped(str(error))}", err=True)
        if self._fault is not None:
            self._tell_away(self._fault)

    @contextmanager
    def asked(self) -> Iterator[None]:
        """A block that asks it. Raises `Misconfigured`, `Unavailable` where there is no store that was asked."""
        try:
            yield
        except (Misconfigured, Unavailable, SinkUnavailable) as error:
            if self.store is not None:
                self._tell_away(error)
            elif isinstance(error, SinkUnavailable):
                raise Unavailable(str(error)) from error
            else:
                raise

    def _tell_away(self, error: Exception) -> None:
        self.is_away = True
        typer.echo(f"The store alone: {escaped(str(error))}", err=True)

    def end(self) -> None:
        """Half an answer is none to rely on: the exit code says so."""
        if self.is_away:
            raise typer.Exit(Unavailable.exit_code)


@quarantine.command("list")
def list_refused(
    symbols: Symbols = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many entries at most.")] = 20,
    exchange: ExchangeOption = None,
) -> None:
    """Show the newest refused records and frames with the rules that they broke."""
    settings = chosen_settings(exchange, *(symbols or ()))
    _named(symbols, settings)
    database = _Database(settings)
    rows = asyncio.run(_newest(settings, database, symbols, limit))
    if rows:
        _print_rows(rows)
    else:
        of_named = f" of {escaped(', '.join(symbols))}" if symbols else ""
        typer.echo(f"Nothing{of_named} is in quarantine.", err=True)
    database.end()


def _print_rows(rows: Sequence[Sequence[str]]) -> None:
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
    exchange: ExchangeOption = None,
) -> None:
    """Judge refused records by the rules in force now, and move those that pass to `late:` and `kline:`.

    `trades:` and `stream:` only go forward, so what comes after its place was passed does not go there. What backfill
    and repair were refused is in PostgreSQL, and is stored there.
    """
    settings = chosen_settings(exchange, *(symbols or ()))
    _named(symbols, settings)
    database = _Database(settings)
    answer = asyncio.run(_replayed(settings, database, symbols, rule, is_dry=dry_run))
    if json:
        print(msgspec.json.encode(answer).decode())
    else:
        _print(answer, all_named=bool(symbols))
    if rule is not None and not answer.has_asked:
        typer.echo(f"Nothing was refused for a rule {shown(rule)}; `suites list` names those in force.", err=True)
    for sentence in answer.foreign_keys:
        typer.echo(f"{escaped(sentence)}: what needs this key stays in quarantine.", err=True)
    database.end()


def _named(symbols: Sequence[str] | None, settings: Settings) -> list[str]:
    """Symbols in the exchange's own form, and `unknown`, which is none."""
    if not symbols:
        return [*settings.symbols, UNKNOWN]
    try:
        venue = find_venue(settings.exchange)
        words = [word for text in symbols for word in text.split(",")]
        names = [(UNKNOWN,) if word.strip().lower() == UNKNOWN else symbols_of_text(word, venue) for word in words]
    except ValueError as error:
        raise Misconfigured(f"SYMBOL: {error}.") from None
    return list(dict.fromkeys(name for each in names for name in each))


async def _newest(
    settings: Settings, database: _Database, symbols: Sequence[str] | None, limit: int
) -> list[list[str]]:
    """Rows of the table, newest first, of the store and of PostgreSQL."""
    await database.find_store(settings)
    rows: list[list[str]] = []
    if database.store is not None:
        store = StoreReading()
        keys = find_venue(settings.exchange).store_keys
        try:
            page = await newest_refusals(store, database.store.whole, keys, _named(symbols, settings), limit)
        except SinkUnavailable as error:
            raise Unavailable(str(error)) from error
        finally:
            store.close()
        rows += [[entry.at, entry.symbol, _rules(entry), escaped(_content(entry))] for entry in page.errors]
    if database.surroundings is not None:
        with database.asked():
            kept = await _newest_kept(settings, database.surroundings, symbols, limit)
            rows += [[_when(row), row.key.label, ",".join(row.rules), escaped(_text(row))] for row in kept]
    return sorted(rows, key=lambda row: row[0], reverse=True)[:limit]


async def _newest_kept(
    settings: Settings, surroundings: Surroundings, symbols: Sequence[str] | None, limit: int
) -> Sequence[RefusedRow]:
    async with opened_database(surroundings.settings, {"market_data_quarantine": ("SELECT",)}) as opened_one:
        named = _named(symbols, settings) if symbols else await opened_one.quarantine.symbols()
        return await opened_one.quarantine.newest(named, limit)


def _when(row: RefusedRow) -> str:
    return "" if row.at is None else row.at.isoformat(timespec="milliseconds")


def _text(row: RefusedRow) -> str:
    return "" if row.record is None else msgspec.json.encode(row.record).decode()


def _with_database(settings: Settings) -> Surroundings | None:
    """The database of the settings, or of a collector that runs; None where there is none."""
    if settings.database_url is None and not any(each.database for _, each in running_collectors(settings.var_dir)):
        return None
    return found_surroundings(settings, with_exchange=False)


def _rules(entry: Refused) -> str:
    return escaped(",".join(reason.rule for reason in entry.reasons))


def _content(entry: Refused) -> str:
    return bytes(entry.record).decode() if entry.frame is None else entry.frame


async def _replayed(
    settings: Settings, database: _Database, symbols: Sequence[str] | None, rule: str | None, *, is_dry: bool
) -> _Answer:
    """Raises `Misconfigured`: nothing is moved by rules other than those that the user has written."""
    await database.find_store(settings)
    gate = await gate_in_force(settings)
    answer = _Answer(is_dry, rule, [], [], [], None)
    if database.store is not None:
        replaying = Replay(gate.suites, settings, rule, is_dry=is_dry, tell=_tell_progress)
        async with opened(database.store) as connection:
            streams = QuarantineStreams(connection, find_venue(settings.exchange).store_keys)
            try:
                answer.symbols = await replaying.run(streams, _named(symbols, settings))
            finally:
                if sys.stderr.isatty():
                    sys.stderr.write("\r\x1b[K")
            answer.foreign_keys = sorted(streams.foreign)
    if database.surroundings is not None:
        with database.asked():
            named = _named(symbols, settings) if symbols else ()
            await _release(settings, database.surroundings, named, answer)
    return answer


async def _release(settings: Settings, surroundings: Surroundings, named: Sequence[str], answer: _Answer) -> None:
    rights = {"market_data_quarantine": ("SELECT",)} if answer.dry_run else rights_to_load()
    async with (
        opened_database(surroundings.settings, rights) as database,
        opened_load(settings, database.writer, database.quarantine) as load,
    ):
        release = Release(
            load, database.quarantine, find_venue(settings.exchange).calendar, answer.rule, answer.dry_run
        )
        answer.history = await release.run(named)
        answer.gx = await load.audit.finish()


def _tell_progress(report: SymbolReport) -> None:
    if report.read > PAGE_ENTRIES and sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{report.symbol}: {report.read:,} read, {report.replayed.count:,} replayed")
        sys.stderr.flush()


def _print(answer: _Answer, *, all_named: bool) -> None:
    reports = [report for report in answer.symbols if report.read or all_named]
    if not reports and not answer.history:
        typer.echo("Nothing is in quarantine.", err=True)
        return
    if reports:
        _print_store(reports, is_dry=answer.dry_run)
    if answer.history:
        _print_history(answer)


def _print_store(reports: Sequence[SymbolReport], *, is_dry: bool) -> None:
    table = _table("symbol", "would be replayed" if is_dry else "replayed", "still refused", "not replayable")
    table.add_column("passed over", justify="right")
    table.add_column("already gone", justify="right")
    for report in reports:
        counts = (report.replayed, report.still_refused, report.not_replayable)
        cells = [report.symbol, *map(_cell, counts), f"{report.passed_over:,}", f"{report.gone:,}"]
        table.add_row(*(Text(escaped(cell)) for cell in cells))
    Console(width=None if sys.stdout.isatty() else 200).print(table)
    if any(report.not_replayable.count for report in reports):
        typer.echo(NEVER_REPLAYED)
    if not is_dry and any(report.replayed.count for report in reports):
        typer.echo(STILL_DECLARED)


def _print_history(answer: _Answer) -> None:
    table = _table("in PostgreSQL", "would be stored" if answer.dry_run else "stored", "still refused")
    for name in ("passed over", "stored before", "unreadable"):
        table.add_column(name, justify="right")
    for report in answer.history:
        refused = _cell(SortedCount(report.still_refused, report.still_refused_by))
        counts = (report.passed_over, report.known, report.unreadable)
        cells = [report.series, f"{report.released:,}", refused, *(f"{count:,}" for count in counts)]
        table.add_row(*(Text(escaped(cell)) for cell in cells))
    Console(width=None if sys.stdout.isatty() else 200).print(table)
    for sentence in () if answer.gx is None else answer.gx.sentences():
        typer.echo(escaped(sentence))


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in names:
        table.add_column(name, overflow="fold")
    return table


def _cell(count: SortedCount) -> str:
    sorts = ", ".join(f"{name} {number:,}" for name, number in sorted(count.by.items(), key=lambda pair: -pair[1]))
    return f"{count.count:,} ({sorts})" if sorts else f"{count.count:,}"
