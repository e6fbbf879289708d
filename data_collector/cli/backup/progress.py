"""How far a backup is: bars on a terminal, lines elsewhere, both on the side of errors."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from data_collector.service.backup.copying import Tell

PLAIN_STEP = 0.25
"""How much of a part lies between two lines of a progress that no terminal shows."""


@contextmanager
def progress(*, quiet: bool) -> Iterator[Tell]:
    """`quiet` tells nothing where no terminal is."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _nothing if quiet else _plain_lines()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def tell(part: str, share: float) -> None:
            if part not in tasks:
                tasks[part] = bars.add_task(part, total=1.0)
            bars.update(tasks[part], completed=share)

        yield tell


@contextmanager
def told_when_stopped(sentence: str) -> Iterator[None]:
    """Ctrl-C says what has become of it."""
    try:
        yield
    except KeyboardInterrupt:
        print(f"\nStopped. {sentence}", file=sys.stderr, flush=True)
        raise


def _nothing(part: str, share: float) -> None:
    """Nobody looks."""


def _plain_lines() -> Tell:
    shown: dict[str, float] = {}

    def tell(part: str, share: float) -> None:
        if (share >= 1.0 and shown.get(part) != share) or share - shown.get(part, 0.0) >= PLAIN_STEP:
            shown[part] = share
            print(f"{part}: {int(share * 100)}%", file=sys.stderr, flush=True)

    return tell
