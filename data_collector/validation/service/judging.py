"""Judging the records of `/validate`: by the compiled suite here, or by Great Expectations in the worker."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec
from fastapi import HTTPException
from msgspec import Struct

from data_collector.validation.auditing.messages import Failure, Validate, ValidateReport, WorkerFault
from data_collector.validation.gate.compiler import CompiledSuite
from data_collector.validation.gate.rows import values_of_row
from data_collector.validation.rules.columns import Value
from data_collector.validation.rules.suite import Rule
from data_collector.validation.service.bodies import Encoding, Failed, JudgedRecords, NotEvaluated, Result, encoded
from data_collector.validation.service.supervised_worker import SupervisedWorker

SLICE_ROWS: Final = 200
"""Two milliseconds at most; then others have their turn on the loop."""

Outcome = Literal["valid", "invalid"]


class Judged(Struct, frozen=True):
    """An answer, and what to count of it."""

    answer: JudgedRecords
    outcomes: Mapping[Outcome, int]


class _Results:
    """Encoded results, made once for each combination of broken rules."""

    def __init__(self, encoding: Encoding, rules: Sequence[Rule]) -> None:
        self._encoding = encoding
        self._rules = {rule.id: rule for rule in rules}
        self._known: dict[tuple[str, ...], tuple[msgspec.Raw, Outcome]] = {}
        self.raw: list[msgspec.Raw] = []
        self.outcomes: Counter[Outcome] = Counter()

    def add(self, broken: tuple[str, ...]) -> None:
        """The next record's broken rules."""
        found = self._known.get(broken)
        if found is None:
            found = self._known[broken] = self._made(broken)
        self.raw.append(found[0])
        self.outcomes[found[1]] += 1

    def _made(self, broken: tuple[str, ...]) -> tuple[msgspec.Raw, Outcome]:
        failed = [_failed(self._rules[rule]) for rule in broken]
        valid = all(each.severity != "critical" for each in failed)
        return msgspec.Raw(encoded(self._encoding, Result(valid, failed))), "valid" if valid else "invalid"


async def judge_compiled(suite: CompiledSuite, records: Sequence[Struct], encoding: Encoding) -> Judged:
    """By the gate's own functions."""
    results = _Results(encoding, suite.gated)
    for start in range(0, len(records), SLICE_ROWS):
        for record in records[start : start + SLICE_ROWS]:
            verdict = suite.verdict_of(values_of_row(suite.suite.kind, record))
            results.add(() if verdict is None else verdict.rules)
        await asyncio.sleep(0)
    return Judged(JudgedRecords(suite.suite.kind, "compiled", results.raw), results.outcomes)


async def judge_by_gx(
    worker: SupervisedWorker, suite: CompiledSuite, records: Sequence[Struct], encoding: Encoding
) -> Judged:
    """By real Great Expectations. Raises `Transient` when the worker cannot.

    A critical rule that it could not evaluate is 503: whoever reads `valid` alone would be misled. Others are named in
    `not_evaluated`.
    """
    kind = suite.suite.kind
    worker.refuse_when_busy()
    rows: list[list[Value]] = []
    for start in range(0, len(records), SLICE_ROWS):
        rows += [values_of_row(kind, record) for record in records[start : start + SLICE_ROWS]]
        await asyncio.sleep(0)
    report = await worker.ask(Validate(kind, suite.suite.encoded(), rows))
    if isinstance(report, WorkerFault):
        raise HTTPException(500, f"Great Expectations could not check these records: {report.message}")
    assert isinstance(report, ValidateReport), "it is the answer to Validate"
    rules = {rule.id: rule for rule in suite.suite.rules}
    _refuse_without_critical(rules, report.failures)
    results = _Results(encoding, suite.suite.rules)
    for broken in report.broken:
        results.add(tuple(broken))
    failures = [NotEvaluated(failure.rule, failure.message) for failure in report.failures]
    whole = [_failed(rules[rule]) for rule in report.broken_as_a_whole]
    return Judged(JudgedRecords(kind, "gx", results.raw, failures, whole), results.outcomes)


def _failed(rule: Rule) -> Failed:
    return Failed(rule.id, rule.severity, rule.sentence)


def _refuse_without_critical(rules: Mapping[str, Rule], failures: Sequence[Failure]) -> None:
    critical = [each for each in failures if each.rule not in rules or rules[each.rule].severity == "critical"]
    if critical:
        why = "; ".join(f"{failure.rule}: {failure.message}" for failure in critical[:10])
        raise HTTPException(503, f"Great Expectations could not evaluate every critical rule of these records: {why}.")
