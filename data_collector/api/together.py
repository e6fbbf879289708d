"""The states of several collectors as one, and their metrics on one page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeVar

from msgspec import Struct, structs

from data_collector.model.status import (
    AuditStatus,
    Condition,
    HistoryStatus,
    RuleStatus,
    Sample,
    Snapshot,
    ValidationStatus,
)

_CONDITIONS: Final[tuple[Condition, ...]] = ("healthy", "degraded", "unhealthy")
_Word = TypeVar("_Word", bound=str)

COVERAGE: Final = "data_collector_gx_audit_coverage_ratio"


class Counts(Struct, frozen=True):
    """The contract's counters of processes that have ended: a sum that falls would read as a counter begun anew."""

    validated: int = 0
    errors: int = 0
    in_flight: int = 0
    """What went with them, and comes again."""

    def plus(self, last: Snapshot) -> Counts:
        """With those of one more."""
        in_flight = self.awaited_by(last) + last.messages_in_flight
        return Counts(self.validated + last.messages_validated, self.errors + last.validation_errors, in_flight)

    def awaited_by(self, present: Snapshot) -> int:
        """How much of what was in flight the present process has not received: it stays received, and in flight."""
        return max(0, self.in_flight - present.messages_received)


def joined(snapshots: Mapping[str, Snapshot], former: Mapping[str, Counts]) -> Snapshot:
    """As one: the worst condition, reasons with the exchange before them, symbols as keys of the store have them.

    `former` is what processes of each had counted that have ended.
    """
    states = list(snapshots.values())
    ago = [each.last_message_seconds_ago for each in states if each.last_message_seconds_ago is not None]
    first = next((each for each in states if each.store_url is not None), states[0])
    validated = sum(each.messages_validated for each in states) + sum(each.validated for each in former.values())
    errors = sum(each.validation_errors for each in states) + sum(each.errors for each in former.values())
    awaited = sum(former[name].awaited_by(each) for name, each in snapshots.items())
    in_flight = sum(each.messages_in_flight for each in states) + awaited
    return Snapshot(
        condition=max((each.condition for each in states), key=_CONDITIONS.index),
        reasons=[f"{name}: {reason}" for name, each in snapshots.items() for reason in each.reasons],
        ready=all(each.ready for each in states),
        collector_running=all(each.collector_running for each in states),
        symbols=[f"{each.key_prefix}{symbol}" for each in states for symbol in each.symbols],
        uncollected={f"{each.key_prefix}{symbol}": why for each in states for symbol, why in each.uncollected.items()},
        intervals=_united(each.intervals for each in states),
        channels=_united(each.channels for each in states),
        messages_received=validated + errors + in_flight,
        messages_validated=validated,
        validation_errors=errors,
        messages_in_flight=in_flight,
        last_message_seconds_ago=min(ago, default=None),
        store_url=first.store_url,
        redis_url=first.redis_url,
        database_url=first.database_url,
        validation_service_url=first.validation_service_url,
        exchange=",".join(snapshots),
        history=_history(snapshots),
        validation=_validation(snapshots),
        connections=[
            structs.replace(line, line=f"{name}:{line.line}")
            for name, each in snapshots.items()
            for line in each.connections
        ],
        samples=[Sample(COVERAGE, _coverage(states))],
    )


def _united(lists: Iterable[Sequence[_Word]]) -> list[_Word]:
    return list(dict.fromkeys(word for words in lists for word in words))


def _coverage(states: Sequence[Snapshot]) -> float:
    """Of all records together."""
    validated = sum(each.messages_validated for each in states)
    checked = sum(
        sample.value * each.messages_validated for each in states for sample in each.samples if sample.name == COVERAGE
    )
    return checked / validated if validated else 0.0


def _validation(snapshots: Mapping[str, Snapshot]) -> ValidationStatus:
    """Each rule once, with sums; what one exchange has otherwise than the first has its name before it."""
    known = {name: each.validation for name, each in snapshots.items()}
    suites: dict[str, str] = {}
    rules: dict[tuple[str, str], RuleStatus] = {}
    for name, each in known.items():
        for kind, digest in each.suites.items():
            suites[kind if suites.get(kind, digest) == digest else f"{name}:{kind}"] = digest
        for rule in each.rules:
            before = rules.get((rule.kind, rule.rule))
            rules[rule.kind, rule.rule] = rule if before is None else structs.replace(
                before, broken=before.broken + rule.broken,
                broken_in_audit=before.broken_in_audit + rule.broken_in_audit,
            )  # fmt: skip
    faults = [f"{name}: {fault}" for name, each in known.items() for fault in each.faults]
    return ValidationStatus(suites, faults, list(rules.values()), _audit(snapshots))


def _audit(snapshots: Mapping[str, Snapshot]) -> AuditStatus:
    """The worst, and the sums."""
    known = {name: each.validation.audit for name, each in snapshots.items()}
    audits = list(known.values())
    state = max((each.state for each in audits), key=("off", "running", "down").index)
    reasons = [f"{name}: {each.reason}" for name, each in known.items() if each.reason is not None]
    nexts = [each.next_seconds for each in audits if each.next_seconds is not None]
    return AuditStatus(
        state=state,
        reason="; ".join(reasons) or None,
        coverage=_coverage(list(snapshots.values())),
        rows=_sums(each.rows for each in audits),
        waiting=sum(each.waiting for each in audits),
        oldest_seconds=max(each.oldest_seconds for each in audits),
        skipped=_sums(each.skipped for each in audits),
        disagreements=_sums(each.disagreements for each in audits),
        failures={f"{name}:{rule}": why for name, each in known.items() for rule, why in each.failures.items()},
        every_seconds=max((each.every_seconds for each in audits if each.every_seconds is not None), default=None),
        next_seconds=min(nexts, default=None),
        waiting_bytes=sum(each.waiting_bytes for each in audits),
        pairs=sum(each.pairs for each in audits),
        evaluated=sum(each.evaluated for each in audits),
    )


def _sums(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return dict(total)


def _history(snapshots: Mapping[str, Snapshot]) -> HistoryStatus:
    """The worst, and the sums."""
    known = {name: each.history for name, each in snapshots.items()}
    on = [each for each in known.values() if each.state != "off"]
    if not on:
        return HistoryStatus()
    down = [f"{name}: {each.reason}" for name, each in known.items() if each.state == "down"]
    entries = [each.lag_entries for each in on]
    rows = _sums(each.rows for each in on)
    return HistoryStatus(
        state="down" if down else "running",
        reason="; ".join(down) or None,
        database=on[0].database,
        rows={channel: rows[channel] for channel in on[0].rows},
        replaced=sum(each.replaced for each in on),
        refused={
            f"{snapshots[name].key_prefix}{symbol}": why
            for name, each in known.items()
            for symbol, why in each.refused.items()
        },
        lag_seconds=max(each.lag_seconds for each in on),
        lag_entries=None if None in entries else sum(number for number in entries if number is not None),
        restarts=sum(each.restarts for each in on),
    )
