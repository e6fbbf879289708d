"""From a message to the outlet in plain function calls: order, check, put. No task, queue or await.

Life cycle: the service makes one intake; every socket calls `receive` with what it has decoded. It runs on the event
loop and raises nothing for what an exchange sends: a bad frame is counted and kept in quarantine, and the next one is
read. Trades have a sequencer of their own (`pipeline.sequence.trade_intake`).
"""

from __future__ import annotations

import time
from collections.abc import Callable

from data_collector.candles.building import NEVER
from data_collector.model.channels import NewestRecord, collected, key_of, number_of, sent_ms_of
from data_collector.model.gate import AuditNotes, Gate, Verdict
from data_collector.model.keys import Key
from data_collector.model.records import Kline, Record, Ticker, Trade
from data_collector.model.venue import Head, UnknownEvent
from data_collector.observe.counters import Counters
from data_collector.pipeline.connections.websocket import Received, Unreadable
from data_collector.pipeline.gaps.ledger import Ledger
from data_collector.pipeline.outlet.outlet import Outlet
from data_collector.pipeline.sequence.kline_intake import KlineIntake
from data_collector.pipeline.sequence.refusals import Refusals
from data_collector.pipeline.sequence.tally import TIME_JUMP, Tally, also_refused
from data_collector.pipeline.sequence.trade_intake import TradeIntake
from data_collector.pipeline.sequence.trade_sequence import JUMP_MAX
from data_collector.pipeline.sequence.wanted_klines import WantedKlines

TICKER_LAG_MS = 1_000
"""A ticker names the last trade as it was so long before it was sent, at the most."""


class Intake:
    """Where all lines meet."""

    def __init__(
        self, gate: Gate, outlet: Outlet, klines: WantedKlines, counters: Counters, audit: AuditNotes,
        clock: Callable[[], float] = time.monotonic, *, ledger: Ledger | None = None,
    ) -> None:  # fmt: skip
        self._outlet = outlet
        self._counters = counters
        self.refusals = Refusals(outlet, gate, counters)
        self.tally = Tally(self.refusals, counters, audit, clock)
        ledger = ledger or Ledger(time.time)
        self.trades = TradeIntake(outlet, gate, self.tally, self.refusals, ledger, counters, audit, clock)
        self._take_trade = self.trades.take
        self.use(gate)
        self._sequences = self.trades.sequences
        self.klines = KlineIntake(
            outlet, klines, self.tally, self.refusals, ledger, counters, self._sequences, self.trades.contradictions
        )
        self._newest = dict.fromkeys((Key("ticker", symbol) for symbol in outlet.queues), -1)
        """The number of the newest record of streams of which the newest counts; tickers come from REST too."""
        self.spoken: dict[Key, int] = {}
        """The number of the newest record that a stream brought."""
        self.statistics: dict[str, Ticker] = {}
        """The newest ticker of each symbol: REST's where no stream has brought any."""

    def use(self, gate: Gate) -> None:
        """Judge by this gate from now on."""
        self._check = gate.check
        self.trades.use(gate)
        self.refusals.gate = gate

    def add(self, key: Key) -> None:
        """It is collected from now on; its symbol has a queue in the outlet."""
        self.trades.add(key.symbol)
        self._newest.setdefault(Key("ticker", key.symbol), -1)
        channel = collected(key)
        if channel is not None and not channel.has_gaps:
            self._newest.setdefault(key, -1)

    def remove(self, key: Key) -> None:
        """It is collected no longer. Tickers go on: they come from REST too."""
        if key.channel != "ticker":
            self._newest.pop(key, None)
            self.spoken.pop(key, None)

    def forget(self, symbol: str) -> None:
        """Nothing comes of the symbol any more."""
        self.trades.forget(symbol)
        self.statistics.pop(symbol, None)
        for key in [key for key in self._newest if key.symbol == symbol]:
            del self._newest[key]
            self.spoken.pop(key, None)

    def release_held(self, *, everything: bool = False) -> None:
        """Let go trades that were held back, as far as their time is over; `everything`: nothing comes any more."""
        if everything:
            self.settle(len(self.tally.doubted))
        for sequence in self.trades.holdback.sequences:
            self.trades.release(sequence, at_once=everything)
            if everything and sequence.next_id >= 0:
                self.trades.spill(sequence)

    def settle(self, count: int) -> None:
        """The exchange's clock is known as well as can be: so many that were put aside pass, or are refused."""
        doubted = self.tally.doubted
        self.tally.is_settling = True
        try:
            for _ in range(min(count, len(doubted))):
                self.receive(doubted.popleft())
        finally:
            self.tally.is_settling = False

    def receive(self, received: Received) -> None:
        """What one message of any line holds."""
        if type(received) is Trade:
            self._take_trade(received)
        elif isinstance(received, list):
            for record in received:
                if type(record) is Trade:
                    self._take_trade(record)
                else:
                    self._take_other(record)
        elif type(received) is Kline:
            self.klines.take(received)
        elif isinstance(received, UnknownEvent):
            self._counters.add("data_collector_events_unknown_total")
        elif isinstance(received, Unreadable):
            self._refuse_frame(received)
        elif isinstance(received, Head):
            self.take_head(received.symbol, received.trade_id)
        else:
            self._take_other(received)

    def take_statistics(self, ticker: Ticker) -> None:
        """A ticker that we asked REST for: it keeps `latest:` current, and is no message of the feed."""
        key = key_of(ticker)
        if ticker.event_ms <= self._newest.get(key, ticker.event_ms):
            return
        verdict = self._check_newest(ticker)
        if verdict is not None and verdict.critical:
            self._counters.add("data_collector_statistics_refused_total")
            return
        self._put_newest(key, ticker, verdict)

    def take_head(self, symbol: str, trade_id: int, time_ms: int | None = None) -> None:
        """The newest trade id, where no ticker names it; one that jumps is not believed.

        The exchange had none with a later id at `time_ms`, where that is known.
        """
        if symbol in self._sequences and not self._jumps(symbol, trade_id):
            self.trades.learn_reference(symbol, trade_id)
            if time_ms is not None:
                self.klines.prove(symbol, trade_id, time_ms, NEVER)

    def _take_newest(self, key: Key, record: NewestRecord) -> None:
        """A record of a stream of which the newest counts."""
        number = number_of(record)
        if number <= self._newest[key] and not self._is_disproved(key, record):
            self.tally.copy(key.channel)
            return
        verdict = self._check_newest(record)
        if verdict is not None and TIME_JUMP in verdict.critical and self.tally.sets_aside(record):
            return
        if self.tally.passes(record, key.channel, verdict):
            self.spoken[key] = number
            self._put_newest(key, record, verdict)

    def _is_disproved(self, key: Key, record: NewestRecord) -> bool:
        """Whether the time of the newest one, which was believed while nobody else told any, has not come."""
        newest_ms, tally = self._newest[key], self.tally
        if sent_ms_of(record) is None or newest_ms <= tally.event_limit_ms:
            return False
        clock = tally.listen()
        return clock.is_vouched_for and not clock.agrees(newest_ms)

    def _put_newest(self, key: Key, record: NewestRecord, verdict: Verdict | None) -> None:
        self._newest[key] = number_of(record)
        self._outlet.put_newest(record, verdict.warnings if verdict is not None else ())
        self._learn(record)

    def _learn(self, record: NewestRecord) -> None:
        self.tally.other_event_ms = max(self.tally.other_event_ms, sent_ms_of(record) or 0)
        if not isinstance(record, Ticker):
            return
        if record.received_ns or key_of(record) not in self.spoken:
            self.statistics[record.symbol] = record
        if record.last_id is not None:
            self.trades.learn_reference(record.symbol, record.last_id)
            at_ms = record.event_ms
            self.klines.prove(record.symbol, record.last_id, at_ms - TICKER_LAG_MS, at_ms + TICKER_LAG_MS)

    def _take_other(self, record: Record) -> None:
        """Whatever is no trade."""
        if isinstance(record, Kline):
            self.klines.take(record)
            return
        key = key_of(record)
        if record.symbol not in self._sequences or key in self.tally.former:
            self.tally.refuse_unknown(record)
        elif isinstance(record, NewestRecord) and key in self._newest:
            self._take_newest(key, record)
        else:
            # For a subclass alone.
            self.tally.passes(record, "other", self._check(record))

    def _check_newest(self, record: NewestRecord) -> Verdict | None:
        verdict = self._check(record)
        sent_ms = sent_ms_of(record)
        if sent_ms is not None:
            # One from the future would keep out all that follow.
            verdict = self.tally.judged_in_time(sent_ms, verdict)
        if not isinstance(record, Ticker) or record.last_id is None:
            return verdict
        if self._jumps(record.symbol, record.last_id) and not (verdict is not None and verdict.critical):
            return also_refused("trade_id_jump", verdict)
        return verdict

    def _jumps(self, symbol: str, trade_id: int) -> bool:
        sequence = self._sequences[symbol]
        return 0 <= max(sequence.next_id, sequence.reference_id) < trade_id - JUMP_MAX

    def _refuse_frame(self, unreadable: Unreadable) -> None:
        self.tally.judged += 1
        self.tally.errors += 1
        self.refusals.quarantine_frame(unreadable.frame, unreadable.error, self._sequences)
