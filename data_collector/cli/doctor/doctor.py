"""`data-collector doctor`: checks everything that a start needs, and says how to mend what fails."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import typer
from msgspec.structs import replace
from rich.console import Console
from rich.table import Table
from rich.text import Text

from data_collector.cli.doctor.check_alerts import check_alerts
from data_collector.cli.doctor.check_database import check_database
from data_collector.cli.doctor.check_exchange import check_exchange
from data_collector.cli.doctor.check_memory import check_memory
from data_collector.cli.doctor.check_proxies import check_proxies
from data_collector.cli.doctor.check_store import check_store
from data_collector.cli.doctor.check_surroundings import check_folder, check_platform, check_port
from data_collector.cli.doctor.finding import Finding
from data_collector.cli.surroundings.found_service import found_service
from data_collector.model.errors import Misconfigured, Unavailable
from data_collector.observe.escaping import escaped
from data_collector.outgoing import UNREACHED, open_session, reason_of
from data_collector.service.subscription_plan import check_venue, settings_of_each
from data_collector.settings import Settings, load_settings
from data_collector.time_limit import time_limit
from data_collector.validation.rules.folder import RulesFolder
from data_collector.venues.discovery import find_venue

ANSWER_TIMEOUT_S = 5.0

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor(*, json: bool, exchange: str | None) -> None:
    """What it takes and does stands in `cli.arguments.live`."""
    findings = asyncio.run(examine(exchange))
    if json:
        typer.echo(msgspec.json.encode(findings).decode())
    else:
        _print(findings)
    if any(finding.state == "fail" for finding in findings):
        raise typer.Exit(1)


async def examine(exchange: str | None = None) -> list[Finding]:
    """All findings, in the order in which they are best mended."""
    findings = [check_platform()]
    try:
        settings = load_settings(exchange=exchange)
        if len(settings.exchanges) == 1:
            check_venue(settings, find_venue(settings.exchange))
        every = await asyncio.to_thread(found_service, list(settings_of_each(settings.exchanges).values()))
    except Misconfigured as error:
        return [*findings, Finding("settings", "fail", str(error), "Correct them, then run doctor again.")]
    except Unavailable as error:
        return [*findings, Finding("service", "fail", str(error), "Then run doctor again.")]
    findings.extend(_settings_findings(every, [*settings.notices, *(told for each in every for told in each.notices)]))
    settings = every[0]
    if settings.use_proxy:
        findings.append(check_proxies(settings))
    asked, store, database, validation, folder, port = await asyncio.gather(
        _of_each(every, _asked_exchange),
        check_store(every),
        check_database(settings),
        check_validation(settings),
        asyncio.to_thread(check_folder, settings),
        asyncio.to_thread(check_port, settings),
    )
    remembering = await _of_each(every, _remembering)
    alerts = await check_alerts(settings)
    return [*findings, *asked, *store, *database, *validation, *remembering, *alerts, *folder, port]


async def _of_each(every: Sequence[Settings], check: Callable[[Settings], Awaitable[list[Finding]]]) -> list[Finding]:
    """Of several exchanges with the name of each."""
    found = await asyncio.gather(*map(check, every))
    if len(every) == 1:
        return found[0]
    return [
        replace(finding, check=f"{own.exchange} {finding.check}")
        for own, findings in zip(every, found, strict=True)
        for finding in findings
    ]


async def _asked_exchange(settings: Settings) -> list[Finding]:
    return await check_exchange(settings, find_venue(settings.exchange))


async def _remembering(settings: Settings) -> list[Finding]:
    return check_memory(settings)


def _settings_findings(every: Sequence[Settings], notices: Sequence[str]) -> list[Finding]:
    if notices:
        return [Finding("settings", "warn", notice, "See .env.example.") for notice in dict.fromkeys(notices)]
    words = ([each.exchange, f"{len(each.symbols)} symbols", *each.intervals, *each.channels] for each in every)
    return [Finding("settings", "ok", ", ".join(each)) for each in words]


async def check_validation(settings: Settings) -> list[Finding]:
    """A service that does not answer is no failure: the last known rules gate every record then."""
    shelved = await asyncio.to_thread(RulesFolder(settings.suites_dir).load)
    count = sum(len(suite.rules) for suite in shelved.suites.values())
    if shelved.faults:
        cure = "Until then the shipped rules of that kind gate every record. `data-collector suites check` tells more."
        rules = Finding("validation", "warn", " ".join(shelved.faults.values()), cure)
    else:
        rules = Finding("validation", "ok", f"{count} rules load")
    url = settings.validation_service_url
    if url is None:
        return [rules]
    seen = await _health_of(url, use_proxy=settings.use_proxy)
    if seen is None:
        return [rules, Finding("validation service", "ok", f"{url} answers")]
    cure = "Records are gated by the last known rules until it answers. Start it, or correct VALIDATION_SERVICE_URL."
    return [rules, Finding("validation service", "warn", f"{url} {seen}", cure)]


async def _health_of(url: str, *, use_proxy: bool) -> str | None:
    """What is wrong with the service; None when it is well."""
    try:
        async with (
            time_limit(ANSWER_TIMEOUT_S),
            open_session(url, use_proxy=use_proxy) as session,
            session.get(f"{url}/health", allow_redirects=False) as response,
        ):
            return None if response.status == 200 else f"answers HTTP {response.status}"
    except TimeoutError:
        return f"does not answer in {ANSWER_TIMEOUT_S:g} s"
    except UNREACHED as error:
        return f"cannot be reached ({escaped(reason_of(error))})"


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
