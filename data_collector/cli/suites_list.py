"""`data-collector suites list` and `columns`: the rules in force, and what rules can speak of."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import msgspec
import typer
from msgspec import Struct
from rich.console import Console
from rich.table import Table
from rich.text import Text

from data_collector.cli.suite_file import KindOption
from data_collector.observe.escaping import escaped
from data_collector.settings import load_settings
from data_collector.validation.columns import COLUMNS, KINDS, Kind
from data_collector.validation.shelf import Shelf
from data_collector.validation.shipped import shipped_suite
from data_collector.validation.suite import Rule, Suite


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
    shelved = Shelf(load_settings().suites_dir).load()
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
