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
    """Counts ids that follow each other; what other lines bring of them does not disturb."""

    __slots__ = (
        "_ahead", "_ahead_id", "_due_id", "_forgotten", "_kept", "_room", "_wanted", "count",
        "disproved_id", "first", "is_full", "is_past", "is_proven", "last", "next_id", "refusal",
    )  # fmt: skip

    def __init__(self, room: int = NEW_IDS) -> None:
        """`room`: so many trades are kept until it is decided whose they are."""
        self._room = max(room, NEW_IDS)
        self._kept: dict[int, Trade] = {}
        """Those of the row."""
        self._ahead: dict[int, Trade] = {}
        """Those from the due id on that do not follow the row: of whichever life goes on."""
        self.is_full = False
        """Whether more came than there was room for."""
        self._forgotten = 0
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
        self._forget_row()
        self._forgotten += len(self._ahead)
        self._ahead.clear()
        self.is_proven = False
        self.refusal = None
        self.is_past = False

    def see(self, trade: Trade, due_id: int, newest_ms: int, *, is_start: bool = False) -> bool:
        """A trade below the due id that is none of ours; whether it may be one of a row.

        No trade that was let through happened after `newest_ms` (-1: that is not known); `is_start`: none was since
        collection began.
        """
        if newest_ms < 0 or trade.time_ms <= newest_ms or trade.event_ms - trade.time_ms >= FRESH_MS:
            return False
        trade_id = trade.trade_id
        # Where the due id has moved, honest trades came between them. What is near may come by a line that is ahead
        # or behind.
        is_near = self.first_id - NEW_IDS <= trade_id <= self.next_id + NEW_IDS
        if not self.count or due_id != self._due_id or not is_near:
            self._forget_row()
            self.first, self.next_id, self._due_id = trade, trade_id, due_id
        self._kept.setdefault(trade_id, trade)
        while (after := self._kept.get(self.next_id)) is not None:
            self.last = after
            self.next_id += 1
        while (before := self._kept.get(self.first_id - 1)) is not None:
            self.first = before
        self.count = self.next_id - self.first_id
        # The due id itself would be let through: an old life may have had no hundred, or the row began close below it.
        self._wanted = 1 if is_start and self.next_id == due_id else max(1, min(NEW_IDS, due_id - 1))
        return True

    def recognise(self, trade: Trade, next_id: int, due_id: int) -> None:
        """The exchange has this later trade under an id of ours; what came has ids below `next_id`."""
        self.first, self.next_id, self.count, self._wanted = trade, next_id, NEW_IDS, NEW_IDS
        self.last, self._due_id = trade, due_id
        self.is_past = True

    def follow(self, trade: Trade) -> None:
        """It goes on, while it is found out what it is; some of its ids may be missing.

        Many of them missing, across the due id, leave in doubt which life the trade is of: nothing is concluded then.
        """
        trade_id = trade.trade_id
        is_apart = trade_id > self.next_id + NEW_IDS
        if is_apart and trade_id >= self._due_id and not self.is_proven:
            self._keep(self._ahead, trade)
            return
        if self.first is None or trade_id < self.first_id or trade.time_ms < self.first.time_ms:
            # An old trade that is shown again.
            return
        self._keep(self._kept, trade)
        if is_apart and trade_id != self._ahead_id + 1:
            self._ahead_id = trade_id
        elif trade_id >= self.next_id:
            self.next_id = trade_id + 1
            self.last = trade

    def is_kept(self, trade: Trade) -> bool:
        """Whether it waits here; else it is a copy."""
        return self._kept.get(trade.trade_id) is trade or self._ahead.get(trade.trade_id) is trade

    def take_new(self, held: dict[int, Trade]) -> list[Trade]:
        """What came, in order, when the ids have begun anew; it is kept no longer.

        Of those that are `held` too: lives follow each other in time.
        """
        assert self.first is not None, "it has begun"
        since_ms = self.first.time_ms
        new_ids = [trade_id for trade_id, trade in held.items() if trade.time_ms >= since_ms]
        return self._take({trade_id: held.pop(trade_id) for trade_id in new_ids} | self._kept | self._ahead)

    def take_old(self) -> list[Trade]:
        """The same when they have not: without a row that the exchange does not know."""
        return self._take(self._kept | self._ahead if self.is_past else self._ahead)

    def take_forgotten(self) -> int:
        """How many were kept and are none of a new life, since it was asked last."""
        count, self._forgotten = self._forgotten, 0
        return count

    def _take(self, trades: dict[int, Trade]) -> list[Trade]:
        self._forgotten += len((self._kept | self._ahead).keys() - trades.keys())
        self._kept, self._ahead = {}, {}
        return [trades[trade_id] for trade_id in sorted(trades)]

    def _keep(self, trades: dict[int, Trade], trade: Trade) -> None:
        if len(self._kept) + len(self._ahead) >= self._room:
            self.is_full = True
        else:
            trades.setdefault(trade.trade_id, trade)

    def _forget_row(self) -> None:
        self.count = 0
        self._forgotten += len(self._kept)
        self._kept.clear()
        self.is_full = False

    @property
    def past_since_ms(self) -> int | None:
        """Since when trades are of the new life, where its ids ran past the due one unseen."""
        return self.first.time_ms if self.is_past and self.first is not None else None

    @property
    def first_id(self) -> int:
        """Id of the first of the row; -1 before it."""
        return -1 if self.first is None else self.first.trade_id
