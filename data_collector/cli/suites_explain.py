"""`data-collector suites explain`: everything about one rule."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Annotated

import msgspec
import typer

from data_collector.cli.suite_file import KindOption
from data_collector.cli.suites_list import suites_in_force
from data_collector.observe.escaping import escaped
from data_collector.validation.arguments import columns_named
from data_collector.validation.columns import COLUMNS, KINDS, Kind
from data_collector.validation.compiler import READING_RULES, condition_text
from data_collector.validation.gate import ORDER_RULES
from data_collector.validation.suite import Rule, Suite, why_not_gated

_EFFECTS = {
    "critical": "it is refused: not stored, and kept in `quarantine:` with this sentence",
    "warning": "it is stored and marked: the rule's id stands in the field `warnings` of its entry",
    "info": "it is stored as it is; the rule is counted",
}
_AUDIT_EFFECT = "it is stored as it is; the audit counts the rule (data_collector_gx_audit_broken_total)"


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
