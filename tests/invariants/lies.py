"""Holds what is said against what is so. Pure.

What `trades:` and `stream:` hold is the exchange's, or explained in `gaps:`; else nothing is healthy, nothing of it is
proven, and the page answers no yes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from tests.invariants.said import Said

FLOWING = ("Yes", "Quiet")
"""What the page may answer to Live? where nothing is wrong."""

WHOLE = ("Yes", "Not fully")
"""And to Complete?: what the exchange withholds is declared."""


@dataclass(frozen=True)
class Fault:
    """What the store does not have as the exchange has it, and no gap explains."""

    symbol: str
    what: str
    """For whoever looks for the cause."""
    interval: str = ""
    """Of klines."""
    is_counted: bool = True
    """Whether counting finds it: something is missing or too much. A candle with another price is in its place."""


def lies(said: Said, faults: Collection[Fault]) -> list[str]:
    """Every disagreement, as a sentence."""
    return [*_of_faults(said, faults), *_of_the_page(said)]


def moans(said: Said, *, excused: Collection[str] = (), lost: bool = False) -> list[str]:
    """What is said to be wrong although all is well again; `lost`: what the exchange withheld for good is declared."""
    reasons = [reason for reason in said.reasons if not any(words in reason for words in excused)]
    found = [f"not healthy: {reason}" for reason in reasons]
    found += [f"trades of {symbol} are not proven" for symbol, row in said.rows.items() if not row.proven]
    found += [f"klines of {series} are not proven" for series, is_proven in said.klines_proven.items() if not is_proven]
    if said.page.live.answer not in FLOWING:
        found.append(f"Live? {said.page.live.answer}: {said.page.live.reason}")
    if said.page.complete.answer not in (*WHOLE, *(("No",) if lost else ())):
        found.append(f"Complete? {said.page.complete.answer}: {said.page.complete.reason}")
    return found


def _of_faults(said: Said, faults: Collection[Fault]) -> Iterator[str]:
    for fault in faults:
        series = f"{fault.symbol} {fault.interval}".strip()
        if said.is_healthy:
            yield f"/health is healthy, and {series}: {fault.what}"
        if not fault.is_counted:
            continue
        if fault.interval:
            if said.klines_proven.get(series):
                yield f"/completeness proves the klines of {series}: {fault.what}"
        elif said.rows[fault.symbol].proven:
            yield f"/completeness proves the trades of {series}: {fault.what}"
        if not fault.interval and said.page.complete.answer == "Yes":
            yield f"the page says complete, and {series}: {fault.what}"


def _of_the_page(said: Said) -> Iterator[str]:
    page, rows = said.page, said.rows.values()
    if page.live.answer == "Yes" and (said.condition == "unhealthy" or not said.running):
        yield f"the page says live, and /health {said.condition}: {said.reasons}"
    whole = all(row.proven and row.percentage == 100 for row in rows if row.percentage is not None)
    if page.complete.answer == "Yes" and (said.open_gaps or not whole):
        yield f"the page says complete, with {said.open_gaps} open gaps and {list(rows)}"
    if page.valid.answer == "Yes" and said.refused:
        yield f"the page says valid, and {said.refused} messages were refused"
