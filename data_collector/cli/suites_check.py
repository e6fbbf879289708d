"""`data-collector suites check`: whether a suite of one's own can be used, before it is put to use."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from data_collector.cli.gx_worker import great_expectations, waiting
from data_collector.cli.suite_file import KindOption, SuiteFile, counted, read_suite_file, refusal_lines
from data_collector.model.errors import SuiteRefused
from data_collector.validation.audit_worker import gx_is_installed
from data_collector.validation.shipped import shipped_suite
from data_collector.validation.suite import Suite, same_rule

NOT_INSTALLED = "great_expectations is not installed here, so it was not asked."


def check(
    file: Annotated[Path, typer.Argument(help="A suite, such as var/suites/trade.json.")],
    kind: KindOption = None,
    no_gx: Annotated[bool, typer.Option("--no-gx", help="Do not have Great Expectations load and run it.")] = False,
) -> None:
    """Check FILE as SUITES_DIR would be read, then with real Great Expectations. Exit code 1 names each faulty rule."""
    asked = not no_gx and gx_is_installed()
    try:
        read = read_suite_file(file, kind)
        if asked:
            asyncio.run(_ask(file, read.suite))
    except SuiteRefused as refused:
        typer.echo("\n".join(refusal_lines(refused)))
        raise typer.Exit(1) from refused
    for line in _summary(read):
        typer.echo(line)
    if not no_gx:
        typer.echo("Great Expectations loads and runs it." if asked else NOT_INSTALLED)


async def _ask(file: Path, suite: Suite) -> None:
    async with great_expectations() as asked:
        with waiting("Great Expectations loads and runs it …"):
            faults = await asked.faults(suite)
    if faults:
        raise SuiteRefused(str(file), faults)


def _summary(read: SuiteFile) -> Iterator[str]:
    shipped = {rule.id: rule for rule in shipped_suite(read.kind).rules}
    changed = [rule for rule in read.user.rules if rule.id not in shipped or not same_rule(shipped[rule.id], rule)]
    disabled = sum(rule.disabled for rule in changed)
    new = sum(rule.id not in shipped and not rule.disabled for rule in changed)
    replaced = len(changed) - disabled - new
    yield f"The {read.kind} suite is good: {new} new, {replaced} replaced, {disabled} switched off."
    in_force = [rule for rule in read.suite.rules if not rule.disabled]
    gated = sum(rule.gated for rule in in_force)
    audited = len(in_force) - gated
    yield f"Of {counted(len(in_force), 'rule')} in force the gate judges {gated}, only the audit {audited}."
