"""What the oracle has found wrong. A run is red when any of it is not zero."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

EXAMPLES_MAX = 40
HOPELESS = 1_000_000
"""Wrong trades; each is remembered."""


@dataclass(slots=True)
class Findings:
    """Trades are counted once each, however often they are looked at."""

    lost: set[tuple[str, int]] = field(default_factory=set)
    """Trades of the exchange that are not in the stream although later ones are."""
    doubled: set[tuple[str, int]] = field(default_factory=set)
    """Trades that stand in the stream twice, or after a later one."""
    changed: set[tuple[str, int]] = field(default_factory=set)
    """Trades whose content or entry id is not the exchange's, or that the exchange never had."""
    klines_lost: set[tuple[str, str, int]] = field(default_factory=set)
    """By symbol, interval and open time: not in the stream although a later one of the interval is."""
    klines_doubled: set[tuple[str, str, int]] = field(default_factory=set)
    klines_changed: set[tuple[str, str, int]] = field(default_factory=set)
    gaps_false: set[str] = field(default_factory=set)
    """Entries of `gaps:` about what the stream holds, or `absent` about what the exchange has."""
    lies: set[str] = field(default_factory=set)
    """What was said and was not so."""
    planted: frozenset[str] = frozenset()
    """Texts of a stranger, who may write them beside what is ours."""
    reader_faults: int = 0
    """What the reader, a process that knows nothing of the truth, has met: see `tests.soak.reader`."""
    unsettled: Counter[str] = field(default_factory=Counter)
    """Rounds after which the store did not reach the exchange's head in time, by what it lacked."""
    examples: list[str] = field(default_factory=list)
    """Sentences for whoever looks for the cause."""

    @property
    def is_clean(self) -> bool:
        """Whether nothing at all was found."""
        wrong = (
            self.lost, self.doubled, self.changed, self.klines_lost, self.klines_doubled, self.klines_changed,
            self.gaps_false, self.lies,
        )  # fmt: skip
        return not any(wrong) and not self.reader_faults and not self.unsettled

    @property
    def is_hopeless(self) -> bool:
        """Whether there is nothing left to be learned from going on."""
        return len(self.lost) + len(self.doubled) + len(self.changed) > HOPELESS

    def explain(self, name: str, ids: range) -> None:
        """These trades of a symbol are not lost: it is told what became of them."""
        self.lost = {each for each in self.lost if each[0] != name or each[1] not in ids}

    def lie(self, sentence: str) -> None:
        """Something was said that is not so; once each."""
        self.lies.add(sentence)

    def tell(self, sentence: str) -> None:
        """Keep the first few."""
        if len(self.examples) < EXAMPLES_MAX:
            self.examples.append(f"{datetime.now(UTC).isoformat(timespec='milliseconds')} {sentence}")
