"""What the service does with each of its parts.

The service holds its parts in one stated order, from the ground up: what others stand on comes first. It opens and
starts them in that order, and reports on and closes them in the reverse one, so that health begins with what is nearest
to the records and a stop ends with what the others needed. `Service` names the parts that live as long as the process,
`Collection` those that run from a start of the collection to its stop: these are started and reported on alone, and
end with their tasks; what waits then is written out by `Storing.drain`. To add a part: one class, one line there.

A part overrides what it has something to do for; nothing is all that the methods here do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar

from msgspec import Struct

from data_collector.model.status import Snapshot
from data_collector.pipeline.supervise import supervised

NAMES_SHOWN = 5
"""Of many symbols a sentence names this many."""

Spawn = Callable[[str, Callable[[], Awaitable[None]]], asyncio.Task[None]]
"""Runs an eternal task of that name under supervision (`pipeline.supervise`) until the service cancels it."""


class PartHealth(Struct, frozen=True):
    """What an operator must know of a part."""

    reasons: Sequence[str] = ()
    """Sentences, worst first."""
    ready: bool = True
    """Whether readers may rely on the part now."""
    is_losing: bool = False
    """Records are being lost: the whole service is unhealthy, and not just degraded."""


class Part:
    """One part of the service."""

    awaited: ClassVar[str] = "its parts"
    """What a stop waits for while this part closes, in words for the operator."""

    async def open(self) -> None:
        """Get hold of files, servers and what else is needed.

        Called once, before any task of this part runs, when the parts before it are open; not of parts of a
        `Collection`. May wait without end. Raises `Misconfigured` or `Unavailable`, which end the start. It may be
        cancelled at any await.
        """

    def start(self, spawn: Spawn) -> None:
        """Spawn the part's eternal tasks.

        Called when all parts are open and the store is connected; called again after a stop of parts that `Collection`
        keeps from start to start. Tasks end by being cancelled and in no other way; all are cancelled at once, so no
        task may rely on another part's at its end.
        """

    def report(self, snapshot: Snapshot) -> PartHealth:
        """Put the part's share into `snapshot`, set its gauges, and tell its health.

        Called on the event loop up to ten times a second, at any time after the constructor: the part need not be open,
        and may be closed. Reads what is known; must not wait, raise or ask anybody.
        """
        return PartHealth()

    async def close(self) -> None:
        """Write out what is held and let go of everything.

        Called once, when no task of this part runs any more and the parts after it are closed; also when `open` failed
        or was never called; not of parts of a `Collection`. Must come to an end by itself within a deadline of its own,
        and must not raise.
        """


def spawner(group: asyncio.TaskGroup, tasks: list[asyncio.Task[None]] | None = None) -> Spawn:
    """Spawns in the group; `tasks` gets every task."""

    def spawn(name: str, run: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        task = group.create_task(supervised(name, run))
        if tasks is not None:
            tasks.append(task)
        return task

    return spawn


def names(symbols: Sequence[str]) -> str:
    """The first of them, and how many others there are."""
    more = f" and {len(symbols) - NAMES_SHOWN} more" if len(symbols) > NAMES_SHOWN else ""
    return ", ".join(symbols[:NAMES_SHOWN]) + more
