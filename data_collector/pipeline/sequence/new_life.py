"""Whether the ids of a symbol begin anew: ids below the due one, of trades that are newer than all we have.

Or they ran past ours while nobody looked, and the exchange has a later trade under an id that we have.

Pure. Each trade sequence has one watch; what it finds is no proof, and the exchange's REST side is asked
(docs/decisions/0016-epochs.md).
"""

from __future__ import annotations

from collections.abc import Sequence

from data_collector.model.records import Trade, same_moment, same_number

NEW_IDS = 100
"""So many of them, and the ids seem to have begun anew."""

FRESH_MS = 60_000
"""A trade that was sent so soon after it happened is no old one that is shown again."""

DISORDER_MS = 100
"""A trade with a later id happened later, or at most so much earlier."""

REACH = 10 * NEW_IDS
"""So near below the due id, what comes with that one may be of the new life: so many may be lost on the way."""


class NewLifeWatch:
    """Keeps what may be of a new life; ids may be missing, and lines that bring them may be out of step."""

    __slots__ = (
        "_ahead", "_ahead_id", "_denied", "_dropped", "_due_id", "_kept", "_room", "_vouched",
        "denials", "disproved_id", "first", "is_full", "is_past", "is_proven", "last", "next_id", "refusal",
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
        self._dropped: list[Trade] = []
        self._vouched: set[int] = set()
        """Ids that the exchange has with the same contents."""
        self._denied: set[int] = set()
        """Ids that it has not, or with others."""
        self.first: Trade | None = None
        """The first of the row."""
        self.last: Trade | None = None
        """Its last."""
        self.next_id = -1
        """The id after the row."""
        self.denials = 0
        """How often the exchange had others under these ids."""
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

    @property
    def has_begun(self) -> bool:
        """Whether that many ids are enough to let nothing through."""
        return len(self._kept) >= NEW_IDS

    @property
    def awaits_order(self) -> bool:
        """Whether the exchange need not be asked any more."""
        return self.is_proven or self.refusal is not None

    def reset(self) -> None:
        """The ids go on."""
        self._forget_row()
        self._dropped += self._ahead.values()
        self._ahead.clear()
        self._vouched.clear()
        self._denied.clear()
        self.denials = 0
        self.is_proven = False
        self.refusal = None
        self.is_past = False

    def see(self, trade: Trade, due_id: int, newest_ms: int) -> bool:
        """A trade below the due id that is none of ours; whether it may be of a new life.

        No trade that was let through happened after `newest_ms` (-1: that is not known).
        """
        if newest_ms < 0 or trade.time_ms <= newest_ms or abs(trade.event_ms - trade.time_ms) >= FRESH_MS:
            return False
        if not self._fits(trade):
            self._forget_row()
        self._due_id = due_id
        self._keep(self._kept, trade)
        self._extend(trade)
        return True

    def precedes(self, trade: Trade) -> bool:
        """Whether the row began no later than this trade."""
        return self.first is not None and trade.time_ms >= self.first.time_ms

    def is_near(self, due_id: int) -> bool:
        """Whether the row may come to the due id next."""
        return due_id - self.next_id <= REACH

    def is_denied_by(self, due_id: int) -> bool:
        """Whether the due trade came meanwhile, and the row is too far below to have grown to it: the old ids go on."""
        return due_id in self._ahead and not self.is_past and not self.is_near(due_id)

    def recognise(self, trade: Trade, next_id: int, due_id: int) -> None:
        """The exchange has this later trade under an id of ours; what came has ids below `next_id`."""
        self._extend(trade)
        self.next_id, self._due_id = max(next_id, self.next_id), due_id
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
        self._keep(self._kept, trade)
        if is_apart and trade_id != self._ahead_id + 1:
            self._ahead_id = trade_id
        elif trade_id >= self.first_id - NEW_IDS:
            self._extend(trade)

    def compare(self, page: Sequence[Trade], from_id: int, newest_ms: int) -> bool:
        """Whether the exchange's trades of now, from this id on, show a new life; what they contradict is dropped then.

        Those up to the first that came must be newer than `newest_ms` too: a single one may be wrong.
        """
        assert self.first is not None, "it has begun"
        told, last = {trade.trade_id: trade for trade in page}, page[-1]
        came = {self.first.trade_id: self.first} | self._kept
        asked = {trade_id for trade_id in came if from_id <= trade_id <= last.trade_id}
        vouched = {number for number in asked if number in told and not contradicts(told[number], came[number])}
        self._vouched |= vouched
        self._denied = (self._denied | asked) - vouched
        first_id = min(vouched, default=-1)
        if first_id < 0 or any(trade.time_ms <= newest_ms for trade in page if trade.trade_id <= first_id):
            return False
        for trade_id, trade in list(self._kept.items()):
            # Of a life between, that went further than this one has yet.
            is_left = trade_id > last.trade_id and trade.time_ms < last.time_ms - DISORDER_MS
            if is_left or trade_id in self._denied:
                self._dropped.append(self._kept.pop(trade_id))
        if self._kept:
            self.first = self._kept[min(self._kept)]
        return True

    def is_vouched(self, trade: Trade) -> bool:
        """Whether the exchange has it too."""
        return trade.trade_id in self._vouched

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

    def take_old(self, due_id: int) -> list[Trade]:
        """The same when they have not: without a row that the exchange does not know."""
        row = self._kept
        if not self.is_past:
            row = {trade_id: row[trade_id] for trade_id in self._vouched if trade_id >= due_id and trade_id in row}
        return self._take(row | self._ahead)

    @property
    def drops_many(self) -> bool:
        """Whether more was dropped than there is room for."""
        return len(self._dropped) >= self._room

    def take_dropped(self) -> list[Trade]:
        """What was kept and is none of a new life, since it was asked last."""
        dropped, self._dropped = self._dropped, []
        return dropped

    def _take(self, trades: dict[int, Trade]) -> list[Trade]:
        self._dropped += [trade for trade_id, trade in (self._kept | self._ahead).items() if trade_id not in trades]
        self._kept, self._ahead = {}, {}
        return [trades[trade_id] for trade_id in sorted(trades)]

    def _fits(self, trade: Trade) -> bool:
        """Whether it may be of the life of the row: ids that begin anew once more come later, with lower ones."""
        if self.first is None or self.last is None:
            return True
        if trade.trade_id >= self.next_id:
            return trade.time_ms >= self.last.time_ms - DISORDER_MS
        limit = self.first if trade.trade_id < self.first_id else self.last
        return trade.time_ms <= limit.time_ms + DISORDER_MS

    def _keep(self, trades: dict[int, Trade], trade: Trade) -> None:
        before = trades.get(trade.trade_id)
        if before is None and len(self._kept) + len(self._ahead) >= self._room:
            self.is_full = True
        elif before is None:
            trades[trade.trade_id] = trade
        elif contradicts(before, trade) and trade.time_ms > before.time_ms:
            self._dropped.append(before)
            trades[trade.trade_id] = trade
            if self.first is before:
                self.first = trade

    def _extend(self, trade: Trade) -> None:
        if self.first is None or trade.trade_id < self.first_id:
            self.first = trade
        if trade.trade_id >= self.next_id:
            self.last, self.next_id = trade, trade.trade_id + 1

    def _forget_row(self) -> None:
        self._dropped += self._kept.values()
        self._kept.clear()
        self.first = self.last = None
        self.next_id = -1
        self.is_full = False

    @property
    def past_since_ms(self) -> int | None:
        """Since when trades are of the new life, where its ids ran past the due one unseen."""
        return self.first.time_ms if self.is_past and self.first is not None else None

    @property
    def first_id(self) -> int:
        """Id of the first of the row; -1 before it."""
        return -1 if self.first is None else self.first.trade_id


def contradicts(first: Trade, second: Trade) -> bool:
    """Whether two copies of a trade have different contents."""
    return (
        not same_number(first.price, second.price)
        or not same_number(first.quantity, second.quantity)
        or not same_moment(first, second)
        or first.is_buyer_maker != second.is_buyer_maker
    )
