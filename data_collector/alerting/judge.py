"""Which alerts hold now: each is pending until it has held long enough, then it has begun, until it has ended."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

from msgspec import Struct, structs

from data_collector.alerting.evaluation import evaluate
from data_collector.alerting.promql import Expression, OverTime, Selector, parse, selectors
from data_collector.alerting.rules import ALERTS, Alert, Severity
from data_collector.alerting.series import KeptSeries, Labels, SeriesTable
from data_collector.alerting.wording import told

Page: TypeAlias = Iterable[tuple[str, Mapping[str, str], float]]
"""Name, labels and value of each series that there is now."""

SETTLE_S: Final = 120.0
"""So long after a start nothing ends that had begun before: what tells of it may not be on the page yet."""

FIRING_MAX: Final = 500
"""Alerts times exchanges and channels are fewer; beyond, the newest are not begun."""


class Firing(Struct, frozen=True):
    """An alert that has begun, of one set of labels."""

    alert: str
    severity: Severity
    labels: Labels
    summary: str
    """With the newest value."""
    since_s: float
    """Unix time from which on it has held."""

    @property
    def key(self) -> str:
        """What makes it this one and no other."""
        return ",".join((self.alert, *(f"{name}={text}" for name, text in self.labels)))


class Change(Struct, frozen=True):
    """An alert has begun, or, where `ended` is true, ended."""

    firing: Firing
    at_s: float
    ended: bool


class KeptJudge(Struct):
    """For the file that outlives the process."""

    firing: list[Firing] = []
    series: list[KeptSeries] = []
    """Those that are read to see restarts: of them, alone, the past tells something that is not on the page."""


class Judge:
    """Held against one page after the other; `judge` returns what has changed."""

    def __init__(self, alerts: Iterable[Alert] = ALERTS, kept: KeptJudge | None = None) -> None:
        self._rules = [(alert, parse(alert.expr)) for alert in alerts]
        series = [each for _, tree in self._rules for each in selectors(tree)]
        self._table = SeriesTable(series)
        self._restarts = {each.name for _, tree in self._rules for each in _watched_for_restarts(tree)}
        self._pending: dict[tuple[str, Labels], float] = {}
        """Since when."""
        self._firing: dict[tuple[str, Labels], Firing] = {}
        self._began_s: float | None = None
        if kept is not None:
            self._table.restore(kept.series)
            names = {alert.name for alert, _ in self._rules}
            self._firing = {(each.alert, each.labels): each for each in kept.firing if each.alert in names}
        self._restored = set(self._firing)

    @property
    def firing(self) -> list[Firing]:
        """Those that have begun and not ended, oldest first."""
        return sorted(self._firing.values(), key=lambda each: each.since_s)

    @property
    def pending(self) -> list[tuple[str, Labels, float]]:
        """Name, labels and since when, of those that hold and have not begun."""
        return [(name, labels, since_s) for (name, labels), since_s in self._pending.items()]

    def kept(self) -> KeptJudge:
        """For the next process."""
        return KeptJudge(self.firing, self._table.kept(sorted(self._restarts)))

    def begin(self, alert: Alert, labels: Labels, at_s: float, summary: str) -> Change:
        """Let one begin that no page can tell any more."""
        firing = Firing(alert.name, alert.severity, labels, summary, at_s)
        self._firing[alert.name, labels] = firing
        return Change(firing, at_s, ended=False)

    def judge(self, page: Page, now_s: float) -> list[Change]:
        """Take the page of this moment in; the changes that follow from it, the worst first."""
        self._began_s = now_s if self._began_s is None else self._began_s
        if now_s - self._began_s >= SETTLE_S:
            self._restored.clear()
        self._table.add(now_s, page)
        changes: list[Change] = []
        for alert, tree in self._rules:
            found = evaluate(tree, self._table, now_s)
            holds = {k: v for k, v in found.items() if not math.isnan(v)} if isinstance(found, dict) else {}
            changes += self._begun(alert, holds, now_s)
            changes += self._ended(alert, holds, now_s)
            self._pending = {
                key: since_s for key, since_s in self._pending.items() if key[0] != alert.name or key[1] in holds
            }
        return sorted(changes, key=lambda each: (each.ended, each.firing.severity))

    def _begun(self, alert: Alert, holds: Mapping[Labels, float], now_s: float) -> list[Change]:
        changes = []
        for labels, value in holds.items():
            key = (alert.name, labels)
            summary = told(alert.summary, dict(labels), value)
            if key in self._firing:
                self._firing[key] = structs.replace(self._firing[key], summary=summary)
                continue
            since_s = self._pending.setdefault(key, now_s)
            if now_s - since_s >= alert.for_s and len(self._firing) < FIRING_MAX:
                del self._pending[key]
                self._firing[key] = Firing(alert.name, alert.severity, labels, summary, since_s)
                changes.append(Change(self._firing[key], now_s, ended=False))
        return changes

    def _ended(self, alert: Alert, holds: Mapping[Labels, float], now_s: float) -> list[Change]:
        of_alert = (key for key in self._firing if key[0] == alert.name)
        over = [key for key in of_alert if key[1] not in holds and key not in self._restored]
        return [Change(self._firing.pop(key), now_s, ended=True) for key in over]


def _watched_for_restarts(tree: Expression) -> list[Selector]:
    """What is asked how often it changes."""
    match tree:
        case OverTime(function="changes", series=series):
            return [series]
        case Selector():
            return []
    children = [getattr(tree, name) for name in ("of", "left", "right") if hasattr(tree, name)]
    return [each for child in children for each in _watched_for_restarts(child)]
