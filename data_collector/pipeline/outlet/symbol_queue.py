"""What waits for the store of one symbol. The outlet owns it: everyone else reads it at most."""

from __future__ import annotations

from data_collector.model.gaps import Gap
from data_collector.model.keys import Collected
from data_collector.model.records import Trade
from data_collector.model.sink import KlineUpdate, NewestUpdate, Refusal, TradeRun, place_of
from data_collector.model.wire import json_text, trade_time_text


class SymbolQueue:
    """One symbol: runs of trades, klines, the newest states."""

    __slots__ = (
        "_end_id", "after_id", "begins", "closed", "dirty", "ended_ms", "entries", "epoch", "first_id",
        "is_suspended", "lost", "newest", "oldest_ns", "open", "origin_id", "passed", "refused", "runs", "states",
        "symbol", "symbol_json",
    )  # fmt: skip

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.symbol_json = json_text(symbol)
        self.epoch = 0
        """Of what is put here now; runs that wait may be of an older one."""
        self.ended_ms: dict[int, int] = {}
        """Epochs whose ids the next one ran past unseen: what the spool has of them from then on is of the next."""
        self.is_suspended = False
        """Whether the exchange's ids seem to have begun anew: it cannot be asked for those that we know."""
        self.dirty = False
        """Whether the next batch takes something of it."""
        self.runs: list[TradeRun] = []
        """Runs that have ended."""
        self.refused: dict[int, Refusal] = {}
        """Refused trades that go with the run that passes over them, or follows them."""
        self.passed: list[Gap] = []
        """What was passed over since the newest run, explained."""
        self.origin_id = -1
        """The first trade id that the store has, or had when we began."""
        self.begins = False
        """Whether the next run may begin a stream, or an epoch: there was none."""
        self.after_id = -1
        """Of an epoch that it begins: the last id of the epoch before, as the store has it."""
        self.lost = False
        """The store had a stream once and has none any more: when the first trade comes, it is filled again."""
        self.closed: list[KlineUpdate] = []
        self.open: dict[str, KlineUpdate] = {}
        self.states: dict[Collected, NewestUpdate] = {}
        """Of each channel of which the newest record counts."""
        self.start(-1)

    @property
    def next_id(self) -> int:
        """The id after all trades that were put here or passed over; -1 before the first."""
        return self._end_id if self.newest is None else self.newest.trade_id + 1

    @property
    def has_trades(self) -> bool:
        """Whether trades wait, or what was passed over."""
        return bool(self.runs or self.entries or self.passed)

    @property
    def place(self) -> str:
        """Where the spool keeps what is put here."""
        return place_of(self.symbol, self.epoch)

    def begin_epoch(self, epoch: int, next_id: int) -> None:
        """Ids are those of this epoch from now on, and `next_id` comes next; -1 when the feed is to tell."""
        self.epoch = epoch
        self.is_suspended = self.begins = self.lost = False
        self.origin_id = -1
        self.passed = []
        self.start(next_id)

    def begin_behind(self, after_id: int) -> None:
        """The next run may begin a stream (-1), or an epoch behind this id of the one before."""
        self.begins, self.after_id = True, after_id

    def start(self, next_id: int) -> None:
        """No trade is in the run that grows, and this one comes next."""
        self._end_id = next_id
        self.first_id = -1
        """Of the run that grows, as the three below."""
        self.entries: list[int | str] = []
        self.newest: Trade | None = None
        self.oldest_ns = 0

    def cut_run(self) -> TradeRun | None:
        """The run that grew, or one without trades when something was passed over and nothing followed."""
        newest = self.newest
        if newest is None and not self.passed:
            return None
        next_id = self.next_id
        first_id = next_id if newest is None else self.first_id
        # Refused ids beyond this run belong to a later one.
        refused = {number: refusal for number, refusal in self.refused.items() if number < next_id}
        for number in refused:
            del self.refused[number]
        price, time_text, newest_ns = "", "", 0
        if newest is not None:
            price, time_text = newest.price, trade_time_text(newest.time_ms, newest.sub_ms_us)
            newest_ns = newest.received_ns
        run = TradeRun(
            self.symbol, first_id, self.entries, price, time_text, self.oldest_ns, newest_ns, refused, self.passed,
            self.begins, self.epoch, self.after_id if self.begins else -1,
        )  # fmt: skip
        self.begins = False
        self.passed = []
        self.start(next_id)
        return run

    def drop_runs(self) -> int:
        """Forget the runs that have ended; how many trades they hold."""
        count = sum(run.count for run in self.runs)
        self.runs.clear()
        return count

    def take_klines(self) -> list[KlineUpdate]:
        """The closed ones in order, then the newest state of each open one."""
        updates = self.closed + list(self.open.values())
        self.closed, self.open = [], {}
        return updates
