"""What the compiled suites say, and how much of it was compared. Great Expectations is not imported here."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from data_collector.validation.gate.compiler import CompiledSuite
from data_collector.validation.rules.columns import Checked, Value


class Tally(Struct):
    """Counts of a session."""

    examples: int = 0
    rule_batches: int = 0
    rows: int = 0
    broken: int = 0
    """Pairs of a rule and a row that breaks it."""

    def sentence(self) -> str:
        """For the end of a run."""
        return (
            f"Compared with Great Expectations: {self.examples} examples, {self.rule_batches} rule-batches, "
            f"{self.rows} rows, {self.broken} broken rules"
        )


def broken_by_gate(compiled: CompiledSuite, rows: Sequence[Sequence[Value]]) -> list[set[str]]:
    """Per row the rules that the compiled suite finds broken."""
    return [{compiled.gated[position].id for position in compiled.failed(*row)} for row in rows]


def broken_by_check(compiled: CompiledSuite, records: Sequence[Checked]) -> list[set[str]]:
    """The same of decoded records, without what is found while numbers are read: the suite has no rule about that."""
    known = {rule.id for rule in compiled.gated}
    verdicts = [compiled.check(record) for record in records]
    return [set(verdict.rules) & known if verdict is not None else set() for verdict in verdicts]
