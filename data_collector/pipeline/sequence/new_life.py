"""Whether the ids of a symbol begin anew: a row of ids below the due one, of trades that are newer than all we have.

Or they ran past ours while nobody looked, and the exchange has a later trade under an id that we have.

Pure. Each trade sequence has one watch; what it finds is no proof, and the exchange's REST side is asked
(docs/decisions/0016-epochs.md).
"""

from __future__ import annotations

from data_collector.model.records import Trade

NEW_IDS = 100
"""So many of them in a row, and the ids seem to have begun anew."""

FRESH_MS = 60_000
"""A trade that was sent so soon after it happened is no old one that is shown again."""


class NewLifeWatch:
    """Counts ids that follow each other; copies of them, from another line, do not disturb."""

    __slots__ = (
        "_ahead_id", "_due_id", "_wanted", "count", "disproved_id", "first", "is_past", "is_proven", "last", "next_id",
        "refusal",
    )  # fmt: skip

    def __init__(self) -> None:
        self.count = 0
        self.first: Trade | None = None
        """The first of the row."""
        self.last: Trade | None = None
        """Its last."""
        self.next_id = -1
        """The id after the row."""
        self.is_proven = False
        """Whether the exchange agrees, and only an order is waited for."""
        self.refusal: str | None = None
        """Why the exchange will never tell: only an order helps."""
        self.is_past = False
        """Whether the new ids ran past the due one unseen: what came with later ids is of the new life."""
        self.disproved_id = -1
        """Up to this id the exchange was asked for the trades that it has now: they are ours."""
        self._due_id = -1
        self._ahead_id = -1
        """One that came further ahead, while it is found out; a second one that follows it vouches for it."""
        self._wanted = NEW_IDS

    @property
    def has_begun(self) -> bool:
        """Whether the row is long enough."""
        return self.count >= self._wanted

    @property
    def awaits_order(self) -> bool:
        """Whether the exchange need not be asked any more."""
        return self.is_proven or self.refusal is not None

    def reset(self) -> None:
        """A trade of ours came."""
        self.count = 0
        self.is_proven = False
        self.refusal = None
        self.is_past = False

    def see(self, trade: Trade, due_id: int, newest_ms: int, *, is_start: bool = False) -> bool:
        """A trade below the due id that is none of ours; whether it may be one of a row.

        No trade that was let through happened after `newest_ms`; `is_start`: none was since collection began.
        """
        if trade.time_ms <= newest_ms or trade.event_ms - trade.time_ms >= FRESH_MS:
            return False
        trade_id = trade.trade_id
        # Where the due id has moved, honest trades came between them.
        if not self.count or due_id != self._due_id or trade_id > self.next_id or trade_id < self.first_id:
            self.count, self.first, self.next_id, self._due_id = 0, trade, trade_id, due_id
        if trade_id == self.next_id:
            self.count += 1
            self.next_id += 1
            self.last = trade
        # The due id itself would be let through: an old life may have had no hundred, or the row began close below it.
        self._wanted = 1 if is_start and self.next_id == due_id else max(1, min(NEW_IDS, due_id - 1))
        return True

    def recognise(self, trade: Trade, next_id: int) -> None:
        """The exchange has this later trade under an id of ours; what came has ids below `next_id`."""
        self.first, self.next_id, self.count, self._wanted = trade, next_id, NEW_IDS, NEW_IDS
        self.last = trade
        self.is_past = True

    def ends_with(self, trade_id: int, due_id: int) -> bool:
        """Whether this id is one of the old life, which goes on."""
        return not self.is_proven and trade_id >= due_id and trade_id > self.next_id + NEW_IDS

    def follow(self, trade: Trade) -> None:
        """It goes on, while it is found out what it is; some of its ids may be missing."""
        trade_id = trade.trade_id
        if self.first is None or trade_id < self.next_id or trade.time_ms < self.first.time_ms:
            # A copy, or an old trade that is shown again.
            return
        if trade_id <= self.next_id + NEW_IDS or trade_id == self._ahead_id + 1:
            self.next_id = trade_id + 1
            self.last = trade
        else:
            self._ahead_id = trade_id

    @property
    def first_id(self) -> int:
        """Id of the first of the row; -1 before it."""
        return -1 if self.first is None else self.first.trade_id
