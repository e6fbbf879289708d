"""The report of a run: what was asked, what struck, what was found, and section figures beside what is aimed at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.soak.findings import EXAMPLES_MAX
from tests.soak.scene import Scene
from tests.soak.storm import Storm

MIB = 2**20

TARGETS = {
    "kill-one": "p99 <= 0.3 s, median <= 0.05 s",
    "kill-all": "<= 2 s",
    "restart": "p99 <= 0.3 s",
    "kill-primary": "<= 1 s after it accepts writes",
    "fail-over": "<= 1 s after it accepts writes",
    "fail-over-writes-lost": "<= 2 s",
    "split-brain": "<= 2 s",
    "flushall": "1 M trades in <= 10 s",
    "flushall-functions-too": "1 M trades in <= 10 s",
    "del-trades": "1 M trades in <= 10 s",
    "frames-dropped": "p99 <= 1.5 s",
}
"""Aims for the time from the end of a fault until the store has passed the exchange's head of that moment."""

TABLE_HEAD = (
    "| date | seed | server | minutes | trades | klines | faults | lost | doubled | changed | klines wrong | unsettled "
    "| collectors' peak | command |"
)


@dataclass(frozen=True, slots=True)
class Result:
    """What a run came to."""

    scene: Scene
    storm: Storm
    seconds: float

    @property
    def trades(self) -> int:
        """How many trades readers have seen."""
        return sum(oracle.followed for oracle in self.scene.trades)

    @property
    def klines(self) -> int:
        """How many closed klines were held against the truth."""
        return sum(oracle.checked for oracle in self.scene.klines)

    @property
    def faults(self) -> int:
        """How many faults struck."""
        return self.storm.struck.total()

    @property
    def peak_bytes(self) -> int:
        """The largest resident memory of a collector."""
        return max(collector.peak_bytes for collector in self.scene.collectors)


def report_of(result: Result) -> str:
    """For the terminal."""
    return "\n".join([*_summary(result), "", *_recoveries(result), "", *_repairs(result), *_examples(result)])


def table_line(result: Result) -> str:
    """For the table in docs/soak.md."""
    found, plan = result.scene.findings, result.scene.plan
    wrong = len(found.klines_lost) + len(found.klines_doubled) + len(found.klines_changed)
    cells = (
        datetime.now(UTC).date().isoformat(), plan.seed, plan.server, f"{result.seconds / 60:.1f}",
        f"{result.trades:,}", f"{result.klines:,}", f"{result.faults:,}", len(found.lost), len(found.doubled),
        len(found.changed), wrong, found.unsettled.total(), f"{result.peak_bytes / MIB:.0f} MiB", f"`{plan.command}`",
    )  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"


def publish(result: Result, document: Path) -> None:
    """Append the line to the document's table, which is its last."""
    lines = document.read_text(encoding="utf-8").rstrip("\n").splitlines()
    head = lines.index(TABLE_HEAD)
    end = next((number for number in range(head, len(lines)) if not lines[number].startswith("|")), len(lines))
    lines.insert(end, table_line(result))
    document.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _summary(result: Result) -> Iterator[str]:
    scene, found = result.scene, result.scene.findings
    yield f"seed {scene.plan.seed}, {scene.plan.server}, {len(scene.collectors)} collectors, {result.seconds:.0f} s"
    yield f"{result.trades:,} trades and {result.klines:,} closed klines seen, {result.faults:,} faults"
    yield (
        f"lost {len(found.lost):,}, doubled {len(found.doubled):,}, changed {len(found.changed):,}; closed klines lost "
        f"{len(found.klines_lost)}, doubled {len(found.klines_doubled)}, changed {len(found.klines_changed)}"
    )
    yield f"lies: {len(found.lies)}"
    yield f"false entries of gaps: {len(found.gaps_false)}; rounds that did not settle: {dict(found.unsettled) or 0}"
    read = scene.read
    yield (
        f"reader: {read.entries:,} entries, {read.again:,} of them again after {read.reconnects} lost connections, "
        f"{len(read.faults)} faults"
    )
    yield f"collectors: at most {result.peak_bytes / MIB:.0f} MiB, {sum(c.starts for c in scene.collectors)} starts"
    ends = Counter(code for collector in scene.collectors for code in collector.ends)
    if ends:
        yield f"  ended by themselves, by exit code: {dict(ends)}"


def _recoveries(result: Result) -> Iterator[str]:
    yield f"{'fault':26}{'struck':>8}{'measured':>10}{'p50 s':>9}{'p99 s':>9}{'over 30 s':>11}   aim"
    measured = result.storm.recoveries
    for kind, count in sorted(result.storm.struck.items(), key=lambda item: (-item[1], item[0])):
        times = f"{0:>10}{'':>9}{'':>9}"
        if measured.seconds.get(kind):
            median, worst = measured.quantile(kind, 0.5), measured.quantile(kind, 0.99)
            times = f"{len(measured.seconds[kind]):>10}{median:>9.3f}{worst:>9.3f}"
        failed = measured.failed.get(kind, 0)
        yield f"{kind:26}{count:>8}{times}{failed:>11}   {TARGETS.get(kind, '')}".rstrip()


def _repairs(result: Result) -> Iterator[str]:
    totals: Counter[str] = Counter()
    for collector in result.scene.collectors:
        totals.update({name: round(value) for name, value in collector.counters().items()})
    yield "repairs that the collectors told of (what was killed, up to a second before its end):"
    yield from (f"  {name:72}{count:>12,}" for name, count in sorted(totals.items()) if count)
    declared: Counter[str] = Counter()
    for each in result.scene.oracles:
        declared.update(each.gaps.declared)
    yield "records in ranges of gaps: " + (", ".join(f"{what} {n:,}" for what, n in sorted(declared.items())) or "none")


def _examples(result: Result) -> Iterator[str]:
    found = result.scene.findings
    if not found.is_clean:
        yield ""
        yield "found:"
        yield from (f"  {lie}" for lie in sorted(found.lies)[:EXAMPLES_MAX])
        yield from (f"  {sentence}" for sentence in (*found.examples, *result.scene.read.faults[:10]))
        yield f"the same faults again: {result.scene.plan.command}"
