"""The gate: compiled suites, which every record must pass before it is stored. Immutable; a change makes a new one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from data_collector.model.gate import Verdict
from data_collector.model.records import Record
from data_collector.validation.gate.compiler import READING_RULES, CompiledSuite, compile_suite
from data_collector.validation.rules.columns import KINDS, Checked, Kind, kind_of
from data_collector.validation.rules.suite import Suite

ORDER_RULES: Final = {
    "kline_conflict": "Two copies of the closed candle contradict each other. The exchange is asked.",
    "trade_id_conflict": "Two copies of the trade contradict each other. The first one is stored.",
    "trade_id_jump": "The trade id is more than 2,000,000 ahead of the one before, and no second trade confirms it.",
    "event_time_jump": "The message is of a time that has not come, by all that tells the exchange's time beside it.",
}
"""Rules of the pipeline: what came before decides, not the record alone."""


class CompiledGate:
    """The `Gate` of the pipeline."""

    def __init__(self, suites: Mapping[Kind, CompiledSuite]) -> None:
        self.suites = dict(suites)
        self.check_trade = suites["trade"].check
        self._sentences = {
            kind: READING_RULES | ORDER_RULES | {rule.id: rule.sentence for rule in compiled.suite.rules}
            for kind, compiled in suites.items()
        }

    def check(self, record: Record) -> Verdict | None:
        """The verdict on any record; None where nothing is broken, or no suite is about it."""
        return self.suites[kind_of(record)].check(record) if isinstance(record, Checked) else None

    def sentences(self, record: Record, rules: Sequence[str]) -> list[dict[str, str]]:
        """The rules that a record broke as users read them in quarantine: [{"rule", "message"}]."""
        known = self._sentences[kind_of(record)] if isinstance(record, Checked) else ORDER_RULES
        return [{"rule": rule, "message": known.get(rule, rule)} for rule in rules]


def gate_of(suites: Mapping[Kind, Suite]) -> CompiledGate:
    """Compile suites of all kinds into a gate."""
    return CompiledGate({kind: compile_suite(suites[kind]) for kind in KINDS})
