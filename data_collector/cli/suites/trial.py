"""`data-collector suites test`: a suite over recorded messages, before it judges live ones."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from msgspec import Struct, field

from data_collector.cli.arguments.exchange import ExchangeOption
from data_collector.cli.chosen_exchange import chosen_settings
from data_collector.cli.suites.gx_worker import ROWS_MAX, GreatExpectations, great_expectations, waiting
from data_collector.cli.suites.message_file import MessageFile, Recorded, Skipped
from data_collector.cli.suites.suite_file import KindOption, counted, read_suite_file, refusal_lines
from data_collector.model.channels import CHANNELS
from data_collector.model.errors import Misconfigured, SuiteRefused
from data_collector.model.gate import Verdict
from data_collector.observe.escaping import escaped
from data_collector.validation.auditing.audit_worker import gx_is_installed
from data_collector.validation.gate.compiler import READING_RULES, CompiledSuite, compile_suite
from data_collector.validation.rules.arguments import columns_named
from data_collector.validation.rules.columns import COLUMNS, DECIMALS, Kind
from data_collector.validation.rules.suite import Rule, Suite
from data_collector.venues.discovery import find_venue

VALUE_CHARACTERS_MAX = 100


class Broken(Struct):
    """Records that break a rule."""

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, recorded: Recorded, columns: Sequence[str], limit: int) -> None:
        """Count one, and keep it as an example while there are fewer than `limit`."""
        self.count += 1
        if len(self.examples) < limit:
            self.examples.append(_example(recorded, columns))


class TrialFindings(Struct):
    """What came out."""

    kind: Kind
    records: int = 0
    refused: int = 0
    marked: int = 0
    others: Counter[str] = field(default_factory=Counter)
    """Records of other kinds."""
    broken: dict[str, Broken] = field(default_factory=dict)
    disagreements: dict[str, Broken] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    whole: Counter[str] = field(default_factory=Counter)
    """Rules about whole batches to the batches that break them."""


def try_out(
    file: Annotated[Path, typer.Argument(help="A suite, such as var/suites/trade.json.")],
    on: Annotated[Path, typer.Option("--on", help="Recorded messages, one a line; `.gz` is unpacked.")],
    kind: KindOption = None,
    gx: Annotated[bool, typer.Option("--gx", help="Have Great Expectations judge them too, and compare.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="Examples shown of each rule.")] = 3,
    exchange: ExchangeOption = None,
) -> None:
    """Try FILE, laid over the shipped rules, on recorded messages: how many break which rule.

    Exit code 0 whatever the records break; 1 for a suite or recording that cannot be used, or when gate and
    Great Expectations disagree.
    """
    if gx and not gx_is_installed():
        raise Misconfigured("great_expectations is not installed here: try it without --gx.")
    recording = MessageFile(on, find_venue(exchange or chosen_settings(None).exchange).codec)
    try:
        suite = read_suite_file(file, kind).suite
        findings = asyncio.run(_judge(suite, recording, gx=gx, limit=limit))
    except SuiteRefused as refused:
        typer.echo("\n".join(refusal_lines(refused)), err=True)
        raise typer.Exit(1) from refused
    except Misconfigured as unreadable:
        typer.echo(escaped(str(unreadable)), err=True)
        raise typer.Exit(1) from unreadable
    for line in _report(suite, findings, recording, gx=gx):
        typer.echo(escaped(line))
    if not findings.records:
        typer.echo(escaped(f"{on} holds no {suite.kind}: nothing was tried."), err=True)
    if not findings.records or findings.disagreements or findings.failures:
        raise typer.Exit(1)


async def _judge(suite: Suite, recording: MessageFile, *, gx: bool, limit: int) -> TrialFindings:
    compiled = compile_suite(suite)
    findings = TrialFindings(suite.kind)
    async with AsyncExitStack() as stack:
        asked = await stack.enter_async_context(great_expectations()) if gx else None
        async for batch in _batches(recording, findings):
            verdicts = [_verdict(compiled, recorded) for recorded in batch]
            _count(findings, compiled.suite, batch, verdicts, limit)
            if asked is not None:
                await _compare(asked, compiled, findings, batch, verdicts, limit)
    return findings


async def _batches(recording: MessageFile, findings: TrialFindings) -> AsyncIterator[list[Recorded]]:
    """Its records of the kind; the others are counted."""
    records = (recorded for recorded in recording if _is_wanted(recorded, findings))
    while batch := list(islice(records, ROWS_MAX)):
        findings.records += len(batch)
        yield batch


def _is_wanted(recorded: Recorded, findings: TrialFindings) -> bool:
    if recorded.kind == findings.kind:
        return True
    findings.others[recorded.kind] += 1
    return False


def _verdict(compiled: CompiledSuite, recorded: Recorded) -> Verdict | None:
    """What the collector would say of a message, where all of it is at hand."""
    if recorded.record is not None:
        return compiled.check(recorded.record)
    return compiled.verdict_of(recorded.values, recorded.reading)


def _count(
    findings: TrialFindings, suite: Suite, batch: Sequence[Recorded], verdicts: Sequence[Verdict | None], limit: int
) -> None:
    columns = _columns_of(suite)
    for recorded, verdict in zip(batch, verdicts, strict=True):
        if verdict is None:
            continue
        findings.refused += bool(verdict.critical)
        findings.marked += bool(verdict.warnings) and not verdict.critical
        for rule in verdict.rules:
            shown = columns.get(rule, DECIMALS[suite.kind])
            findings.broken.setdefault(rule, Broken()).add(recorded, shown, limit)


async def _compare(
    asked: GreatExpectations,
    compiled: CompiledSuite,
    findings: TrialFindings,
    batch: Sequence[Recorded],
    verdicts: Sequence[Verdict | None],
    limit: int,
) -> None:
    with waiting(f"Great Expectations looks at {len(batch):,} records …"):
        report = await asked.validate(compiled.suite, [recorded.values for recorded in batch])
    failed = {failure.rule: failure.message for failure in report.failures}
    findings.failures |= failed
    findings.whole.update(report.broken_as_a_whole)
    columns = _columns_of(compiled.suite)
    gated = {rule.id for rule in compiled.gated}
    for recorded, verdict, broken in zip(batch, verdicts, report.broken, strict=True):
        by_gate = set() if verdict is None else gated.intersection(verdict.rules)
        for rule in sorted(set(broken) - gated):
            findings.broken.setdefault(rule, Broken()).add(recorded, columns[rule], limit)
        for rule in sorted((by_gate ^ gated.intersection(broken)) - failed.keys()):
            findings.disagreements.setdefault(rule, Broken()).add(recorded, columns[rule], limit)


def _columns_of(suite: Suite) -> dict[str, tuple[str, ...]]:
    """Rule to the columns by which its examples are shown."""
    return {rule.id: tuple(dict.fromkeys(columns_named(rule.kwargs))) for rule in suite.rules}


def _example(recorded: Recorded, columns: Sequence[str]) -> str:
    names = dict.fromkeys((*CHANNELS[recorded.kind].identity, *columns))
    values = {name: recorded.value(name) for name in names if not COLUMNS[recorded.kind][name].audit_only}
    shown = " ".join(f"{name}={_text(value)}" for name, value in values.items())
    return f"line {recorded.line}: {shown}"


def _text(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= VALUE_CHARACTERS_MAX else f"{text[:VALUE_CHARACTERS_MAX]}…"


def _report(suite: Suite, findings: TrialFindings, recording: MessageFile, *, gx: bool) -> Iterator[str]:
    rules = {rule.id: rule for rule in suite.rules}
    for name in (*READING_RULES, *rules):
        if name in findings.broken:
            yield from _rule_lines(name, rules.get(name), findings.broken[name])
    for name, batches in findings.whole.items():
        yield f"{name} ({rules[name].severity}, audit): {counted(batches, 'batch')} of records: {rules[name].sentence}"
    passed = findings.records - findings.refused
    yield (
        f"{counted(findings.records, suite.kind)}: {findings.refused:,} refused, "
        f"{passed:,} stored, {findings.marked:,} of these marked."
    )
    yield from _audit_lines(suite, findings, gx=gx)
    others = [f"{counted(count, kind)}" for kind, count in findings.others.items()]
    if others:
        yield f"Not judged by this suite: {', '.join(others)}."
    yield from _skipped_lines(recording.skipped())


def _rule_lines(name: str, rule: Rule | None, broken: Broken) -> Iterator[str]:
    severity = "critical" if rule is None else rule.severity
    sentence = READING_RULES[name] if rule is None else rule.sentence
    judge = "" if rule is None or rule.gated else ", audit"
    yield f"{name} ({severity}{judge}): {broken.count:,} broke it: {sentence}"
    yield from (f"  {example}" for example in broken.examples)


def _audit_lines(suite: Suite, findings: TrialFindings, *, gx: bool) -> Iterator[str]:
    audited = sum(not rule.gated and not rule.disabled for rule in suite.rules)
    if not gx:
        if audited:
            yield f"{counted(audited, 'rule')} of the audit alone: not looked at without --gx."
        return
    for name, broken in findings.disagreements.items():
        yield f"DISAGREEMENT on {name}: gate and Great Expectations differ on {counted(broken.count, 'record')}."
        yield from (f"  {example}" for example in broken.examples)
    for name, message in findings.failures.items():
        yield f"Great Expectations cannot evaluate {name}: {message}"
    if not findings.disagreements and not findings.failures:
        yield "Great Expectations agrees with the gate on every record."


def _skipped_lines(skipped: Sequence[Skipped]) -> Iterator[str]:
    if not skipped:
        return
    total = sum(reason.count for reason in skipped)
    yield f"Left out, being no trade, kline or ticker: {counted(total, 'line')}."
    for reason in skipped:
        detail = f" ({reason.detail})" if reason.detail else ""
        yield f"  {reason.count:,}: {reason.reason}, first in line {reason.line}{detail}"
