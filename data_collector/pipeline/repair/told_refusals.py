"""What the exchange's REST side refused for good of late, told until it gives such again."""

from __future__ import annotations

from collections.abc import Callable, Container

import structlog

from data_collector.model.errors import VenueRefused
from data_collector.model.keys import Key

REFUSED_TOLD_S = 600.0
"""So long after the last refusal it is told: what is missing is asked for again much sooner."""


class ToldRefusals:
    """Of the requests of one kind."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._newest: dict[Key, tuple[str, bool, float]] = {}
        """Why, whether all such requests are refused for that, and when last."""

    def note(self, key: Key, refusal: VenueRefused) -> None:
        """Something was refused."""
        reason = str(refusal)
        if reason not in self.told({key}):
            structlog.get_logger().warning("repair_refused", series=key.label, reason=reason)
        self._newest[key] = reason, refusal.endpoint_wide, self._clock()

    def answered(self, key: Key) -> None:
        """Something was given: what refused it is mended, and so is what would have refused all."""
        if self._newest:
            self._newest = {of: newest for of, newest in self._newest.items() if of != key and not newest[1]}

    def told(self, collected: Container[Key]) -> set[str]:
        """Why, of what is collected still."""
        since_s = self._clock() - REFUSED_TOLD_S
        return {reason for key, (reason, _, at_s) in self._newest.items() if key in collected and at_s > since_s}
