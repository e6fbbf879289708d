"""What the audits have found so far: counts for the metrics page, and disagreements that somebody must look at."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b
from typing import Final

from data_collector.observe.counters import Counters
from data_collector.observe.logs import get_log
from data_collector.validation.auditing.messages import AuditReport, Disagreement, Failure
from data_collector.validation.rules.columns import Kind

ANSWERS_KEPT: Final = 32
"""A collector has one request under way."""

_log = get_log()


class Findings:
    """A disagreement is remembered until the suite of its kind changes; counts go on from the start of the process.

    What anybody may have sent is counted apart, and degrades nothing: it may be forged.
    """

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._disagreements: dict[tuple[Kind, str], Disagreement] = {}
        self.audits = 0
        self._answers: OrderedDict[bytes, bytes] = OrderedDict()

    def remember(self, body: bytes, answer: bytes, *, is_ours: bool) -> None:
        """What a request was answered with; the last `ANSWERS_KEPT` are known."""
        self._answers[_name_of(body, is_ours=is_ours)] = answer
        if len(self._answers) > ANSWERS_KEPT:
            self._answers.popitem(last=False)

    def answer_to(self, body: bytes, *, is_ours: bool) -> bytes | None:
        """The answer to the very same request, if it has been answered."""
        return self._answers.get(_name_of(body, is_ours=is_ours))

    def add(self, report: AuditReport, *, is_ours: bool) -> None:
        """One audit has been done."""
        self.audits += 1
        count = self._counters
        count.add("data_validation_audit_seconds_total", report.seconds)
        count.set("data_validation_worker_memory_bytes", report.memory_bytes)
        for kind, rows in report.rows.items():
            accepted = report.accepted.get(kind, 0)
            count.add("data_validation_audit_rows_total", accepted, kind=kind, outcome="accepted")
            count.add("data_validation_audit_rows_total", rows - accepted, kind=kind, outcome="refused")
        for kind, broken in report.broken.items():
            for rule, times in broken.items():
                count.add("data_validation_rules_broken_total", times, kind=kind, rule=rule)
        self.add_failures(report.failures)
        for disagreement in report.disagreements:
            self._add_disagreement(disagreement, is_ours=is_ours)

    def add_failures(self, failures: list[Failure]) -> None:
        """Rules that Great Expectations could not evaluate."""
        for failure in failures:
            self._counters.add("data_validation_failures_total", kind=failure.kind, rule=failure.rule)

    def suite_changed(self, kind: Kind) -> None:
        """Other rules are in force: what the old ones were found to do is the past."""
        for key in [key for key in self._disagreements if key[0] == kind]:
            del self._disagreements[key]

    def reasons(self) -> list[str]:
        """Sentences for `/health`."""
        return [
            f"The gate and Great Expectations disagree on the rule {rule} of {kind}: this is a bug, please report it."
            for kind, rule in sorted(self._disagreements)
        ]

    def _add_disagreement(self, found: Disagreement, *, is_ours: bool) -> None:
        rows = found.gate_only + found.gx_only
        if not is_ours:
            self._counters.add("data_validation_disagreements_outside_total", rows, kind=found.kind, rule=found.rule)
            return
        self._counters.add("data_validation_disagreements_total", rows, kind=found.kind, rule=found.rule)
        if (found.kind, found.rule) not in self._disagreements:
            _log.error(
                "gate_and_gx_disagree", kind=found.kind, rule=found.rule, gate_only=found.gate_only,
                gx_only=found.gx_only, sample=found.sample,
            )  # fmt: skip
        self._disagreements[found.kind, found.rule] = found


def _name_of(body: bytes, *, is_ours: bool) -> bytes:
    return blake2b(body, person=b"ours" if is_ours else b"outside").digest()
