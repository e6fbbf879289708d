"""The closed klines of one symbol and interval: each open time once and in order, or explained. Pure.

Life cycle: the kline intake makes one for each symbol and interval. `due_ms` is the open time that must close next. A
closed kline that is ahead of it waits while what lies between is found: ids prove that there was no trade, the
exchange's REST side has it (`pipeline.repair.kline_repair`), or it is passed over and the gap goes with the next closed
one.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from msgspec import structs

from data_collector.candles.contents import content, is_revision
from data_collector.candles.quiet import without_trades
from data_collector.model.calendar import Calendar, missing_range
from data_collector.model.gaps import Gap, GapReason, add_gap, explained_from
from data_collector.model.keys import Key
from data_collector.model.records import Kline
from data_collector.model.sink import KlineCheck, KlineUpdate, RecordSource

HELD_MAX = 1_000
"""Closed klines that wait behind a missing one; those beyond are fetched when it is their turn."""

RELEASED_MAX = 2_000
"""Klines that one call lets through; the next one goes on. One message can claim that those of decades had no trade."""

REFUSED_MAX = 1_000
"""Refused closed klines remembered until a good one follows; those beyond are asked of REST."""

RECENT_KEPT = 64
"""Closed klines remembered: what comes again is compared with them, and a store that lost them gets them again."""

BUILT_WITHIN_MS = 300_000
"""Trade ids that come later than this after the end of a kline do not build it: REST has had time to tell it, and where
the exchange stood still REST has none, although the ids follow each other."""

Check = Callable[[Kline, int], KlineCheck]
"""How a closed kline compares with our own trades; the second is the last trade id before it, -1 when unknown."""


class Order(Enum):
    """Where a kline stands."""

    NEXT = "follows what is there"
    AHEAD = "something is missing before it"
    BEYOND = "so much waits already that it is asked for when it is its turn"
    LATE = "fills a hole that was passed over"
    KNOWN = "was let through before"
    REVISED = "changes a closed kline that was let through"
    IMPLAUSIBLE = "does not open where klines of its interval do"


class KlineSeries:
    """The state of one symbol and interval."""

    __slots__ = (
        "_calendar", "_chain_id", "_check", "_decided_ms", "_gaps", "_held", "_interval", "_later_gaps", "_newest",
        "_off_grid", "_quiet_after_ms", "_quiet_from_ms", "_quiet_until_ms", "_recent", "_refused", "_starts",
        "_trusted_ms", "due_ms", "event_ms", "first_ms", "is_lost", "key", "open_ms",
    )  # fmt: skip

    def __init__(self, key: Key, calendar: Calendar, check: Check) -> None:
        self.key = key
        self.due_ms = -1
        """The open time that must close next; -1 before the first closed kline."""
        self.first_ms = -1
        """Open time of the first update."""
        self.open_ms = -1
        """Open time and event time of the newest update."""
        self.event_ms = -1
        self._interval = key.kline_interval
        self._calendar = calendar
        self._check = check
        self._chain_id = -1
        """The last trade id up to the end of the newest closed kline; -1 when unknown."""
        self._decided_ms = -1
        """The last open time up to which REST answered what it has: what it left out is not built."""
        self._trusted_ms = -1
        """The last open time up to which trade ids alone decide, because REST does not answer."""
        self._quiet_from_ms = self._quiet_until_ms = -1
        """Klines in between that have not come had no trade."""
        self._quiet_after_ms = -1
        """Only those that open later: the others came, and are here no more."""
        self._starts = True
        """Whether the next closed kline may begin the series in the store."""
        self.is_lost = False
        """Whether the store has lost all of it, and got nothing again."""
        self._newest: Kline | None = None
        """The newest open update, whose first trade id is evidence for what lies before."""
        self._held: dict[int, KlineUpdate] = {}
        self._refused: dict[int, tuple[str, ...]] = {}
        self._off_grid: dict[int, None] = {}
        self._recent: dict[int, KlineUpdate] = {}
        self._gaps: list[Gap] = []
        """What was passed over since the newest closed kline."""
        self._later_gaps: list[Gap] = []
        """What had been passed over when the store turned out to be behind."""

    @property
    def first_held_ms(self) -> int | None:
        """The first closed kline that waits behind a missing one."""
        return min(self._held, default=None)

    def judge_open(self, kline: Kline) -> Order:
        """An update of a kline that is still open: `NEXT` is the newest, `KNOWN` are the others, or `IMPLAUSIBLE`."""
        is_past = kline.open_ms < self.due_ms or kline.open_ms in self._held
        if is_past or (kline.open_ms, kline.event_ms) <= (self.open_ms, self.event_ms):
            return Order.KNOWN
        if kline.open_ms != self.open_ms:
            if not self._has_place(kline.open_ms):
                return Order.IMPLAUSIBLE
            if self.first_ms < 0:
                self.first_ms = kline.open_ms
        self._newest = kline
        self.open_ms, self.event_ms = kline.open_ms, kline.event_ms
        return Order.NEXT

    def take_closed(self, kline: Kline, warnings: tuple[str, ...] = (), source: RecordSource = "ws") -> Order:
        """A closed kline. `NEXT` and `AHEAD`: it is kept, and `release` gives it when it is its turn."""
        open_ms = kline.open_ms
        if 0 <= open_ms < self.due_ms:
            return self._judge_past(kline)
        known = self._held.get(open_ms)
        if known is not None and not is_revision(kline, known.kline):
            return Order.KNOWN
        if not self._has_place(open_ms):
            return Order.IMPLAUSIBLE
        if self.due_ms < 0:
            self.due_ms = open_ms
        if open_ms != self.due_ms and known is None and len(self._held) >= HELD_MAX:
            self._quiet_after_ms = max(self._quiet_after_ms, open_ms)
            return Order.BEYOND
        gaps = known.gaps if known is not None else []
        self._held[open_ms] = KlineUpdate(kline, self._after(open_ms), warnings, source=source, gaps=gaps)
        return Order.NEXT if open_ms == self.due_ms else Order.AHEAD

    def leave_to_rest(self, last_ms: int) -> None:
        """REST has answered, and what it left out up to this open time it may not have at all."""
        self._decided_ms = max(self._decided_ms, last_ms)

    def leave_to_ids(self, last_ms: int) -> None:
        """REST does not answer: what trade ids prove up to this open time is built."""
        self._trusted_ms = max(self._trusted_ms, last_ms)

    def leave_quiet(self, from_ms: int, until_ms: int) -> None:
        """All trades of this time are known, and all klines that have one were given: the others had none."""
        self._quiet_from_ms, self._quiet_until_ms = from_ms, until_ms

    @property
    def is_new(self) -> bool:
        """Whether the due kline has not come yet, and is not here any more."""
        return self.due_ms > self._quiet_after_ms and self.due_ms not in self._refused

    @property
    def end_ms(self) -> int:
        """When the due kline ends; -1 before the first closed one."""
        return -1 if self.due_ms < 0 else self._after(self.due_ms)

    def closed_around(self, time_ms: int) -> Kline | None:
        """The closed kline of that time, while it waits or is remembered."""
        closed = (each.kline for each in (*self._recent.values(), *self._held.values()))
        return next((kline for kline in closed if kline.open_ms <= time_ms <= kline.close_ms), None)

    def built_since(self, open_ms: int) -> list[Kline]:
        """Closed klines that were built and opened then or later, while they are remembered."""
        return [each.kline for at_ms, each in self._recent.items() if at_ms >= open_ms and each.source == "built"]

    def remembered(self, open_ms: int) -> Kline | None:
        """The closed kline that was given of that time, while it is remembered."""
        update = self._recent.get(open_ms)
        return None if update is None else update.kline

    def contradicted(self, kline: Kline) -> Kline | None:
        """The closed kline of the stream that came first, where this one of the same moment has other contents."""
        update = self._recent.get(kline.open_ms) or self._held.get(kline.open_ms)
        if update is None or update.source != "ws" or update.kline.event_ms != kline.event_ms:
            return None
        return None if content(update.kline) == content(kline) else update.kline

    def revise(self, kline: Kline) -> None:
        """REST has decided: who lost what was given gets this one. Copies of the frame are none of a later moment."""
        before = self._recent.get(kline.open_ms)
        if before is not None:
            decided = structs.replace(kline, event_ms=max(kline.event_ms, before.kline.event_ms))
            self._recent[kline.open_ms] = structs.replace(before, kline=decided, source="rest", check="unchecked")

    def is_awaited(self, open_ms: int) -> bool:
        """Whether nothing is known yet of the kline that opens then."""
        return 0 <= self.due_ms <= open_ms and open_ms not in self._held and open_ms not in self._refused

    def refuse(self, open_ms: int, rules: tuple[str, ...]) -> bool:
        """Whether this copy, which may not pass, is the first. A good one takes its place until a later one closed."""
        if not 0 <= self.due_ms <= open_ms:
            return False
        if not self._has_place(open_ms):
            return self.is_new_off_grid(open_ms)
        is_first = open_ms not in self._refused
        if len(self._refused) < REFUSED_MAX:
            self._refused[open_ms] = rules
        return is_first

    def is_new_off_grid(self, open_ms: int) -> bool:
        """Whether REST tells one that opens beside the grid for the first time: it has it in every answer."""
        is_first = open_ms not in self._off_grid
        self._off_grid[open_ms] = None
        if len(self._off_grid) > REFUSED_MAX:
            del self._off_grid[next(iter(self._off_grid))]
        return is_first

    def release(self) -> list[KlineUpdate]:
        """Closed klines whose turn it is, in order; what is proven to be without trades is made here.

        At most `RELEASED_MAX`: each update of a later kline, and the repair, call again.
        """
        released: list[KlineUpdate] = []
        while len(released) < RELEASED_MAX and (update := self._next()) is not None:
            released.append(self._pass(update))
        return released

    def pass_over(self, until_ms: int, reason: GapReason, rules: tuple[str, ...] = ()) -> Gap | None:
        """Go on at `until_ms`, an open time after the due one; the gap goes with the next closed kline."""
        if until_ms <= self.due_ms:
            return None
        last_ms, count = missing_range(self._calendar, self._interval, self.due_ms, until_ms)
        gap = Gap(self.due_ms, last_ms, count, reason, rules)
        add_gap(self._gaps, gap)
        self.due_ms = until_ms
        return gap

    def pass_refused(self) -> Gap | None:
        """The due kline was refused, and no good copy came in time."""
        rules = self._refused.pop(self.due_ms, None)
        if rules is None:
            return None
        return self.pass_over(self._calendar.next_open_ms(self._interval, self.due_ms), "refused", rules)

    def begin_at(self, open_ms: int) -> None:
        """Nothing of it is stored yet: the kline that opens then is its first."""
        self.due_ms = open_ms

    def begin_anew(self, since_ms: int) -> None:
        """The store has nothing any more: it gets what is remembered, and what is missing before, from `since_ms` on.

        Calendar months are given as far as they are remembered.
        """
        first_ms = min(self._recent, default=self.due_ms)
        if first_ms < 0:
            return
        step_ms = self._after(first_ms) - first_ms
        if not self._interval.endswith("M") and since_ms < first_ms:
            first_ms -= (first_ms - since_ms) // step_ms * step_ms
        self.rewind(first_ms)
        self._starts = self.is_lost = True

    def rewind(self, due_ms: int) -> None:
        """The store has what closed before `due_ms`, at our start or after it lost the rest.

        What is remembered is given again by `release`; what is not is missing.
        """
        self._starts = False
        self._quiet_after_ms = max(self._quiet_after_ms, self.due_ms - 1)
        again = {open_ms: update for open_ms, update in self._recent.items() if open_ms >= due_ms}
        for open_ms in again:
            del self._recent[open_ms]
        self._held = {open_ms: each for open_ms, each in (self._held | again).items() if open_ms >= due_ms}
        if due_ms < self.due_ms:
            self._later_gaps = self._gaps
        self._gaps = []
        self._chain_id = self._chain_before(due_ms)
        self.due_ms = due_ms

    def _chain_before(self, due_ms: int) -> int:
        before = self._recent.get(max(self._recent, default=-1))
        return before.kline.last_trade_id if before is not None and before.next_open_ms == due_ms else -1

    def _next(self) -> KlineUpdate | None:
        while self.due_ms >= 0:
            update = self._held.pop(self.due_ms, None)
            if update is not None:
                return update
            if not self._passes_explained():
                return self._built()
        return None

    def _passes_explained(self) -> bool:
        """Whether the due kline is known to be missing, and for what reason."""
        due_ms = self.due_ms
        while self._later_gaps and self._later_gaps[0].last < due_ms:
            del self._later_gaps[0]
        if self._later_gaps and self._later_gaps[0].first == due_ms:
            gap = self._later_gaps.pop(0)
            return self.pass_over(self._after(gap.last), gap.reason, gap.rules) is not None
        first_ms = min(self._held, default=None)
        if first_ms is None:
            return False
        if first_ms < due_ms:
            # It does not lie on the grid that the klines before it span.
            del self._held[first_ms]
            return True
        gaps = self._held[first_ms].gaps
        if gaps and gaps[0].first <= due_ms:
            for gap in explained_from(self._calendar, self._interval, gaps, due_ms):
                add_gap(self._gaps, gap)
            self.due_ms = first_ms
            return True
        return self.pass_refused() is not None

    def _built(self) -> KlineUpdate | None:
        """The due kline, when the trade ids around it prove that it had no trade."""
        before = self._recent.get(max(self._recent, default=-1))
        next_open_ms = self._calendar.next_open_ms(self._interval, self.due_ms)
        proven_ms = self._quiet_proven_ms(next_open_ms)
        if proven_ms is None or before is None:
            return None
        is_prompt = self.due_ms > self._decided_ms and proven_ms - next_open_ms <= BUILT_WITHIN_MS
        if not is_prompt and self.due_ms > self._trusted_ms:
            return None
        kline = without_trades(before.kline, self.due_ms, next_open_ms, proven_ms)
        if self._check(kline, self._chain_id) == "mismatch":
            return None
        return KlineUpdate(kline, next_open_ms, source="built")

    def _quiet_proven_ms(self, next_open_ms: int) -> int | None:
        """When it was proven that the due kline had no trade; None where it is not."""
        if self.is_new and self._quiet_from_ms <= self.due_ms and next_open_ms <= self._quiet_until_ms:
            return self._quiet_until_ms
        evidence = self._first_with_trades() if self._chain_id >= 0 else None
        return None if evidence is None or evidence.first_trade_id != self._chain_id + 1 else evidence.event_ms

    def _first_with_trades(self) -> Kline | None:
        """Of what came for later open times, the first that names its trade ids."""
        later = [update.kline for update in self._held.values()]
        if self._newest is not None:
            later.append(self._newest)
        ahead = (kline for kline in later if kline.open_ms > self.due_ms and kline.first_trade_id >= 0)
        return min(ahead, key=lambda kline: kline.open_ms, default=None)

    def _pass(self, update: KlineUpdate) -> KlineUpdate:
        kline = update.kline
        passed = structs.replace(update, gaps=self._gaps, begins=self._starts)
        if update.source == "ws" and update.check == "unchecked":
            passed.check = self._check(kline, -1 if self._gaps else self._chain_id)
        self._gaps, self._starts, self.is_lost = [], False, False
        if kline.last_trade_id >= 0:
            self._chain_id = kline.last_trade_id
        elif kline.trades != 0:
            # REST names no ids, or it is not told how many trades there were.
            self._chain_id = -1
        self.due_ms = update.next_open_ms
        self.open_ms, self.event_ms = max((self.open_ms, self.event_ms), (kline.open_ms, kline.event_ms))
        self._remember(passed)
        for open_ms in [open_ms for open_ms in self._refused if open_ms < self.due_ms]:
            del self._refused[open_ms]
        return passed

    def _judge_past(self, kline: Kline) -> Order:
        before = self._recent.get(kline.open_ms)
        if before is not None:
            if not is_revision(kline, before.kline):
                return Order.KNOWN
            # What was released stays as it is: it may still wait in the outlet.
            self._recent[kline.open_ms] = structs.replace(before, kline=kline)
            return Order.REVISED
        if not self._recent or kline.open_ms < min(self._recent):
            return Order.KNOWN
        # Its place was passed over; from now on it is known.
        self._remember(KlineUpdate(kline, self._after(kline.open_ms)))
        return Order.LATE

    def _remember(self, update: KlineUpdate) -> None:
        self._recent[update.kline.open_ms] = update
        if len(self._recent) > RECENT_KEPT:
            del self._recent[min(self._recent)]

    def _has_place(self, open_ms: int) -> bool:
        """Whether it lies on the grid of those that have closed; the first one tells where that is."""
        if self.due_ms < 0 or open_ms == self.due_ms:
            return True
        last_ms, _ = missing_range(self._calendar, self._interval, self.due_ms, open_ms)
        return self._after(last_ms) == open_ms

    def _after(self, open_ms: int) -> int:
        return self._calendar.next_open_ms(self._interval, open_ms)
