"""`data-collector doctor`: checks everything that a start needs, and says how to mend what fails."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from data_collector.cli.check_database import check_database
from data_collector.cli.check_exchange import check_exchange
from data_collector.cli.check_store import check_store
from data_collector.cli.check_surroundings import check_folder, check_platform, check_port
from data_collector.cli.check_validation import check_validation
from data_collector.cli.finding import Finding
from data_collector.model.errors import Misconfigured
from data_collector.settings import Settings, load_settings
from data_collector.venues.discovery import find_venue

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print the findings as a JSON list.")] = False,
) -> None:
    """Check settings, exchange, clock, store, database, rules, disk and port, and say how to mend what fails.

    Exit code 0 when a start would work (warnings included), 1 when something fails.
    """
    findings = asyncio.run(examine())
    if json:
        typer.echo(msgspec.json.encode(findings).decode())
    else:
        _print(findings)
    if any(finding.state == "fail" for finding in findings):
        raise typer.Exit(1)


async def examine() -> list[Finding]:
    """All findings, in the order in which they are best mended."""
    findings = [check_platform()]
    try:
        settings = load_settings()
    except Misconfigured as error:
        return [*findings, Finding("settings", "fail", str(error), "Correct them, then run doctor again.")]
    findings.extend(_settings_findings(settings))
    venue = find_venue("binance")
    exchange, store, database, validation, folder, port = await asyncio.gather(
        check_exchange(settings, venue),
        check_store(settings, venue),
        check_database(settings),
        check_validation(settings),
        asyncio.to_thread(check_folder, settings),
        asyncio.to_thread(check_port, settings),
    )
    return [*findings, *exchange, *store, *database, *validation, *folder, port]


def _settings_findings(settings: Settings) -> list[Finding]:
    if settings.notices:
        return [Finding("settings", "warn", notice, "See .env.example.") for notice in settings.notices]
    wanted = f"{len(settings.symbols)} symbols, {', '.join(settings.intervals)}, {', '.join(settings.channels)}"
    return [Finding("settings", "ok", wanted)]


def _print(findings: list[Finding]) -> None:
    if not sys.stdout.isatty():
        for finding in findings:
            print(f"{finding.state:4}  {finding.check}: {finding.seen}" + (f" -> {finding.cure}" * bool(finding.cure)))
        return
    table = Table("", "check", "seen", "how to mend", box=None, pad_edge=False)
    for finding in findings:
        state = Text(finding.state, style=_STYLES[finding.state])
        table.add_row(state, finding.check, Text(finding.seen), Text(finding.cure))
    Console().print(table)
