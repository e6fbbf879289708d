"""Waiting for what another process or task will do: asked again and again, with a deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")

DEADLINE_S = 60.0
"""For anything to happen at all; a slow machine only makes the tests slower."""

POLL_S = 0.02

WHAT = "what is waited for"
"""Named where the line that failed does not say it well enough."""


def until(
    ask: Callable[[], Found | None],
    what: str = WHAT,
    *,
    deadline_s: float = DEADLINE_S,
    poll_s: float = POLL_S,
    output: Callable[[], str] = str,
) -> Found:
    """What `ask` first returns that is something; `output` is told with a failure."""
    end = time.monotonic() + deadline_s
    while True:
        found = ask()
        if found:
            return found
        assert time.monotonic() < end, f"within {deadline_s:g} s there was not: {what}; {output()}"
        time.sleep(poll_s)


async def until_async(ask: Callable[[], Found | None], what: str = WHAT, *, deadline_s: float = DEADLINE_S) -> Found:
    """What `ask` first returns that is something, while the event loop goes on."""
    end = time.monotonic() + deadline_s
    while True:
        found = ask()
        if found:
            return found
        assert time.monotonic() < end, f"within {deadline_s:g} s there was not: {what}"
        await asyncio.sleep(POLL_S)
