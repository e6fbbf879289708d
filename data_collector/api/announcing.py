"""Tells the state every few seconds to who shows it: first what is awaited, and the service as soon as it has begun."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from data_collector.model.status import Snapshot

ANNOUNCE_EVERY_S: Final = 0.2
"""Until the service has begun."""

TOLD_EVERY_S: Final = 5.0
"""From then on, and before it for what is awaited."""

OnState = Callable[[Snapshot], None]


async def announce(
    status: Callable[[], Awaitable[Snapshot]], on_state: OnState,
    whole: Callable[[Snapshot], Awaitable[Snapshot]] | None = None,
) -> None:  # fmt: skip
    """Until cancelled. `status` tells the state, and `whole` makes that of all of it where it is of one of several."""
    has_begun, told_s = False, time.monotonic()
    while True:
        snapshot = await status()
        has_begun = has_begun or _is_settled(snapshot)
        if has_begun or time.monotonic() - told_s >= TOLD_EVERY_S:
            on_state(snapshot if whole is None else await whole(snapshot))
            told_s = time.monotonic()
            has_begun = has_begun or snapshot.has_begun
        # Another process's state has no event that we could wait for.
        await asyncio.sleep(TOLD_EVERY_S if has_begun else ANNOUNCE_EVERY_S)


def _is_settled(snapshot: Snapshot) -> bool:
    """Whether it has begun, and the exchange has been reached or has not: both are worth telling at once."""
    lines = snapshot.connections
    return snapshot.has_begun and (not lines or any(line.connected_since or line.last_error for line in lines))
