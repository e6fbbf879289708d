"""The market: every symbol's orders, drawn from the seed, and all that follows from them.

Pure: time is what the caller says it is. The trades of a minute are what the symbol's flow has for it, so the tape does
not depend on how often or in what steps the market is asked to move on, and what has left it can be made again.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from msgspec import structs

from data_collector.model.calendar import DAY_MS, MINUTE_MS
from data_collector.model.records import Kline, Ticker, Trade
from data_collector.simulator.listing import Listing, listing_of
from data_collector.simulator.market.book import Book
from data_collector.simulator.market.candles import INTERVALS, Candle, CandleSeries, kline_record
from data_collector.simulator.market.factors import HOUR_MINUTES, STEPS
from data_collector.simulator.market.flow import Anchor, Factors, Flow, Pace
from data_collector.simulator.market.noise import drawn, mixed_text
from data_collector.simulator.market.past import Past
from data_collector.simulator.market.premium import Premiums
from data_collector.simulator.market.prints import MINUTE_US, NOTHING, printed
from data_collector.simulator.market.tape import Tape
from data_collector.simulator.market.window import RollingWindow
from data_collector.simulator.settings import KLINES_MAX, SimulatorSettings, history_rate, tape_limit

SymbolStatus = Literal["TRADING", "END_OF_DAY", "HALT", "BREAK", "CANCEL_ONLY"]

QUIET: frozenset[SymbolStatus] = frozenset({"BREAK", "END_OF_DAY"})
"""In these no trade takes place and nothing is sent. In HALT market data goes on, in CANCEL_ONLY all but klines."""

SHOWN_MINUTES = 6
"""Of the past on the tape from the start, at least: those of avgPrice."""

WINDOWS_MAX = 50
"""Of more symbols than these the statistics of 24 hours are made of what is on the tape."""

NEVER_US = 2**62


class SymbolMarket:
    """One symbol. `advance` first, then ask."""

    def __init__(self, listing: Listing, factors: Factors, settings: SimulatorSettings, start_ms: int) -> None:
        self.listing = listing
        self.status: SymbolStatus = "TRADING"
        generator = random.Random(f"{settings.seed}:market:{listing.symbol}")
        rate, seconds = history_rate(settings), settings.history_ms / 1000
        start_minute = start_ms // MINUTE_MS
        pace = Pace((start_ms - settings.history_ms) // MINUTE_MS, start_minute, rate, settings.trades_per_s)
        first_aggregate, first_id = generator.randint(10**6, 3 * 10**9), generator.randint(10**6, 5 * 10**9)
        # The first ones of all are not below 1 however much was traded.
        before = 2 * int(rate * seconds)
        self._flow = Flow(listing, factors, pace, Anchor(0.0, first_id + before, first_aggregate + before))
        self._listed_minute = pace.first_minute
        self._settings = settings
        self._burst_key = mixed_text(f"{settings.seed}:burst:{listing.symbol}")
        self._bursts = 0
        self._past: Past | None = Past(self._flow, self._new_tape)
        self._series: dict[tuple[str, int], CandleSeries] = {}
        self._outages: list[tuple[int, int]] = []
        self._price = listing.start_price
        self._bought = True
        self.tape = self._past.tape(self._shown_from(settings), start_minute)
        self._window = RollingWindow(self.tape, self._window_past, listing.start_price)
        self._loaded = NOTHING
        self._place = 0
        self._loaded_until = start_minute
        self._next_us = start_minute * MINUTE_US
        self.now_us = self._next_us - 1
        self._follow()
        self.advance(start_ms * 1000)
        if not rate:
            # Nothing was traded before the start, in its own minute either, which is therefore not made again.
            self._past.until_ms = start_minute * MINUTE_MS
            self._restart(pace.start_minute, first_id, first_aggregate)

    def _shown_from(self, settings: SimulatorSettings) -> int:
        flow, start_minute = self._flow, self._flow.pace.start_minute
        if settings.history_trades is None and settings.tape_trades_max is None:
            wanted, latest = 1, start_minute - SHOWN_MINUTES
        else:
            wanted, latest = tape_limit(settings), start_minute
        return max(flow.pace.first_minute, min(latest, flow.minute_of_id(flow.first_id(start_minute) - wanted)))

    def _new_tape(self, begin_minute: int, first_id: int, first_aggregate: int) -> Tape:
        settings = self._settings
        return Tape(
            self.listing,
            first_id=first_id,
            first_aggregate=first_aggregate,
            begin_minute=begin_minute,
            limit=tape_limit(settings),
            order_ids=settings.order_ids,
            early_every=settings.early_every,
        )

    @property
    def _trades_past(self) -> Past | None:
        return self._past if self._settings.tape_trades_max is None else None

    @property
    def _window_past(self) -> Past | None:
        return self._trades_past if len(self._settings.symbols) <= WINDOWS_MAX else None

    @property
    def next_us(self) -> int:
        """When to look for the next order; later than any clock when none will come."""
        return NEVER_US if self.status in QUIET else self._next_us

    def advance(self, now_us: int) -> None:
        """Let every order up to `now_us` happen. Time never goes back."""
        if now_us <= self.now_us:
            return
        while self._next_us <= now_us:
            self._take(now_us)
        self.now_us = now_us
        if self.tape.is_over_limit:
            self._cut_tape()

    def _take(self, now_us: int) -> None:
        """Put what has happened by then of the minutes at hand on the tape, and take up the next ones."""
        if self._place == len(self._loaded):
            first, hour = self._loaded_until, self._loaded_until // HOUR_MINUTES
            self._loaded_until = min((hour + 1) * HOUR_MINUTES, max(first, now_us // MINUTE_US) + 1)
            self._loaded, self._place = self._flow.prints(first, self._loaded_until), 0
        end = int(np.searchsorted(self._loaded.times_us, now_us, side="right"))
        if self._place < end and self.status not in QUIET:
            # Orders of a quiet time are lost, not late.
            self.tape.extend(self._loaded, self._place, end)
            self._follow()
        self._place = end
        is_left = end < len(self._loaded)
        self._next_us = int(self._loaded.times_us[end]) if is_left else self._loaded_until * MINUTE_US
        if not is_left and self._flow.pace.after <= 0:
            self._next_us = NEVER_US

    def _follow(self) -> None:
        """The book follows from the last trade."""
        if len(self.tape):
            self._price, self._bought = self.tape.prices[-1], self.tape.taker_bought(len(self.tape) - 1)

    def burst(self, count: int) -> None:
        """Exactly `count` trades at the present moment."""
        if count <= 0:
            return
        self._intervene()
        self._bursts += 1
        bid = np.full((1, STEPS), self.book().bid / self.listing.tick)
        keys = drawn(self._burst_key, np.array([self._bursts]))
        prints = printed(self.listing, keys, self.now_us, np.array([count]), bid, np.array([self.listing.mean_lots]))
        self.tape.extend(structs.replace(prints, times_us=np.full(count, self.now_us)), 0, count)
        self._follow()
        if self.tape.is_over_limit:
            self._cut_tape()

    def _intervene(self) -> None:
        """From now on trades are not only what the flow has."""
        if self._past is not None:
            self._past.until_ms = min(self._past.until_ms, self.now_us // MINUTE_US * MINUTE_MS)

    def skip_ids(self, count: int) -> None:
        """Leave out the next `count` trade ids for good: neither the stream nor REST will ever have them."""
        self._intervene()
        self.tape.next_id += count

    def restart_ids(self, first_id: int) -> None:
        """Begin anew with this trade id, at the price of now: nothing from before is known any more."""
        self._past = None
        self._listed_minute = self.now_us // MINUTE_US
        self._restart(self.now_us // MINUTE_US, first_id, self.tape.next_aggregate)

    def _restart(self, minute: int, first_id: int, first_aggregate: int) -> None:
        self.tape = self._new_tape(minute, first_id, first_aggregate)
        self._series.clear()
        self._window = RollingWindow(self.tape, self._window_past, self._price)

    def set_status(self, status: SymbolStatus) -> None:
        """Change the trading status; what trades meanwhile depends on it."""
        now_ms = self.now_us // 1000
        if status in QUIET:
            self._intervene()
        if status in QUIET and self.status not in QUIET:
            self._outages.append((now_ms, NEVER_US))
        elif status not in QUIET and self.status in QUIET:
            self._outages[-1] = (self._outages[-1][0], now_ms)
        self.status = status

    def _cut_tape(self) -> None:
        tape, past = self.tape, self._past
        position, begin_minute = self._cut_at()
        # Whatever is made of the tape must have seen it before it goes, where it cannot be made again.
        again = past is not None and past.reaches(begin_minute * MINUTE_MS)
        if not again or self._settings.klines_max is not None:
            for interval in INTERVALS:
                self.series(interval)
        for series in self._series.values():
            series.advance()
        if again and self._window_past is not None:
            self._window.gain()
        else:
            self._window.forget(position)
        tape.cut(position, begin_minute)

    def _cut_at(self) -> tuple[int, int]:
        """A position, and the minute that begins there, if one does."""
        tape = self.tape
        position = tape.cut_position()
        minute = tape.times_us[position] // MINUTE_US + 1
        begins = tape.position_of_time(minute * MINUTE_US)
        return (begins, minute) if begins < len(tape) else (position, minute)

    def series(self, interval: str, offset_ms: int = 0) -> CandleSeries:
        """The candles of an interval, up to date."""
        key = (interval, offset_ms)
        if key not in self._series:
            most = self._settings.klines_max
            self._series[key] = CandleSeries(
                self.tape, self._past, interval, offset_ms=offset_ms, limit=most or KLINES_MAX, forgets=most is not None
            )
        self._series[key].advance()
        return self._series[key]

    def tape_of_id(self, trade_id: int, trades: int) -> Tape:
        """A tape with the trade of an id, or the first one that is left, and so many after it."""
        if len(self.tape) and trade_id >= self.tape.id_at(0):
            return self.tape
        return self._tape_of(self._flow.minute_of_id(trade_id), trades)

    def tape_of_aggregate(self, aggregate: int, trades: int) -> Tape:
        """As `tape_of_id`, of an aggregate."""
        if len(self.tape) and aggregate >= self.tape.aggregate_at(0):
            return self.tape
        return self._tape_of(self._flow.minute_of_aggregate(aggregate), trades)

    def tape_of_time(self, time_us: int, trades: int) -> Tape:
        """As `tape_of_id`, of a moment."""
        return self._tape_of(max(time_us // MINUTE_US, self._flow.pace.first_minute), trades)

    def tape_until(self, time_us: int, trades: int) -> Tape:
        """A tape that has so many trades before a moment, where there are so many."""
        tape, flow = self.tape, self._flow
        if self._trades_past is None or tape.position_of_time(time_us) >= trades:
            return tape
        minute = max(flow.pace.first_minute, min(time_us // MINUTE_US, tape.begin_minute - 1))
        first = flow.minute_of_id(flow.first_id(minute) - trades)
        return self._tape_of(first, flow.first_id(minute + 1) - flow.first_id(first) + trades)

    def tape_between(self, first_us: int, end_us: int) -> Tape | None:
        """A tape with every trade of a stretch of whole minutes; None where some are gone, or they are too many."""
        first = max(first_us // MINUTE_US, self._listed_minute)
        if first >= self.tape.begin_minute:
            return self.tape
        past = self._trades_past
        return None if past is None else past.between(first, end_us // MINUTE_US, self.tape)

    def _tape_of(self, minute: int, trades: int) -> Tape:
        past = self._trades_past
        return self.tape if past is None else past.followed(minute, trades, self.tape)

    def has_candle(self, candle: Candle) -> bool:
        """Whether there ever was such a candle: not while the symbol did not trade at all for the whole of it."""
        if candle.totals.count:
            return True
        last_ms = candle.next_open_ms - 1
        return not any(first <= candle.open_ms and last_ms <= last for first, last in self._outages)

    def book(self) -> Book:
        """The order book after the last trade."""
        tick = self.listing.tick
        bid = max(tick, self._price - tick) if self._bought else self._price
        return Book(self.listing.symbol, bid, bid + tick, tick, self.listing.lot, max(0, self.tape.last_id))

    def ticker(self, event_ms: int | None = None) -> Ticker:
        """The statistics of the last 24 hours."""
        now_ms = self.now_us // 1000
        self._window.advance(now_ms)
        return self._window.ticker(self.listing.symbol, self.book(), now_ms, event_ms or now_ms)

    def ticker_ahead(self) -> Iterator[None]:
        """Do most of the work of the first `ticker` in pieces."""
        if (past := self._window_past) is not None:
            yield from past.ahead(self.now_us // 1000 - DAY_MS, self.tape.begin_minute * MINUTE_MS)

    def ticker_span(self) -> tuple[int, int]:
        """Changes whenever the ticker does."""
        self._window.advance(self.now_us // 1000)
        return self._window.span


class Market:
    """All symbols, as an exchange has them. One that nobody has asked for costs nothing: its past is made when it is
    first touched."""

    def __init__(self, settings: SimulatorSettings, start_ms: int, exchange: str = "") -> None:
        self.listings = {symbol: listing_of(symbol, settings.seed) for symbol in settings.symbols}
        self.start_ms = start_ms
        self.now_ms = start_ms
        self._settings = settings
        deviation_bps = settings.premium_bps
        premiums = Premiums(settings.seed, exchange, deviation_bps) if deviation_bps else None
        self._factors = Factors(settings.seed, premiums)
        self._symbols: dict[str, SymbolMarket] = {}

    def symbol(self, symbol: str) -> SymbolMarket | None:
        """One symbol, moved on to now; None when it is not listed."""
        if symbol not in self.listings:
            return None
        return self.listed(symbol)

    def listed(self, symbol: str) -> SymbolMarket:
        """One symbol, moved on to now. Raises `KeyError` when it is not listed."""
        market = self._symbols.get(symbol)
        if market is None:
            market = SymbolMarket(self.listings[symbol], self._factors, self._settings, self.start_ms)
            self._symbols[symbol] = market
        market.advance(self.now_ms * 1000)
        return market

    def status(self, symbol: str) -> SymbolStatus:
        """The trading status of a listed symbol, without making its market."""
        market = self._symbols.get(symbol)
        return "TRADING" if market is None else market.status

    @property
    def touched(self) -> Sequence[str]:
        """The symbols that somebody has asked for."""
        return tuple(self._symbols)

    def tape(self, symbol: str, from_id: int = 0) -> list[Trade]:
        """Every trade that is kept of a symbol, from an id on, oldest first."""
        tape = self.listed(symbol).tape
        return tape.trades(tape.position_of_id(from_id), len(tape))

    def closed_klines(self, symbol: str, interval: str) -> list[Kline]:
        """Every closed candle that is kept and has trades, oldest first."""
        candles = self.listed(symbol).series(interval).closed_with_trades(self.now_ms)
        return [kline_record(symbol, interval, candle, event_ms=self.now_ms, is_closed=True) for candle in candles]
