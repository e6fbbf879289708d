"""What a backfill tells while it runs; one JSON object each with `--json`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from msgspec import Struct, field

from data_collector.history.ports import Stored


class SeriesPlanned(Struct, frozen=True):
    """One row of the plan."""

    series: str
    rows: int
    requests: int
    weight: int


class Planned(Struct, frozen=True, tag="plan", tag_field="event"):
    """Before anything is fetched."""

    series: tuple[SeriesPlanned, ...]
    rows: int
    requests: int
    weight: int
    seconds: float
    """About how long it takes, within the request weight that is not kept for the live feed."""
    source: str


class Progressed(Struct, frozen=True, tag="progress", tag_field="event"):
    """A chunk is in the database: what is told here needs not be fetched again."""

    series: str
    done: int
    """Of the planned rows: stored, or known not to exist."""
    rows: int
    added: int
    absent: int


class Waiting(Struct, frozen=True, tag="retry", tag_field="event"):
    """Something did not work and is tried again, or has no answer yet."""

    series: str
    reason: str
    wait_s: float
    """0 while it is waited for the answer."""


class FileRefused(Struct, frozen=True, tag="file_refused", tag_field="event"):
    """A bulk file of which nothing was taken, or not all."""

    series: str
    file: str
    reason: str


class OddCandle(Struct, frozen=True, tag="odd_candle", tag_field="event"):
    """The exchange has something that is no candle of the interval: refused."""

    series: str
    opens: str
    closes: str
    source: str


ODD_TOLD = 20
"""Of one series; all of them are counted."""


Outcome = Literal["complete", "incomplete", "failed", "stopped"]
"""`incomplete`: the exchange gave neither the rows nor a proof that there are none."""


class SeriesEnded(Struct, tag="series", tag_field="event"):
    """What became of one series."""

    series: str
    rows: int
    """Planned."""
    outcome: Outcome = "complete"
    added: int = 0
    changed: int = 0
    """Of those that somebody else wrote meanwhile: differed, and the other values are kept as revisions."""
    known: int = 0
    """Written by somebody else meanwhile."""
    absent: int = 0
    """The exchange itself has none: recorded, and not asked for again."""
    unproven: int = 0
    """Neither there nor proven absent."""
    reason: str = ""
    """Why it failed."""
    files_refused: int = 0
    odd: int = 0
    """Of those that were refused: the exchange has a candle there that is not whole."""
    refused: int = 0
    """Validation refused it: kept in quarantine, declared as a hole, and not asked for again."""
    refused_by: dict[str, int] = field(default_factory=dict)
    """Rule to rows that broke it; a row may break several."""

    @property
    def done(self) -> int:
        return self.added + self.changed + self.known + self.absent + self.unproven + self.refused

    def take(self, stored: Stored) -> None:
        """What became of the rows of one call."""
        self.added += stored.added
        self.changed += stored.changed
        self.known += stored.known
        for rules, count in stored.refused.items():
            self.refused += count
            for rule in rules:
                self.refused_by[rule] = self.refused_by.get(rule, 0) + count

    def progress(self) -> Progressed:
        """How far it is now."""
        return Progressed(self.series, self.done, self.rows, self.added, self.absent)


class GxCheck(Struct, frozen=True):
    """What real Great Expectations said of the rows that came, refused ones too."""

    rows: int
    """That came."""
    checked: int
    reason: str | None = None
    """Why not all of them were checked."""
    broken: dict[str, int] = field(default_factory=dict)
    """`kline/close_outlier` to rows that broke it, for the gate or for Great Expectations."""
    disagreements: dict[str, int] = field(default_factory=dict)
    """Rule to rows of which gate and Great Expectations say different things: a bug of ours."""
    failures: dict[str, str] = field(default_factory=dict)
    """Rule to why it could not be evaluated."""
    unevaluated: int = 0
    """Pairs of a rule and a row that it is about that it did not look at."""

    def sentences(self) -> list[str]:
        """For people."""
        why = "" if self.reason is None or self.checked == self.rows else f": {self.reason.rstrip('.')}"
        told = [f"Great Expectations checked {self.checked:,} of {self.rows:,} row{'s' * (self.rows != 1)}{why}."]
        if self.broken:
            told.append(f"Rules that rows broke: {by_count(self.broken)}.")
        if self.disagreements:
            told.append(f"Gate and Great Expectations disagree, a bug of ours: {by_count(self.disagreements)}.")
        if self.unevaluated:
            told.append(f"Great Expectations left out {self.unevaluated:,} pairs of a rule and a row that it is about.")
        failures = self.failures.items()
        return told + [f"Great Expectations cannot evaluate rule {rule}: {message}" for rule, message in failures]


def by_count(counts: Mapping[str, int]) -> str:
    """Rules and how many rows broke each: `high_not_below_low 2, volume_not_negative 1`."""
    most_first = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{name} {count:,}" for name, count in most_first) or "by which rule is not known"


class Ended(Struct, frozen=True, tag="summary", tag_field="event"):
    """The last thing told."""

    outcome: Outcome
    """The worst of all series."""
    series: int
    """How many."""
    added: int
    changed: int
    absent: int
    odd: int
    unproven: int
    failed: int
    """Series that failed."""
    seconds: float
    reports: tuple[SeriesEnded, ...]
    refused: int = 0
    refused_by: dict[str, int] = field(default_factory=dict)
    """Rule to rows that broke it."""
    gx: GxCheck | None = None
    """None when no row came."""


Event = Planned | Progressed | Waiting | FileRefused | OddCandle | SeriesEnded | Ended

Tell = Callable[[Event], None]
