"""The statistics of the last 24 hours, exactly those of the trades that are still to be had."""

from __future__ import annotations

from data_collector.model.calendar import DAY_MS, MINUTE_MS
from data_collector.model.records import Ticker
from data_collector.simulator.amounts import SCALE, amount_text, percent_text, rounded_quotient
from data_collector.simulator.market.book import Book
from data_collector.simulator.market.past import Past, joined
from data_collector.simulator.market.tape import Tape, Totals


class RollingWindow:
    """Sums that gain the new trades and lose the old ones; advanced only when somebody asks."""

    def __init__(self, tape: Tape, past: Past | None, start_price: int) -> None:
        self._tape = tape
        self._past = past
        self._edge_ms = 0
        """Nothing from before is inside; 0 until the first question."""
        self._first_id = 0
        self._end_id = 0
        self._count = 0
        self._volume = 0
        self._quote_volume = 0
        self._high = 0
        self._low = 0
        self._price_before = start_price

    @property
    def span(self) -> tuple[int, int]:
        """First trade id inside and first id not yet seen: equal spans mean an unchanged ticker."""
        return self._first_id, self._end_id

    def advance(self, now_ms: int) -> None:
        """Take in the new trades of the tape and drop those older than 24 hours."""
        edge_ms = now_ms - DAY_MS
        if not self._edge_ms:
            self._edge_ms = edge_ms
            self._gain(self._older(edge_ms))
            if self._past is not None:
                self._price_before = self._past.close_before(edge_ms) or self._price_before
        self.gain()
        self._lose(edge_ms)

    def gain(self) -> None:
        """Take in the new trades; must be called before the tape is cut."""
        if not self._edge_ms:
            return
        start, end = self._tape.position_of_id(self._end_id), len(self._tape)
        self._gain(self._tape.totals(start, end) if start < end else None)

    def forget(self, position: int) -> None:
        """Drop what lies before a position at which the tape is about to be cut, and what was never on it."""
        tape, self._past = self._tape, None
        self._end_id = self._count = self._volume = self._quote_volume = 0
        self._price_before = tape.prices[position - 1] if position else self._price_before
        self._gain(tape.totals(position, len(tape)) if position < len(tape) else None)

    def _gain(self, part: Totals | None) -> None:
        if part is None:
            return
        if not self._count:
            self._first_id = part.first_id
        self._high = max(self._high, part.high) if self._count else part.high
        self._low = min(self._low, part.low) if self._count else part.low
        self._count += part.count
        self._volume += part.volume
        self._quote_volume += part.quote_volume
        self._end_id = part.last_id + 1

    def _older(self, first_ms: int, end_ms: int = 2**62) -> Totals | None:
        """What was traded between two moments and is not on the tape."""
        end_ms = min(end_ms, self._tape.begin_minute * MINUTE_MS)
        return self._past.totals(first_ms, end_ms) if self._past is not None and first_ms < end_ms else None

    def _lose(self, edge_ms: int) -> None:
        tape = self._tape
        start, end = tape.position_of_id(self._first_id), tape.position_of_time(edge_ms * 1000)
        part = joined([self._older(self._edge_ms, edge_ms), tape.totals(start, end) if start < end else None])
        self._edge_ms = edge_ms
        if part is None:
            return
        self._count -= part.count
        self._volume -= part.volume
        self._quote_volume -= part.quote_volume
        self._price_before = part.close
        self._first_id = part.last_id + 1
        if self._count and (part.high == self._high or part.low == self._low):
            rest = joined([self._older(edge_ms), tape.totals(end, len(tape)) if end < len(tape) else None])
            assert rest is not None, "there are trades inside"
            self._high, self._low = rest.high, rest.low

    def _first(self) -> tuple[int, int]:
        """Id and price of the first trade inside."""
        tape = self._tape
        if self._past is not None and self._first_id < tape.id_at(0):
            return self._first_id, self._past.price_of(self._first_id)
        position = tape.position_of_id(self._first_id)
        return tape.id_at(position), tape.prices[position]

    def ticker(self, symbol: str, book: Book, now_ms: int, event_ms: int) -> Ticker:
        """The 24-hour ticker at `now_ms`; call `advance` first."""
        tape = self._tape
        empty = self._count == 0
        # As on the first exchange: it has no last price for a day without a trade, but the price before it.
        last_price = 0 if empty else tape.prices[-1]
        first_id, open_price = (-1, 0) if empty else self._first()
        change = last_price - open_price
        average = 0 if empty else rounded_quotient(self._quote_volume * SCALE, self._volume)
        return Ticker(
            symbol=symbol,
            price_change=amount_text(change),
            price_change_percent=percent_text(change, open_price),
            weighted_avg_price=amount_text(average),
            prev_close_price=amount_text(self._price_before),
            last_price=amount_text(last_price),
            last_qty=amount_text(0 if empty else tape.quantities[-1]),
            bid_price=amount_text(book.bid),
            bid_qty=amount_text(book.quantity_at(book.bid)),
            ask_price=amount_text(book.ask),
            ask_qty=amount_text(book.quantity_at(book.ask)),
            open_price=amount_text(open_price),
            high_price=amount_text(0 if empty else self._high),
            low_price=amount_text(0 if empty else self._low),
            volume=amount_text(self._volume),
            quote_volume=amount_text(self._quote_volume),
            open_time=now_ms - DAY_MS,
            close_time=now_ms,
            first_id=first_id,
            last_id=-1 if empty else tape.last_id,
            count=self._count,
            event_ms=event_ms,
        )
