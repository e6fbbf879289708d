"""When a refused trade id is waited for no longer: a good copy may take its place for a while, from its turn on."""

from __future__ import annotations

from collections.abc import Container

from data_collector.pipeline.gaps.missing_ids import MissingIds

ALONE_S = 10.0
"""How long a refused id waits that nothing has followed, and no ticker named: the exchange may not have made it yet."""

NEAR_IDS = 100
"""A trade that is further ahead may be no more true than the refused one."""


class RefusedTurns:
    """Refused ids of a sequence that are still due. Pure."""

    __slots__ = ("_come_id", "_moved_id", "_moved_s", "_patience_s", "since_s")

    def __init__(self, patience_s: float) -> None:
        """`patience_s`: how long a good copy is waited for where the id is known to exist."""
        self._patience_s = patience_s
        self.since_s: dict[int, float] = {}
        """Since when it has been the turn of each: since it came, and all before it had come, good or refused."""
        self._come_id = -1
        """All before this id have come, as far as that was looked at."""
        self._moved_id = -1
        self._moved_s = 0.0
        """When this id became due behind a good trade."""

    def clear(self) -> None:
        """None is due any more."""
        self.since_s.clear()
        self._come_id = self._moved_id = -1

    def pass_to(self, next_id: int) -> None:
        """This id is due, and no good trade was before it."""
        self._moved_id = next_id

    def is_over(
        self, next_id: int, held: Container[int], gap: MissingIds | None, reference_id: int, now_s: float
    ) -> bool:  # fmt: skip
        """Whether the due id is a refused one that has waited long enough.

        That it exists is told by a trade close behind it, or by a ticker that names it or a later one.
        """
        if not self.since_s:
            return False
        self._look(next_id, held, now_s)
        since_s = self.since_s.get(next_id)
        if since_s is None:
            return False
        is_near = gap is not None and (self._come_id > gap.last_id or gap.last_id - next_id < NEAR_IDS)
        if gap is None or not (is_near or reference_id >= next_id):
            return now_s - max(since_s, self._moved_s) >= ALONE_S
        return now_s - max(since_s, gap.opened_s) >= self._patience_s

    def _look(self, next_id: int, held: Container[int], now_s: float) -> None:
        if next_id != self._moved_id:
            self._moved_id, self._moved_s = next_id, now_s
        come_id = max(self._come_id, next_id)
        while come_id in self.since_s or come_id in held:
            if come_id in self.since_s:
                self.since_s[come_id] = now_s
            come_id += 1
        self._come_id = come_id
