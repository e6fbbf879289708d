"""The market: every symbol's orders, drawn from the seed, and all that follows from them.

Pure: time is what the caller says it is. Orders are drawn one after the other from a generator of the symbol's
own, so the tape does not depend on how often or in what steps the market is asked to move on.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from functools import partial
from typing import Literal

from data_collector.model.records import Kline, Ticker, Trade
from data_collector.simulator.amounts import SCALE
from data_collector.simulator.listing import Listing, listing_of
from data_collector.simulator.market.book import Book
from data_collector.simulator.market.candles import INTERVALS, Candle, KlineSeries, kline_record
from data_collector.simulator.market.tape import Tape
from data_collector.simulator.market.window import RollingWindow
from data_collector.simulator.settings import SimulatorSettings, history_size, tape_limit

SymbolStatus = Literal["TRADING", "END_OF_DAY", "HALT", "BREAK", "CANCEL_ONLY"]

QUIET: frozenset[SymbolStatus] = frozenset({"BREAK", "END_OF_DAY"})
"""In these no trade takes place and nothing is sent. In HALT market data goes on, in CANCEL_ONLY all but klines."""

FILLS = (1, 1, 2, 3, 5, 6)
"""How many trades a taker order makes, each as likely: a mean of 3, so that two of three neighbours share a time."""

FILLS_MEAN = sum(FILLS) / len(FILLS)

ORDER_VALUE = 2_000
"""The largest fill, roughly, in units of the quote currency."""

NEVER_US = 2**62


class SymbolMarket:
    """One symbol. `advance` first, then ask."""

    def __init__(self, listing: Listing, settings: SimulatorSettings, start_ms: int) -> None:
        self.listing = listing
        self.status: SymbolStatus = "TRADING"
        self._random = random.Random(f"{settings.seed}:market:{listing.symbol}")
        self._new_tape = partial(
            Tape,
            listing.symbol,
            first_aggregate=self._random.randint(10**6, 3 * 10**9),
            limit=tape_limit(settings),
            order_ids=settings.order_ids,
            early_every=settings.early_every,
        )
        self.tape = self._new_tape(first_id=self._random.randint(10**6, 5 * 10**9))
        self._klines_max = settings.klines_max
        self._series: dict[tuple[str, int], KlineSeries] = {}
        self._window = RollingWindow(self.tape, listing.start_price)
        self._outages: list[tuple[int, int]] = []
        self._lots_max = min(10**7, max(10, ORDER_VALUE * SCALE * SCALE // (listing.start_price * listing.lot)))
        self._step = max(1, listing.start_price // listing.tick // 50_000)
        self._price = listing.start_price
        self._bought = True
        self.now_us = (start_ms - settings.history_ms) * 1000
        self._make_history(settings, start_ms)

    def _make_history(self, settings: SimulatorSettings, start_ms: int) -> None:
        start_us = start_ms * 1000
        if history := history_size(settings):
            self._mean_gap_us = (start_us - self.now_us) / history * FILLS_MEAN
            self._next_us = self.now_us
            self.advance(start_us - 1)
        live_rate = settings.trades_per_s / FILLS_MEAN
        self._mean_gap_us = 1_000_000 / live_rate if live_rate > 0 else math.inf
        self._next_us = start_us + self._gap_us()
        self.now_us = start_us

    @property
    def next_us(self) -> int:
        """When the next order comes; later than any clock when none will."""
        return NEVER_US if self.status in QUIET else self._next_us

    def advance(self, now_us: int) -> None:
        """Let every order up to `now_us` happen. Time never goes back."""
        if now_us <= self.now_us:
            return
        if self.status in QUIET:
            # Orders of the quiet time are lost, not late.
            while self._next_us <= now_us:
                self._next_us += self._gap_us()
        while self._next_us <= now_us:
            self._order(self._next_us, fills_max=FILLS[-1])
            self._next_us += self._gap_us()
        self.now_us = now_us
        if self.tape.is_over_limit:
            self._cut_tape()

    def burst(self, count: int) -> None:
        """Exactly `count` trades at the present moment."""
        done = 0
        while done < count:
            done += self._order(self.now_us, fills_max=count - done)
        if self.tape.is_over_limit:
            self._cut_tape()

    def skip_ids(self, count: int) -> None:
        """Leave out the next `count` trade ids for good: neither the stream nor REST will ever have them."""
        self.tape.next_id += count

    def restart_ids(self, first_id: int) -> None:
        """Begin anew with this trade id, at the price of now: nothing from before is known any more."""
        self.tape = self._new_tape(first_id=first_id)
        self._series.clear()
        self._window = RollingWindow(self.tape, self._price)

    def set_status(self, status: SymbolStatus) -> None:
        """Change the trading status; what trades meanwhile depends on it."""
        now_ms = self.now_us // 1000
        if status in QUIET and self.status not in QUIET:
            self._outages.append((now_ms, NEVER_US))
        elif status not in QUIET and self.status in QUIET:
            self._outages[-1] = (self._outages[-1][0], now_ms)
        self.status = status

    def _gap_us(self) -> int:
        if math.isinf(self._mean_gap_us):
            return NEVER_US
        return int(-math.log(1.0 - self._random.random()) * self._mean_gap_us) + 1

    def _order(self, time_us: int, *, fills_max: int) -> int:
        draw = self._random.random
        fills = min(FILLS[int(draw() * len(FILLS))], fills_max)
        start, tick = self.listing.start_price, self.listing.tick
        # The further the price is from where it began, the likelier an order against it.
        pull = (start - self._price) / start
        bought = draw() < min(0.7, max(0.3, 0.5 + 2 * pull))
        direction = tick if bought else -tick
        price = self._price + direction * (int(draw() ** 3 * self._step) + (bought is not self._bought))
        for fill in range(fills):
            joins = fill > 0 and draw() < 0.6
            if fill > 0 and not joins:
                price += direction
            price = max(tick, price)
            quantity = self.listing.lot * (1 + int(draw() ** 4 * self._lots_max))
            # At the lowest price the next fill of the same order has the same price, and so the same aggregate.
            same_price = fill > 0 and price == self.tape.prices[-1]
            self.tape.append(time_us, price, quantity, taker_bought=bought, joins=joins or same_price)
        self._price = price
        self._bought = bought
        return fills

    def _cut_tape(self) -> None:
        # Whatever is made of the tape must have seen it before it goes.
        for interval in INTERVALS:
            self.series(interval)
        for series in self._series.values():
            series.advance()
        position = self.tape.cut_position()
        self._window.forget(position)
        self.tape.cut(position)

    def series(self, interval: str, offset_ms: int = 0) -> KlineSeries:
        """The candles of an interval, up to date."""
        key = (interval, offset_ms)
        if key not in self._series:
            self._series[key] = KlineSeries(self.tape, interval, offset_ms=offset_ms, limit=self._klines_max)
        self._series[key].advance()
        return self._series[key]

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

    def ticker_span(self) -> tuple[int, int]:
        """Changes whenever the ticker does."""
        self._window.advance(self.now_us // 1000)
        return self._window.span


class Market:
    """All symbols. One that nobody has asked for costs nothing: its past is made when it is first touched."""

    def __init__(self, settings: SimulatorSettings, start_ms: int) -> None:
        self.listings = {symbol: listing_of(symbol, settings.seed) for symbol in settings.symbols}
        self.start_ms = start_ms
        self.now_ms = start_ms
        self._settings = settings
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
            market = SymbolMarket(self.listings[symbol], self._settings, self.start_ms)
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
