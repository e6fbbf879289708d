"""What time it is, for a command that asks the exchange's REST side alone."""

from __future__ import annotations

import time

import typer

AHEAD_MS = 60_000
"""By so much more than this machine's clock the exchange's is not believed alone."""


def agreed_now_ms(theirs_ms: int) -> int:
    """The exchange's clock, or this machine's where that is earlier: what still runs by one of them is not final."""
    ours_ms = round(time.time() * 1000)
    if theirs_ms - ours_ms <= AHEAD_MS:
        return theirs_ms
    typer.echo(
        f"The exchange's clock is {(theirs_ms - ours_ms) // 1000:,} s ahead of this machine's: what is younger than "
        "that is left out. Look at `data-collector doctor`, and set this clock if it is the wrong one.",
        err=True,
    )
    return ours_ms
