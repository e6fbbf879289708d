"""Trade ids that an answer of the exchange leaves out between others: absent once another one leaves them out too."""

from __future__ import annotations

from data_collector.model.gaps import Gap

CONFIRMED_S = 1.0
"""Between two answers that leave out the same ids."""


class LeftOut:
    """Of one symbol. One answer alone may come from where they have not arrived."""

    __slots__ = ("_ranges",)

    def __init__(self) -> None:
        self._ranges: dict[int, tuple[int, float]] = {}
        """By its first id, the last one of a range that answers leave out, and since when they have."""

    def confirmed(self, left_out: list[Gap], now_s: float) -> list[Gap]:
        """What the newest answer leaves out, and another one did some time ago."""
        self._ranges = {
            each.first: (min(each.last, last), since_s)
            for each in left_out
            for last, since_s in [self._ranges.get(each.first, (each.last, now_s))]
        }
        return [
            Gap(first, last, last + 1 - first, "absent")
            for first, (last, since_s) in self._ranges.items()
            if now_s - since_s >= CONFIRMED_S
        ]
