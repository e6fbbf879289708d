"""`data-collector suites`: the validation rules, for those who read them and those who write their own."""

from __future__ import annotations

import asyncio
import difflib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from msgspec import Struct
from rich.console import Console
from rich.table import Table
from rich.text import Text

from data_collector.cli.suites.gx_worker import great_expectations, waiting
from data_collector.cli.suites.suite_file import KindOption, SuiteFile, counted, read_suite_file, refusal_lines
from data_collector.cli.suites.trial import try_out
from data_collector.model.errors import SuiteRefused
from data_collector.observe.escaping import escaped
from data_collector.settings import load_settings
from data_collector.validation.auditing.audit_worker import gx_is_installed
from data_collector.validation.gate.compiler import READING_RULES, condition_text
from data_collector.validation.gate.gate import ORDER_RULES
from data_collector.validation.rules.arguments import columns_named
from data_collector.validation.rules.columns import COLUMNS, KINDS, Kind
from data_collector.validation.rules.folder import RulesFolder
from data_collector.validation.rules.suite import Rule, Suite, same_rule, shipped_suite, why_not_gated

suites = typer.Typer(
    name="suites",
    help="The validation rules: read them, check your own, try them on recorded messages (docs/validation.md).",
    no_args_is_help=True,
)

NOT_INSTALLED = "great_expectations is not installed here, so it was not asked."

_EFFECTS = {
    "critical": "it is refused: not stored, and kept in `quarantine:` with this sentence",
    "warning": "it is stored and marked: the rule's id stands in the field `warnings` of its entry",
    "info": "it is stored as it is; the rule is counted",
}
_AUDIT_EFFECT = "it is stored as it is; the audit counts the rule (data_collector_gx_audit_broken_total)"


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


class _Row(Struct):
    """A rule as a line of the list, and as an object of its JSON."""

    id: str
    kind: Kind
    severity: str
    judged_by: str
    source: str
    locked: bool
    sentence: str


def suites_in_force() -> dict[Kind, Suite]:
    """What gates by SUITES_DIR; what is wrong with a file there is told on standard error."""
    shelved = RulesFolder(load_settings().suites_dir).load()
    for fault in shelved.faults.values():
        for line in fault.splitlines():
            typer.echo(escaped(line), err=True)
    return {kind: shelved.suites.get(kind, shipped_suite(kind)) for kind in KINDS}


def judge_of(rule: Rule) -> str:
    """Who judges it: the gate (the audit does so again), the audit alone, nobody."""
    if rule.disabled:
        return "nobody"
    return "gate" if rule.gated else "audit"


def list_rules(
    kind: KindOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
) -> None:
    """List the rules in force: the shipped ones, and yours from SUITES_DIR."""
    suites = suites_in_force()
    rows = [
        _Row(rule.id, known, rule.severity, judge_of(rule), rule.source, rule.locked, rule.sentence)
        for known in KINDS
        if kind in {None, known}
        for rule in suites[known].rules
    ]
    if json:
        typer.echo(msgspec.json.encode(rows).decode())
        return
    cells = [(row.id, row.kind, row.severity, row.judged_by, row.source, row.sentence) for row in rows]
    _print(("rule", "kind", "severity", "judged by", "source", "what must hold"), cells)


def list_columns(
    kind: Annotated[Kind, typer.Argument(help="What the rules are about.")],
) -> None:
    """List the columns that rules about KIND can name: type, where it is known, meaning."""
    cells = [
        (column.name, column.type, "audit only" if column.audit_only else "gate, audit", column.meaning)
        for column in COLUMNS[kind].values()
    ]
    _print(("column", "type", "known to", "meaning"), cells)


def _print(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """A table on a terminal; in a pipe lines of which every part but the last is padded with blanks."""
    escaped_rows = [tuple(map(escaped, row)) for row in rows]
    if sys.stdout.isatty():
        table = Table(*header, box=None, pad_edge=False)
        for row in escaped_rows:
            table.add_row(*map(Text, row))
        Console().print(table)
        return
    widths = [max(map(len, column)) for column in zip(*escaped_rows, strict=True)]
    for row in escaped_rows:
        padded = [cell.ljust(width) for cell, width in zip(row[:-1], widths[:-1], strict=True)]
        print("  ".join([*padded, row[-1]]))


def explain(
    rule: Annotated[str, typer.Argument(help="The id of a rule, as `suites list` and quarantine show it.")],
    kind: KindOption = None,
) -> None:
    """Explain RULE: what it asks, of which columns, who judges it, and what becomes of a record that breaks it."""
    suites = suites_in_force()
    kinds = [known for known in KINDS if kind in {None, known}]
    found = [(known, member) for known in kinds for member in suites[known].rules if member.id == rule]
    blocks = [list(_lines(known, member)) for known, member in found]
    built_in = READING_RULES | ORDER_RULES
    if rule in built_in:
        blocks.append(list(_built_in_lines(rule, built_in[rule])))
    if not blocks:
        typer.echo(escaped(_unknown(rule, [suites[known] for known in kinds], list(built_in))), err=True)
        raise typer.Exit(1)
    typer.echo("\n\n".join("\n".join(map(escaped, block)) for block in blocks))


def _unknown(rule: str, suites: list[Suite], built_in: list[str]) -> str:
    known = sorted({member.id for suite in suites for member in suite.rules} | set(built_in))
    near = difflib.get_close_matches(rule, known, n=3) or [name for name in known if rule and rule in name][:5]
    return f"There is no rule {rule[:100]}." + (f" Did you mean {', '.join(near)}?" if near else " See `suites list`.")


def _lines(kind: Kind, rule: Rule) -> Iterator[str]:
    yield f"{rule.id} ({kind})"
    yield f"  {rule.sentence}"
    yield f"severity: {rule.severity}"
    yield f"a record that breaks it: {_effect(rule)}"
    yield f"judged by: {_judge(kind, rule)}"
    yield f"comes from: {'the package' if rule.source == 'shipped' else f'{kind}.json in SUITES_DIR'}"
    yield f"can be changed: {_change(kind, rule)}"
    yield "columns:"
    for name in dict.fromkeys(columns_named(rule.kwargs)):
        column = COLUMNS[kind][name]
        yield f"  {name} ({column.type}{', audit only' if column.audit_only else ''}): {column.meaning}"
    if rule.condition is not None:
        yield f"compiled: {condition_text(kind, rule)}"
    yield "expectation:"
    document = msgspec.json.format(msgspec.json.encode(rule.document()), indent=2).decode()
    yield from (f"  {line}" for line in document.splitlines())


def _effect(rule: Rule) -> str:
    if rule.disabled:
        return "nothing: the rule is switched off"
    return _EFFECTS[rule.severity] if rule.gated else _AUDIT_EFFECT


def _judge(kind: Kind, rule: Rule) -> str:
    if rule.disabled:
        return "nobody: it is switched off by meta.disabled"
    if rule.gated:
        return "the gate, before the record is stored; Great Expectations looks again in the audit"
    return f"the audit alone, because {why_not_gated(kind, rule)}"


def _change(kind: Kind, rule: Rule) -> str:
    if rule.locked:
        return "no, it guards the store; a stricter rule can stand beside it under an id of its own"
    return f'yes, by a rule of this id in SUITES_DIR/{kind}.json; "meta": {{"disabled": true}} switches it off'


def _built_in_lines(rule: str, sentence: str) -> Iterator[str]:
    when = "while the numbers are read" if rule in READING_RULES else "from the messages before it"
    yield f"{rule} (built in)"
    yield f"  {sentence}"
    yield "severity: critical"
    yield f"a record that breaks it: {_EFFECTS['critical']}"
    yield f"judged by: the gate, {when}; it is part of no suite"
    yield "can be changed: no"


suites.command("check")(check)
suites.command("list")(list_rules)
suites.command("explain")(explain)
suites.command("columns")(list_columns)
suites.command("test")(try_out)
