"""The whole way of trades without sockets, disk or server: two lines, sequencer, outlet, a store, and the repairs.

Nothing here waits: the clock is the test's, and coroutines run until the exchange's answer is due. A test lets the
answer come when it likes, so that anything may happen in between.
"""

from __future__ import annotations

import json
from collections.abc import Coroutine, Generator, Sequence
from typing import TypeVar

from data_collector.model.calendar import UtcCalendar
from data_collector.model.errors import SinkUnavailable, VenueUnreachable
from data_collector.model.gaps import Gap, gaps_after
from data_collector.model.keys import Key
from data_collector.model.records import Ticker, Trade
from data_collector.model.sink import Batch, Behind, TradeRun, TradeTail
from data_collector.model.venue import KlinePage, SymbolRules, TradePage, TradePlace
from data_collector.observe.counters import Counters
from data_collector.pipeline.gaps.ledger import Ledger
from data_collector.pipeline.outlet.outlet import RECORDS_MAX, Outlet
from data_collector.pipeline.outlet.pump import Pump
from data_collector.pipeline.repair.new_lives import NewLives
from data_collector.pipeline.repair.places import Places
from data_collector.pipeline.repair.refill import Reach, Refill
from data_collector.pipeline.repair.resuming import resume
from data_collector.pipeline.repair.trade_repair import TradeRepair
from data_collector.pipeline.sequence.intake import Intake
from data_collector.pipeline.sequence.wanted_klines import WantedKlines
from data_collector.pipeline.spool.spool import Spool
from data_collector.venues.binance.codec import BinanceCodec
from data_collector.venues.binance.speaker.frames import encode
from tests.judging import Notebook, shipped_gate
from tests.market import NOON_MS, SYMBOL, ticker, trade
from tests.receiving import receive
from tests.unit.pipeline.life_scene import Register

CODEC = BinanceCodec()
EVERYTHING = Reach(10**9, 10**9)
GOOD, BAD = "1.5", "0"

Answer = TypeVar("Answer")


class Turn:
    """Awaited: whoever drives the coroutine decides when it goes on."""

    def __await__(self) -> Generator[None, None, None]:
        yield


class Exchange:
    """The tape, as the REST side tells it."""

    def __init__(self) -> None:
        self.tape: list[int] = []
        """What was traded, so far."""
        self.bad: set[int] = set()
        """Ids of which REST tells nonsense."""
        self.up = True

    @property
    def background_weight_per_minute(self) -> int:
        return 2700

    @property
    def key_wanted(self) -> str | None:
        return None

    @property
    def weight_used(self) -> int:
        return 0

    async def symbols(self) -> dict[str, SymbolRules]:
        return {}

    async def tickers(self, symbols: Sequence[str]) -> list[Ticker]:
        self._answer()
        return [ticker(NOON_MS, first_id=1, last_id=self.tape[-1])] if self.tape else []

    async def server_time_ms(self) -> int:
        return NOON_MS

    async def trades(
        self, symbol: str, from_id: int, *, near: TradePlace | None = None, limit: int = 1000, urgent: bool = False
    ) -> TradePage:
        await Turn()
        self._answer()
        ids = [trade_id for trade_id in self.tape if trade_id >= from_id]
        trades = [self.made(trade_id, good=trade_id not in self.bad, received_ns=0) for trade_id in ids[:limit]]
        return TradePage(trades, reaches_head=len(ids) <= limit)

    async def first_trade_id(self, symbol: str, since_ms: int, *, urgent: bool = False) -> int | None:
        await Turn()
        self._answer()
        return next((trade_id for trade_id in self.tape if NOON_MS + trade_id >= since_ms), None)

    async def klines(
        self, symbol: str, interval: str, first_ms: int, last_ms: int, *, urgent: bool = False
    ) -> KlinePage:
        return KlinePage([], first_ms, first_ms - 1)

    async def heads(self, symbols: Sequence[str]) -> dict[str, int]:
        return {}

    async def first_trade_ms(self, symbol: str) -> int | None:
        return None

    async def newest_trade_id(self, symbol: str) -> int | None:
        return None

    async def close(self) -> None:
        pass

    def made(self, trade_id: int, *, good: bool, received_ns: int = 1) -> Trade:
        """A trade of this tape."""
        time_ms = NOON_MS + trade_id
        price = GOOD if good else BAD
        return trade(trade_id, price=price, time_ms=time_ms, event_ms=time_ms, received_ns=received_ns)

    def _answer(self) -> None:
        if not self.up:
            raise VenueUnreachable("The exchange is away.")


class Store:
    """Compare and append, as the server does it; older states of it can come back."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.gaps: list[Gap] = []
        self.tail: int | None = None
        self.up = True
        self._states: list[tuple[list[int], list[Gap], int | None]] = []

    async def write(self, batch: Batch) -> list[Behind]:
        if not self.up:
            raise SinkUnavailable("The store is away.")
        self._states.append((list(self.ids), list(self.gaps), self.tail))
        behind: dict[str, Behind] = {}
        for run in batch.trades:
            texts = [json.loads(str(text))["trade_id"] for text in run.entries[1::2]]
            assert texts == list(range(run.first_id, run.first_id + run.count)), "a run has no hole"
            if not self._append(run, texts):
                behind.setdefault(
                    run.symbol, Behind(Key("trade", run.symbol), None if self.tail is None else self.tail + 1)
                )
        return list(behind.values())

    async def tails(self, symbols: Sequence[str]) -> dict[str, TradeTail | None]:
        if not self.up:
            raise SinkUnavailable("The store is away.")
        if self.tail is None:
            return {}
        if not self.ids:
            return {SYMBOL: TradeTail(self.tail + 1, self.tail)}
        first_id, newest_id = self.ids[0], self.ids[-1]
        return {SYMBOL: TradeTail(first_id, self.tail, last_ms=NOON_MS + newest_id, stored_id=newest_id)}

    def roll_back(self, steps: int) -> None:
        """The state before so many writes."""
        if self._states:
            del self._states[max(len(self._states) - steps, 0) + 1 :]
            self.ids, self.gaps, self.tail = self._states.pop()

    def wipe(self) -> None:
        self.ids, self.gaps, self.tail = [], [], None
        self._states.clear()

    def _append(self, run: TradeRun, ids: list[int]) -> bool:
        if self.tail is None:
            if not run.begins:
                return False
        elif run.start_id > self.tail + 1:
            return False
        elif run.first_id > self.tail + 1:
            told = gaps_after(run.gaps, self.tail)
            assert [gap.first for gap in told] == [self.tail + 1, *(gap.last + 1 for gap in told[:-1])]
            assert told[-1].last == run.first_id - 1
            assert all(gap.count == gap.last - gap.first + 1 for gap in told)
            self.gaps += told
            self.tail = run.first_id - 1
        before = -1 if self.tail is None else self.tail
        self.ids += [number for number in ids if number > before]
        if ids:
            self.tail = max(before, ids[-1])
        return True


class Memory(Spool):
    """Remembers all runs, so that a test can say what a killed process leaves."""

    def __init__(self, runs: Sequence[TradeRun] = ()) -> None:
        super().__init__(None, Counters(), symbols=[SYMBOL])
        self.runs: list[TradeRun] = []
        self.append(runs)

    def append(self, runs: Sequence[TradeRun]) -> None:
        self.runs += runs
        super().append(runs)


class Chain:
    """One symbol; a process after the other."""

    def __init__(self, *, records_max: int = RECORDS_MAX) -> None:
        self.now_s = 1_000.0
        self.exchange = Exchange()
        self.store = Store()
        self.memory = Memory()
        self.epochs = Register()
        self.refused: set[int] = set()
        """Ids of which a bad copy came by a line."""
        self._records_max = records_max
        self._job: Coroutine[object, None, None] | None = None
        self.begin()

    def begin(self) -> None:
        """A process starts; the store answers."""
        counters = Counters()
        # What a process learns of files it has when it starts anew.
        self.outlet = Outlet([SYMBOL], self.memory, records_max=self._records_max, clock=self.clock)
        self.ledger = Ledger(self.clock, counters)
        self.intake = Intake(
            shipped_gate(), self.outlet, WantedKlines(UtcCalendar(), ["1m"]), counters, Notebook(),
            clock=self.clock, ledger=self.ledger,
        )  # fmt: skip
        refill = Refill(
            self.outlet, self.intake.refusals, self.memory, self.exchange, self.ledger, EVERYTHING, lambda: NOON_MS,
            self.clock, note=self.intake.tally.note_refilled,
            places=Places(self.intake.trades.sequences), page_trades=1_000,
        )  # fmt: skip
        self.repair = TradeRepair(
            self.outlet, self.intake.trades, refill, self.memory, self.ledger, counters, self.clock
        )
        trades = self.intake.trades
        self.lives = NewLives(trades, self.exchange, self.epochs, counters, is_automatic=True)
        self.pump = Pump(
            self.outlet, self.store, trades.lives, counters, flush_s=0.0, go_back=self.intake.klines.go_back
        )
        self.sequence = trades.sequences[SYMBOL]
        self._batch: Batch | None = None
        self._job = None
        up, self.store.up = self.store.up, True
        resume([self.sequence], self.outlet, self.memory, ended(self.store.tails([SYMBOL])))
        self.store.up = up

    def clock(self) -> float:
        return self.now_s

    def arrive(self, trade_id: int, *, good: bool = True) -> None:
        """A copy comes by a line."""
        if not good:
            self.refused.add(trade_id)
        receive(self.intake, encode(self.exchange.made(trade_id, good=good)))
        assert self.intake.tally.judged == self.intake.tally.validated + self.intake.tally.errors

    def name_head(self, trade_id: int) -> None:
        """A ticker tells the newest id."""
        event_ms = NOON_MS + int(1_000 * self.now_s)
        receive(self.intake, encode(ticker(event_ms, first_id=1, last_id=trade_id)))

    def wait(self, seconds: float) -> None:
        """Time passes, and the repair looks what waits. What it asks the exchange is answered by `answer`."""
        self.now_s += seconds
        self.outlet.end_runs()
        self.intake.trades.look_at_heads()
        self.repair.look()
        if self._job is None:
            self._job = self.repair.work_off()
            self.answer()
        look = self.lives.look()
        while not stepped(look):
            pass

    def answer(self) -> None:
        """What the exchange was asked is answered, and the repair goes on to its next question."""
        if self._job is not None and stepped(self._job):
            self._job = None

    def flush(self, *, reply_lost: bool = False) -> None:
        """A batch is written, unless the store is away; `reply_lost`: it is, and will be written again."""
        batch = self._batch or self.outlet.take()
        self._batch = batch or None
        try:
            behind = ended(self.store.write(batch))
        except SinkUnavailable:
            return
        if reply_lost:
            return
        self._batch = None
        for each in behind:
            self.pump.note_behind(each)

    def verify(self) -> None:
        """The pump asks the store whether it still has what it acknowledged."""
        if self._batch is None:
            ended(self.pump.verify_tails())

    def stop(self) -> None:
        """In order: what waits is written, or kept."""
        self.intake.release_held(everything=True)
        while self.store.up and (self._batch is not None or self.outlet.waiting.is_set()):
            self.flush()
        self.outlet.end_runs()
        self.begin()

    def kill(self, unsynced: int) -> None:
        """At once; the newest runs had not reached the disk."""
        kept = self.memory.runs
        self.memory = Memory(kept[: max(len(kept) - unsynced, 0)])
        self.begin()

    def end(self) -> None:
        """Everything is up again, and time enough passes."""
        self.exchange.up = self.store.up = True
        for _ in range(80):
            self.wait(1.0)
            if self.exchange.tape:
                self.name_head(self.exchange.tape[-1])
            while self._job is not None:
                self.answer()
            self.flush()
            self.verify()
            sequence = self.sequence
            waits = SYMBOL in self.outlet.debts or self.outlet.waiting.is_set() or sequence.gap or sequence.held
            if sequence.reported is not None:
                continue
            if not waits and (sequence.next_id < 0 or sequence.next_id > sequence.reference_id):
                return
        raise AssertionError("it never settles")

    def check_order(self) -> None:
        """What holds at any time."""
        store = self.store
        told = [number for gap in store.gaps for number in range(gap.first, gap.last + 1)]
        assert sorted(set(store.ids)) == store.ids
        assert len(told) == len(set(told))
        if store.ids:
            assert store.tail is not None
            assert sorted(told + store.ids) == list(range(store.ids[0], store.tail + 1))

    def check(self) -> None:
        """What holds when all is over."""
        self.check_order()
        assert self.epochs.known == {}, "ids never begin anew"
        store, exchange = self.store, self.exchange
        if store.ids:
            assert store.tail == exchange.tape[-1]
        for gap in store.gaps:
            ids = set(range(gap.first, gap.last + 1))
            assert gap.reason in {"absent", "refused"}, gap
            if gap.reason == "absent":
                assert not ids & set(exchange.tape)
            else:
                assert ids <= self.refused | exchange.bad
        assert set(store.ids) <= set(exchange.tape)
        assert self.ledger.status().open_count == 0


def stepped(job: Coroutine[object, None, None]) -> bool:
    """Run it up to its next question; whether it is over."""
    try:
        job.send(None)
    except StopIteration:
        return True
    return False


def ended(job: Coroutine[object, None, Answer]) -> Answer:
    """Run to its end what waits for nothing."""
    try:
        job.send(None)
    except StopIteration as end:
        answer: Answer = end.value
        return answer
    raise AssertionError("it waits for something")
