"""The statistics of the last 24 hours, exactly those of the trades that are still on the tape."""

from __future__ import annotations

from data_collector.model.calendar import DAY_MS
from data_collector.model.records import Ticker
from data_collector.simulator.amounts import SCALE, amount_text, percent_text, rounded_quotient
from data_collector.simulator.market.book import Book
from data_collector.simulator.market.tape import Tape


class RollingWindow:
    """Sums that gain the new trades and lose the old ones; advanced only when somebody asks."""

    def __init__(self, tape: Tape, start_price: int) -> None:
        self._tape = tape
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
        tape = self._tape
        self._gain(tape.position_of_id(self._end_id), len(tape))
        self._lose(tape.position_of_time((now_ms - DAY_MS) * 1000))

    def forget(self, position: int) -> None:
        """Drop what lies before a position at which the tape is about to be cut."""
        self._gain(self._tape.position_of_id(self._end_id), len(self._tape))
        self._lose(position)

    def _gain(self, start: int, end: int) -> None:
        if start == end:
            return
        part = self._tape.totals(start, end)
        self._high = max(self._high, part.high) if self._count else part.high
        self._low = min(self._low, part.low) if self._count else part.low
        self._count += part.count
        self._volume += part.volume
        self._quote_volume += part.quote_volume
        self._end_id = part.last_id + 1

    def _lose(self, end: int) -> None:
        tape = self._tape
        start = tape.position_of_id(self._first_id)
        if start >= end:
            return
        part = tape.totals(start, end)
        self._count -= part.count
        self._volume -= part.volume
        self._quote_volume -= part.quote_volume
        self._price_before = part.close
        self._first_id = part.last_id + 1
        if self._count and (part.high == self._high or part.low == self._low):
            rest = tape.prices[end:]
            self._high, self._low = max(rest), min(rest)

    def ticker(self, symbol: str, book: Book, now_ms: int, event_ms: int) -> Ticker:
        """The 24-hour ticker at `now_ms`; call `advance` first."""
        tape = self._tape
        empty = self._count == 0
        first = tape.position_of_id(self._first_id)
        # Like Binance: it has no last price for a day without a trade, but the price before it.
        last_price = 0 if empty else tape.prices[-1]
        open_price = 0 if empty else tape.prices[first]
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
            first_id=-1 if empty else tape.id_at(first),
            last_id=-1 if empty else tape.last_id,
            count=self._count,
            event_ms=event_ms,
        )
