"""The trades of one symbol in order: what is due, what waits, what is missing, what was let through. Pure.

Life cycle: the trade intake makes one per symbol, offers it every trade that is not simply the next one, and lets go
what it gives back; `pipeline.repair.trade_repair` asks it what is missing. No clock, no I/O, no counters: times are
arguments, and everything that happens is a returned value. The sister of klines is `pipeline.sequence.series`.

Ids rise by one. What comes again is a copy; what comes ahead is held until the hole before it is filled or passed over;
what comes late but fills a hole that was passed over goes to `late:`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum

from data_collector.candles.building import CandleBuilder
from data_collector.model.gaps import Gap, GapReason, explain_ids
from data_collector.model.records import Kline, Trade
from data_collector.model.sink import KlineCheck
from data_collector.pipeline.gaps.missing_ids import MissingIds
from data_collector.pipeline.gaps.ranges import Spilled, common
from data_collector.pipeline.sequence.minutes import MinuteVolumes
from data_collector.pipeline.sequence.new_life import DISORDER_MS, NewLifeWatch, contradicts
from data_collector.pipeline.sequence.refused_turns import RefusedTurns

ARBITRATION_S = 0.15
"""How long a missing or refused id waits for another line to bring a good copy."""

HELD_MAX = 20_000
"""Trades of a symbol that wait in memory, some 10 MB."""

JUMP_MAX = 2_000_000
"""A larger step is believed only when a second trade follows it: one poisoned id must not move a symbol for ever."""

HOLES_MAX = 256
"""Holes remembered per symbol, so that late trades are told from copies; the oldest are forgotten."""

REFUSED_AHEAD_MAX = 10_000
"""A refused id further ahead gets no place in the sequence."""

HEAD_S = 2.0
"""A ticker that names a later trade for so long: the trade stream has lost the newest ones."""

RECENT_MAX = 1024
"""Trades that a sequence remembers, unless there are many."""


class Outcome(Enum):
    """What became of a trade that was not the next one."""

    HELD = "waits for what is before it"
    COPY = "was there before"
    CONFLICT = "was there before, with other contents"
    NEWER = "was there before, and is of a newer trade now"
    LATE = "fills a hole that was passed over"
    IMPLAUSIBLE = "jumps too far ahead, unconfirmed"


class TradeSequence:
    """One symbol. The trade intake alone lets trades through; the repair marks what it has told of the gap."""

    __slots__ = (
        "_first_s", "_head_id", "_head_s", "_holes", "_newest_ms", "_turns", "_unconfirmed_id", "epoch", "gap", "held",
        "minutes", "new_life", "next_id", "recent", "recent_mask", "reference_id", "refused_s", "repaired", "reported",
        "resumed_id", "spilled", "stored_id", "symbol",
    )  # fmt: skip

    def __init__(self, symbol: str, recent: int = RECENT_MAX) -> None:
        """`recent`, a power of two: so many of the newest trades are remembered, to compare copies with them."""
        self.symbol = symbol
        self.next_id = -1
        """The id that is due: it follows what has been let through; -1 before the first."""
        self.recent: list[Trade | None] = [None] * recent
        """What was let through, at the lowest bits of its id."""
        self.recent_mask = recent - 1
        self.minutes: MinuteVolumes | CandleBuilder = MinuteVolumes()
        """What was let through says of each minute's kline, or makes it."""
        self.held: dict[int, Trade] = {}
        """Trades that wait for those before them, by id."""
        self.spilled = Spilled()
        """What waits in the spool, because memory had no room for more."""
        self._turns = RefusedTurns(ARBITRATION_S)
        self.refused_s = self._turns.since_s
        """Refused ids that are still due: for a while a good copy may take the place of each."""
        self.gap: MissingIds | None = None
        """What is missing before what waits; None while nothing is."""
        self.reported: tuple[int, int] | None = None
        """First and last missing id that the ledger was told of, until the feed has passed them."""
        self.repaired = 0
        """Ids before the due one that no stream brought."""
        self.resumed_id = -1
        """The id that was due when collection began: of a hole from there on only the newer part is filled."""
        self.stored_id = -1
        """The newest trade that the store had then; -1 where that is not known."""
        self.reference_id = -1
        """Last trade id that a ticker named: what the first trade's id is held against."""
        self._holes: list[tuple[int, int]] = []
        self._unconfirmed_id = -1
        self.epoch = 0
        """Ids are unique within one: what is here is of this."""
        self.new_life = NewLifeWatch(recent)
        self._newest_ms = -1
        """No trade was newer, of those that are not remembered any more, or never were; -1 while that is not known."""
        self._first_s = 0.0
        """When the first trade came, while none is due."""
        self._head_s = 0.0
        """Since when a ticker has been naming a later trade than the stream brought; 0.0 while none does."""
        self._head_id = -1
        """The id that was due then."""

    @property
    def spoken(self) -> int:
        """Grows with every trade that the stream brings, and with nothing else; -1 before the first."""
        return -1 if self.next_id < 0 else self.in_order + len(self.held)

    @property
    def in_order(self) -> int:
        """Grows with every due trade that the stream brings, and with nothing else."""
        return self.next_id - self.repaired

    @property
    def newest_ms(self) -> int:
        """No trade that was let through happened later."""
        newest = self.known(self.next_id - 1)
        return self._newest_ms if newest is None else max(self._newest_ms, newest.time_ms)

    @property
    def knows_newest(self) -> bool:
        """Whether `newest_ms` is told by the trade before the due one; else what waits in the spool may be newer."""
        return self.known(self.next_id - 1) is not None or self.stored_id == self.next_id - 1

    @property
    def waits(self) -> bool:
        """Whether something waits for time to pass, for a trade, or for the ledger to be told."""
        return bool(self.held or self.refused_s) or self.gap is not None or self.reported is not None

    def known(self, trade_id: int) -> Trade | None:
        """The trade that was let through under this id, while it is remembered."""
        trade = self.recent[trade_id & self.recent_mask]
        return None if trade is None or trade.trade_id != trade_id else trade

    def check_minute(self, kline: Kline, id_before: int) -> KlineCheck:
        """A closed kline of a minute against what was let through: see `MinuteVolumes.check`."""
        minutes = self.minutes
        return minutes.check(kline, id_before, self.next_id) if isinstance(minutes, MinuteVolumes) else "unchecked"

    def resume(self, next_id: int, *, epoch: int = 0, newest_ms: int = -1, stored_id: int = -1) -> None:
        """Collection begins, and this id of an epoch is due; -1 when the feed is to tell.

        `stored_id` is that of the newest trade in the store, of which none happened after `newest_ms`.
        """
        self.next_id = self.resumed_id = next_id
        self.stored_id = stored_id
        self.epoch = epoch
        self._newest_ms = newest_ms

    def begin_epoch(self, epoch: int, next_id: int) -> None:
        """The exchange's ids begin anew: nothing that is known of the old ones counts."""
        self.resume(next_id, epoch=epoch, newest_ms=-1)
        self.recent = [None] * len(self.recent)
        self.minutes.begin_anew()
        self.held.clear()
        self.spilled = Spilled()
        self._turns.clear()
        self.gap = self.reported = None
        self._holes = []
        self._unconfirmed_id = self.reference_id = -1
        self.new_life = NewLifeWatch(len(self.recent))

    def recognise(self, trades: Sequence[Trade]) -> bool:
        """What the exchange answered: whether it has a later trade now under an id that we have."""
        if self.shares(trades):
            return False
        for trade in trades:
            known, known_ms = self.known(trade.trade_id), self._newest_ms
            if known is not None:
                known_ms = known.time_ms
            elif trade.trade_id != self.stored_id:
                continue
            if trade.time_ms > known_ms and trade.trade_id > self.new_life.disproved_id:
                came = [held_id for held_id in self.held if held_id - 1 in self.held] or self.held
                last_id = max(trade.trade_id, self.spilled.last_id, *came)
                self.new_life.recognise(trade, last_id + 1, self.next_id)
                # It is opened anew, with all the time to fill it, if the ids go on.
                self.gap = None
                return True
        return False

    def shares(self, trades: Sequence[Trade]) -> bool:
        """Whether one of them is ours: then they are of one life, whatever else they contradict."""
        return any((mine := self.known(each.trade_id)) is not None and not contradicts(mine, each) for each in trades)

    def settle_start(self) -> None:
        """It is decided how much is filled of the hole at the start."""
        self.resumed_id = -1

    def leave(self) -> None:
        """Its trades are collected no longer: nothing is waited for."""
        self.gap = self.reported = None
        self._turns.clear()
        self.new_life.reset()

    def offer(self, trade: Trade, now_s: float) -> Outcome:
        """A trade that is not simply the due one. What it makes due is let go by `begin` and `take_due`."""
        trade_id = trade.trade_id
        if self.next_id < 0:
            return self._offer_first(trade, now_s)
        if trade_id < self.next_id:
            is_late = not self._is_newest(trade) and self._fill_hole(trade_id)
            return Outcome.LATE if is_late else self._compare(trade)
        if trade_id - self.next_id > JUMP_MAX and trade_id != self._unconfirmed_id + 1:
            self._unconfirmed_id = trade_id
            return Outcome.IMPLAUSIBLE
        if trade_id in self.held:
            return Outcome.CONFLICT if contradicts(self.held[trade_id], trade) else Outcome.COPY
        self.held[trade_id] = trade
        if self.gap is not None:
            self.gap.last_id = min(self.gap.last_id, trade_id - 1)
        return Outcome.HELD

    def shows_new_life(self, refused: Trade) -> bool:
        """Whether it may be of ids that begin anew, and is kept; under an id of ours, others must have come before."""
        known = self.known(refused.trade_id)
        if known is not None and (self.new_life.first is None or not contradicts(known, refused)):
            return False
        return 0 <= refused.trade_id < self.next_id and self._is_newer(refused)

    def advance(self, trade: Trade) -> None:
        """The due trade was let through. The intake has this written out for the common case."""
        trade_id = trade.trade_id
        self.next_id = trade_id + 1
        self.recent[trade_id & self.recent_mask] = trade
        self.minutes.add(trade)
        self.refused_s.pop(trade_id, None)

    def begin(self, now_s: float, *, at_once: bool = False) -> list[Trade] | None:
        """Where nothing was due: with the smallest id that came within the arbitration time.

        Ids are believed when a ticker names one near them, or when two of them vouch for each other. Returns the trades
        that are not believed, or None while there is no beginning yet.
        """
        if not self.held or not (at_once or now_s - self._first_s >= ARBITRATION_S):
            return None
        ids = sorted(self.held)
        if self.reference_id >= 0:
            good = [each for each in ids if abs(each - self.reference_id) <= JUMP_MAX]
        else:
            neighbours = zip([-JUMP_MAX * 2, *ids], ids, [*ids[1:], ids[-1] + JUMP_MAX * 2], strict=False)
            good = [each for before, each, after in neighbours if min(each - before, after - each) <= JUMP_MAX]
        if not good:
            return None
        self.next_id = good[0]
        believed = set(good)
        return [self.held.pop(each) for each in ids if each not in believed]

    def take_due(self) -> Trade | None:
        """The trade that was held and is due now; it is held no longer."""
        # A good copy may have taken the place of a refused one.
        self.refused_s.pop(self.next_id - 1, None)
        trade = self.held.pop(self.next_id, None)
        if trade is not None:
            self.refused_s.pop(self.next_id, None)
        return trade

    def is_out_of_turn(self, trade: Trade) -> bool:
        """Whether the due trade, which came ahead, is older than those before it: that is no trade of this id."""
        return trade.time_ms < self.newest_ms - DISORDER_MS

    def refuse(self, trade_id: int, now_s: float) -> bool:
        """A trade was refused; whether its id has a place in the sequence, which waits for a good copy for a while.

        Before the first good trade there is none, nor far ahead, nor behind.
        """
        if self.next_id < 0 or not 0 <= trade_id - self.next_id <= REFUSED_AHEAD_MAX:
            return False
        if len(self.refused_s) < HELD_MAX:
            self.refused_s.setdefault(trade_id, now_s)
        return True

    def lacks_refused(self, now_s: float, *, at_once: bool = False) -> bool:
        """Whether the due id was refused, and has waited long enough for a good copy since its turn came."""
        if at_once:
            return self.next_id in self.refused_s
        return self._turns.is_over(self.next_id, self.held, self.gap, self.reference_id, now_s)

    def pass_over(self, last_id: int, reason: GapReason, rules: Mapping[int, tuple[str, ...]]) -> list[Gap]:
        """Nothing more is waited for up to `last_id`, which is due or later: the gaps that explain it, in order.

        `rules` are those that refused some of the ids.
        """
        first_id = self.next_id
        self._holes.append((first_id, last_id))
        del self._holes[:-HOLES_MAX]
        self.repaired += last_id + 1 - first_id
        self.minutes.pass_over(reason)
        self._move_to(last_id + 1)
        return explain_ids(first_id, last_id, rules, reason)

    def skip_to(self, next_id: int) -> int:
        """What is before `next_id` was let through without being seen; how many copies of it were held."""
        self._move_to(next_id)
        self.minutes.break_off()
        copies = [trade_id for trade_id in self.held if trade_id < next_id]
        for trade_id in copies:
            del self.held[trade_id]
        return len(copies)

    def take_held(self, above_id: int = -1) -> list[Trade]:
        """What is held beyond an id, in order; it is held no longer."""
        return [self.held.pop(trade_id) for trade_id in sorted(self.held) if trade_id > above_id]

    def settle(self, now_s: float) -> None:
        """After something was let go: what is missing now, if anything is."""
        opened_s = now_s
        if self.gap is not None and self.next_id > self.gap.last_id:
            self.gap = None
            # What is missing before the next one held came later than this gap, and has waited as long already.
            opened_s -= ARBITRATION_S
        if self.gap is None and self.next_id >= 0:
            last_id = min(self.held) - 1 if self.held else self.spilled.last_id
            if last_id >= self.next_id:
                self.gap = MissingIds(self.next_id, last_id, opened_s, self.in_order)

    def look_at_head(self, now_s: float) -> bool:
        """Whether a ticker has long been naming a later trade than the stream brought: then they are missing."""
        if self.gap is not None or not 0 <= self.next_id <= self.reference_id:
            self._head_s = 0.0
        elif not self._head_s or self.next_id != self._head_id:
            self._head_s = now_s
            self._head_id = self.next_id
        elif now_s - self._head_s >= HEAD_S:
            self.gap = MissingIds(self.next_id, self.reference_id, now_s, self.in_order)
            return True
        return False

    def disbelieve_head(self) -> None:
        """What a ticker named, or was spilled, does not exist. If it does, then what follows it opens a gap again."""
        self.gap = None
        self.reference_id = self.next_id - 1
        self.spilled = Spilled()
        self._head_s = 0.0

    def report(self) -> tuple[int, int] | None:
        """First and last missing id, unless the ledger was told of them."""
        gap, reported = self.gap, self.reported
        if gap is None or (reported is not None and reported[1] >= gap.last_id):
            return None
        self.reported = (self.next_id if reported is None else reported[0], gap.last_id)
        return self.next_id, gap.last_id

    def _move_to(self, next_id: int) -> None:
        for trade_id in common(range(self.next_id, next_id), self.refused_s):
            del self.refused_s[trade_id]
        self._newest_ms = self.newest_ms
        self.next_id = next_id
        self._turns.pass_to(next_id)
        self.spilled.pass_to(next_id)

    def _offer_first(self, trade: Trade, now_s: float) -> Outcome:
        if len(self.held) >= HELD_MAX:
            return Outcome.IMPLAUSIBLE
        if trade.trade_id in self.held:
            return Outcome.COPY
        if not self.held:
            self._first_s = now_s
        self.held[trade.trade_id] = trade
        return Outcome.HELD

    def _is_newest(self, trade: Trade) -> bool:
        """Whether a trade below the due one is newer than what followed all holes: it fills none of them."""
        return self.known(self.next_id - 1) is not None and trade.time_ms > self.newest_ms

    def _fill_hole(self, trade_id: int) -> bool:
        for index, (first, last) in enumerate(self._holes):
            if first <= trade_id <= last:
                rest = [part for part in ((first, trade_id - 1), (trade_id + 1, last)) if part[0] <= part[1]]
                self._holes[index : index + 1] = rest
                return True
        return False

    def _is_newer(self, trade: Trade) -> bool:
        """Than all that was let through: of ids that begin anew, or of a store that was filled from another market.

        Behind a hole that nothing has followed yet, what is late is newer too.
        """
        is_told = self.known(self.next_id - 1) is not None or not self._holes
        return is_told and self.new_life.see(trade, self.next_id, self.newest_ms)

    def _compare(self, trade: Trade) -> Outcome:
        """A trade whose id was let through, with what was."""
        first = self.known(trade.trade_id)
        if first is not None and not contradicts(first, trade):
            return Outcome.COPY
        if self._is_newer(trade):
            return Outcome.NEWER
        return Outcome.COPY if first is None else Outcome.CONFLICT
