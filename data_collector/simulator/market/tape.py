"""The trades of one symbol, oldest first, in columns: a few dozen bytes a trade, sums at the speed of C.

Times never go back along the tape, so a moment and an id are both found by bisection. (On an exchange a later id can
have an earlier time: `early_every` tells some trades so, on the streams and by REST alike.)
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from itertools import compress

import numpy as np
from msgspec import Struct

from data_collector.model.records import AggregateTrade, Trade
from data_collector.simulator.amounts import amount_text
from data_collector.simulator.listing import Listing
from data_collector.simulator.market.prints import Prints

TRIM_SLACK = 8
"""The tape is cut when it is an eighth over its limit, so that cutting costs little per trade."""

EARLY_US = 20_000
"""How far back the time of an early trade is told."""

TAKER_ORDER_BASE = 9_000_000_000
MAKER_ORDER_BASE = 8_000_000_000
"""Where the made-up order ids begin: beyond 32 bits, as the real ones were."""


class Totals(Struct, frozen=True):
    """What a run of neighbouring trades comes to; amounts in 10^-8."""

    open: int
    high: int
    low: int
    close: int
    volume: int
    quote_volume: int
    buy_volume: int
    buy_quote_volume: int
    count: int
    first_id: int
    last_id: int

    def followed_by(self, later: Totals) -> Totals:
        """The totals of this run and of the one directly after it."""
        return Totals(
            open=self.open,
            high=max(self.high, later.high),
            low=min(self.low, later.low),
            close=later.close,
            volume=self.volume + later.volume,
            quote_volume=self.quote_volume + later.quote_volume,
            buy_volume=self.buy_volume + later.buy_volume,
            buy_quote_volume=self.buy_quote_volume + later.buy_quote_volume,
            count=self.count + later.count,
            first_id=self.first_id,
            last_id=later.last_id,
        )


class Tape:
    """Bounded: `cut` drops the oldest trades, as the exchange does. Positions are valid until the next cut."""

    def __init__(
        self,
        listing: Listing,
        *,
        first_id: int,
        first_aggregate: int,
        begin_minute: int,
        limit: int,
        order_ids: bool,
        early_every: int = 0,
    ) -> None:
        self.limit = limit
        self.begin_minute = begin_minute
        """Every trade since this minute is on the tape; none from before."""
        self.next_id = first_id
        self.next_aggregate = first_aggregate
        self.was_cut = False
        self.times_us = array("q")
        self.prices = array("q")
        self.quantities = array("q")
        self.quotes = array("q")
        self._ids = array("q")
        self._aggregates = array("q")
        self._taker_bought = bytearray()
        self._listing = listing
        self._order_ids = order_ids
        self._early_every = early_every

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def is_over_limit(self) -> bool:
        """Whether it is time to cut."""
        return len(self._ids) > self.limit + self.limit // TRIM_SLACK

    @property
    def last_id(self) -> int:
        """The newest trade id, -1 before the first."""
        return self._ids[-1] if self._ids else -1

    def extend(self, prints: Prints, start: int, end: int) -> None:
        """Add trades from `start` up to, not including, `end`, where an order begins."""
        if start == end:
            return
        rows = slice(start, end)
        aggregates = self.next_aggregate - 1 + np.cumsum(prints.begins[rows])
        for column, values in (
            (self.times_us, prints.times_us[rows]),
            (self.prices, prints.prices[rows] * self._listing.tick),
            (self.quantities, prints.lots[rows] * self._listing.lot),
            (self.quotes, prints.quotes[rows]),
            (self._ids, np.arange(self.next_id, self.next_id + end - start)),
            (self._aggregates, aggregates),
        ):
            column.frombytes(values.tobytes())
        self._taker_bought += prints.bought[rows].tobytes()
        self.next_id += end - start
        self.next_aggregate = int(aggregates[-1]) + 1

    def extend_by(self, tape: Tape, count: int) -> None:
        """Add the first trades of the tape that follows."""
        for column, values in zip(self._columns(), tape._columns(), strict=True):
            column.extend(values[:count])
        self._taker_bought += tape._taker_bought[:count]

    def _columns(self) -> tuple[array[int], ...]:
        return self.times_us, self.prices, self.quantities, self.quotes, self._ids, self._aggregates

    def id_at(self, position: int) -> int:
        """The trade id at a position."""
        return self._ids[position]

    def aggregate_at(self, position: int) -> int:
        """The aggregate id at a position."""
        return self._aggregates[position]

    def position_of_id(self, trade_id: int) -> int:
        """The position of the first trade with this id or a later one."""
        return bisect_left(self._ids, trade_id)

    def position_of_time(self, time_us: int, start: int = 0) -> int:
        """The position of the first trade at this time or later."""
        return bisect_left(self.times_us, time_us, start)

    def position_of_aggregate(self, aggregate: int) -> int:
        """The position of the first trade of this aggregate or of a later one."""
        return bisect_left(self._aggregates, aggregate)

    def taker_bought(self, position: int) -> bool:
        """Which side the taker of a trade was on."""
        return bool(self._taker_bought[position])

    def cut_position(self) -> int:
        """Where the tape is to be cut to be within its limit: never inside an aggregate."""
        position = len(self._ids) - self.limit
        return bisect_right(self._aggregates, self._aggregates[position]) if position > 0 else 0

    def cut(self, position: int, begin_minute: int) -> None:
        """Drop everything before `position`, and so all from before a minute."""
        for column in self._columns():
            del column[:position]
        del self._taker_bought[:position]
        self.begin_minute = begin_minute
        self.was_cut = True

    def totals(self, start: int, end: int) -> Totals:
        """What the trades from `start` up to, not including, `end` come to; there must be at least one."""
        prices = self.prices[start:end]
        quantities = self.quantities[start:end]
        quotes = self.quotes[start:end]
        buys = self._taker_bought[start:end]
        return Totals(
            open=prices[0],
            high=max(prices),
            low=min(prices),
            close=prices[-1],
            volume=sum(quantities),
            quote_volume=sum(quotes),
            buy_volume=sum(compress(quantities, buys)),
            buy_quote_volume=sum(compress(quotes, buys)),
            count=end - start,
            first_id=self._ids[start],
            last_id=self._ids[end - 1],
        )

    def trade(self, position: int, event_ms: int | None = None) -> Trade:
        """The trade at a position as a record; without an event time as REST would give it."""
        trade_id = self._ids[position]
        early = bool(self._early_every) and trade_id % self._early_every == 0
        time_ms, sub_ms_us = divmod(self.times_us[position] - (EARLY_US if early else 0), 1000)
        bought = bool(self._taker_bought[position])
        taker, maker = None, None
        if self._order_ids:
            taker = TAKER_ORDER_BASE + 2 * self._aggregates[position]
            maker = MAKER_ORDER_BASE + 3 * trade_id
        return Trade(
            symbol=self._listing.symbol,
            trade_id=trade_id,
            price=amount_text(self.prices[position]),
            quantity=amount_text(self.quantities[position]),
            time_ms=time_ms,
            event_ms=time_ms if event_ms is None else event_ms,
            is_buyer_maker=not bought,
            buyer_order_id=taker if bought else maker,
            seller_order_id=maker if bought else taker,
            sub_ms_us=sub_ms_us,
        )

    def trades(self, start: int, end: int) -> list[Trade]:
        """Several trades as REST would give them."""
        return [self.trade(position) for position in range(max(0, start), min(end, len(self._ids)))]

    def aggregates(self, start: int, end: int, limit: int, event_ms: int | None = None) -> list[AggregateTrade]:
        """At most `limit` aggregates between two positions, oldest first; both must lie at their borders."""
        found: list[AggregateTrade] = []
        position = max(0, start)
        while position < end and len(found) < limit:
            after = bisect_right(self._aggregates, self._aggregates[position], position)
            found.append(self._aggregate(position, after, event_ms))
            position = after
        return found

    def newest_aggregates(self, end: int, limit: int) -> list[AggregateTrade]:
        """The last `limit` aggregates before a position, oldest first."""
        if end == 0:
            return []
        # Aggregate ids have no holes.
        first = self._aggregates[end - 1] - limit + 1
        return self.aggregates(self.position_of_aggregate(first), end, limit)

    def _aggregate(self, start: int, end: int, event_ms: int | None) -> AggregateTrade:
        time_ms = self.times_us[start] // 1000
        return AggregateTrade(
            symbol=self._listing.symbol,
            aggregate_id=self._aggregates[start],
            price=amount_text(self.prices[start]),
            quantity=amount_text(sum(self.quantities[start:end])),
            first_trade_id=self._ids[start],
            last_trade_id=self._ids[end - 1],
            time_ms=time_ms,
            event_ms=time_ms if event_ms is None else event_ms,
            is_buyer_maker=not self._taker_bought[start],
        )
