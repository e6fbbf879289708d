"""What a fault is: a name, how often it is drawn, and a coroutine that strikes and returns when the fault is over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Literal

from tests.soak.scene import Scene

Lane = Literal["collectors", "store", "exchange", "readers"]
"""Faults of one lane strike one after the other; the lanes strike at the same time."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fault."""

    name: str
    lane: Lane
    weight: int
    strike: Callable[[Scene, Random], Awaitable[None]]
    alone: bool = False
    """Whether it never strikes beside others. The promise for an emptied store is that of a single fault: what no
    collector remembers because all were killed in the same moment cannot be missed by anybody."""


class Untouched(Exception):
    """There was nothing that the fault could strike: it does not count."""
