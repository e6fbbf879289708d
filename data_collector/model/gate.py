"""What decides whether a record may pass, and what it says of one that breaks a rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

from data_collector.model.records import Kline, Record, Trade


class Verdict(Struct, frozen=True):
    """Ids of the broken rules by severity; None stands for a record that breaks none. It may pass with warnings."""

    critical: tuple[str, ...] = ()
    """Any of these refuses the record."""
    warnings: tuple[str, ...] = ()
    """These mark it."""
    infos: tuple[str, ...] = ()
    """These are counted."""
    readable: bool = True
    """False when a price or quantity is no decimal number: such a record cannot be written as JSON."""

    @property
    def rules(self) -> tuple[str, ...]:
        """All of them."""
        return self.critical + self.warnings + self.infos


NOT_WHOLE = "close_time_fits"
OFF_GRID = "open_time_off_grid"
"""The rules for what is no whole kline, where it breaks none of those in force. A calendar alone cannot tell that weeks
open on the midnights on which others did."""


def verdict_of_odd(verdict: Verdict | None, kline: Kline, place: int) -> Verdict:
    """Why what the exchange has in the `place` of a whole kline may not pass."""
    if verdict is not None and verdict.critical:
        return verdict
    return Verdict((NOT_WHOLE,) if kline.open_ms == place else (OFF_GRID,))


class Gate(Protocol):
    """Decides whether a record may pass. Pure, synchronous and immutable: other rules are another gate."""

    @property
    def check_trade(self) -> Callable[[Trade], Verdict | None]:
        """`check` for trades alone, which are nine of ten records."""

    def check(self, record: Record) -> Verdict | None:
        """Which rules it breaks; None when it breaks none."""

    def sentences(self, record: Record, rules: Sequence[str]) -> list[dict[str, str]]:
        """The rules that a record broke as people read them: [{"rule", "message"}]."""


class AuditNotes(Protocol):
    """Takes note of every message that the gate judged, so that real Great Expectations can check it later."""

    @property
    def note_trade(self) -> Callable[[Trade], None]:
        """A trade that broke no rule and was stored in its place: nine of ten messages."""

    def note(self, record: Record, verdict: Verdict | None, *, accepted: bool = True, late: bool = False) -> None:
        """Any other message: `accepted` when it was stored, `late` when its place had been passed."""
