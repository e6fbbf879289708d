"""Trades by their ids, of an exchange that is asked for trades since a time.

A page begins at a time and holds the trades after it, oldest first. Where an id lies is told by the pages before, by a
trade that the caller knows, or is searched for between the first trade ever and the newest one. A page is believed to
begin early enough only when it shows a trade at or before the one that is asked for, and to leave out what does not
exist only when another one that begins elsewhere leaves it out too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from itertools import pairwise

from msgspec import Struct

from data_collector.model.errors import VenueRefused, VenueUnreachable
from data_collector.model.records import Trade
from data_collector.model.venue import TradePage, TradePlace, TradesRefused
from data_collector.rest.pages import BadPage

MARGIN_NS = 2_000
"""Times of rows may be floats, which are off by that much."""

PLACES_MAX = 64
"""Remembered of a symbol."""

AHEAD_TRADES = 3_000
"""What is so near is read to, page by page; what is further is searched for."""

AIM_TRADES = 500
"""A search aims so far before the trade, for the middle of a page."""

CALLS_MAX = 100
"""Of one search: halving alone needs some sixty."""

CROWDED = "there are more trades of one moment than an answer holds, and the exchange gives only the first of them"


class TimedPage(Struct, frozen=True):
    """Trades since a time."""

    trades: list[Trade]
    """Their ids rise, their times do not fall."""
    last_ns: int
    """When the last one took place, exactly as the exchange names it."""
    is_full: bool
    """It holds as many as an answer may: there may be more."""


AskSince = Callable[[int | None], Awaitable[TimedPage]]
"""Asks for trades after a time in ns, that time itself included or not; None asks for the newest."""


class Place(Struct, frozen=True):
    """A page since `since_ns` begins at this trade or before it."""

    trade_id: int
    since_ns: int
    ends_crowd: bool = False
    """It begins after the moment of this trade, because one before was full of that moment."""


class TradePlaces:
    """What pages told of where the trades of one symbol lie: the newest things known."""

    def __init__(self) -> None:
        self._places: deque[Place] = deque(maxlen=PLACES_MAX)

    def note(self, page: TimedPage, since_ns: int | None) -> None:
        """Remember both ends of a page."""
        if page.trades:
            first = page.trades[0]
            self._places.append(Place(first.trade_id, _before_ns(first) if since_ns is None else since_ns))
            self._places.append(Place(page.trades[-1].trade_id, page.last_ns - 1))

    def around(self, trade_id: int) -> tuple[Place | None, Place | None]:
        """The last place that is not behind a trade, and the first that is."""
        low = max((each for each in self._places if each.trade_id <= trade_id), key=_id_of, default=None)
        return low, min((each for each in self._places if each.trade_id > trade_id), key=_id_of, default=None)

    def forget(self) -> None:
        """What was told was not true, or is so no longer."""
        self._places.clear()


async def trades_from(
    ask: AskSince, places: TradePlaces, from_id: int, near: TradePlace | None, limit: int
) -> TradePage:
    """See `TradesApi.trades`."""
    return await _Search(ask, places, from_id, near).run(limit)


class _Search:
    """For the page that holds one id, between a place that is not behind it and one that is."""

    def __init__(self, ask: AskSince, places: TradePlaces, from_id: int, near: TradePlace | None) -> None:
        self._ask = ask
        self._places = places
        self._from_id = from_id
        self._low, self._high = places.around(from_id)
        if near is not None and near.trade_id <= from_id and (self._low is None or near.trade_id > self._low.trade_id):
            self._low = Place(near.trade_id, near.time_us * 1000 - MARGIN_NS)

    async def run(self, limit: int) -> TradePage:
        try:
            for number in range(CALLS_MAX):
                since_ns = self._question(number)
                page = await self._ask(since_ns)
                self._places.note(page, since_ns)
                self._demand_no_crowd(page, since_ns, limit)
                if not self._narrows(page, since_ns):
                    page = await self._looked_at_twice(page, since_ns)
                    page = await self._past_moment(page, since_ns, limit)
                    return self._answer(page, limit, is_newest=since_ns is None)
        except BadPage:
            self._places.forget()
            raise
        raise VenueUnreachable(f"trade {self._from_id} was not found in {CALLS_MAX} answers")

    def _question(self, number: int) -> int | None:
        low, high = self._low, self._high
        if low is not None and self._from_id - low.trade_id <= AHEAD_TRADES:
            return low.since_ns
        if high is None:
            return None
        if low is None:
            return 0
        length_ns = high.since_ns - low.since_ns
        if length_ns <= MARGIN_NS:
            return low.since_ns
        part_ns = length_ns // 2
        if number % 2 == 0:
            part_ns = length_ns * (self._from_id - AIM_TRADES - low.trade_id) // (high.trade_id - low.trade_id)
        return low.since_ns + min(max(part_ns, 1), length_ns - 1)

    def _narrows(self, page: TimedPage, since_ns: int | None) -> bool:
        """Whether the page does not settle it, but tells where to look."""
        trades = page.trades
        is_of_low = self._low is not None and since_ns == self._low.since_ns
        if not trades or trades[0].trade_id > self._from_id:
            if since_ns == 0 or not (trades or since_ns):
                # There are none before it, or none at all.
                return False
            if is_of_low:
                # It does not lie where it was said to, or there is nothing later: the newest will tell.
                self._places.forget()
                self._low = None
            elif not trades:
                raise BadPage(f"there were trades after {since_ns} before, and now there are none")
            if trades:
                self._high = Place(trades[0].trade_id, _before_ns(trades[0]) if since_ns is None else since_ns)
            return True
        if trades[-1].trade_id >= self._from_id or since_ns is None or not page.is_full:
            return False
        self._low = Place(trades[-1].trade_id, page.last_ns - 1)
        if self._low.since_ns <= since_ns:
            # The same moment again, so it is to be included: then not the next time.
            self._low = Place(trades[-1].trade_id, max(page.last_ns, since_ns + 1), ends_crowd=True)
        return True

    async def _looked_at_twice(self, page: TimedPage, since_ns: int | None) -> TimedPage:
        """With what it leaves out between two trades, and another page that begins elsewhere has.

        What that one leaves out too does not exist.
        """
        holes = (
            (one, two) for one, two in pairwise(page.trades) if two.trade_id > max(one.trade_id + 1, self._from_id)
        )
        before, after = next(holes, (None, None))
        if before is None or after is None:
            return page
        again_ns = _before_ns(before)
        other = await self._ask(again_ns if again_ns != since_ns else again_ns - MARGIN_NS)
        told = {trade.trade_id: trade for trade in other.trades}
        if not (told and other.trades[0].trade_id <= before.trade_id and max(told) >= after.trade_id):
            raise BadPage(f"trades after {before.trade_id} were left out, and another answer does not tell of them")
        last_id = min(page.trades[-1].trade_id, max(told))
        told |= {trade.trade_id: trade for trade in page.trades}
        trades = [told[trade_id] for trade_id in sorted(told) if page.trades[0].trade_id <= trade_id <= last_id]
        return TimedPage(trades, page.last_ns, is_full=page.is_full or last_id < page.trades[-1].trade_id)

    async def _past_moment(self, page: TimedPage, since_ns: int | None, limit: int) -> TimedPage:
        """With what follows, where the trade that is asked for ends a page that was full of its moment.

        Whoever has that one would else get it again for ever, and never be told that others are not given.
        """
        ends_crowd = page.is_full and page.trades[-1].trade_id == self._from_id
        if since_ns is None or not ends_crowd or page.last_ns - 1 > since_ns:
            return page
        for later_ns in (max(page.last_ns, since_ns + 1), max(page.last_ns, since_ns + 1) + 1):
            later = await self._ask(later_ns)
            if later.trades and later.trades[0].trade_id > self._from_id + 1:
                raise TradesRefused(VenueRefused(f"trade {self._from_id + 1}: {CROWDED}"), self._answer(later, limit))
            if later.trades and later.trades[0].trade_id == self._from_id + 1:
                return TimedPage([*page.trades, *later.trades], later.last_ns, is_full=later.is_full)
        return page

    def _demand_no_crowd(self, page: TimedPage, since_ns: int | None, limit: int) -> None:
        """After a page that was full of trades of one moment others of that moment may be missing."""
        low = self._low
        if low is None or not low.ends_crowd or since_ns != low.since_ns or not page.trades:
            return
        if page.trades[0].trade_id > self._from_id:
            raise TradesRefused(VenueRefused(f"trade {self._from_id}: {CROWDED}"), self._answer(page, limit))

    def _answer(self, page: TimedPage, limit: int, *, is_newest: bool = False) -> TradePage:
        found = [trade for trade in page.trades if trade.trade_id >= self._from_id]
        return TradePage(found[:limit], reaches_head=(is_newest or not page.is_full) and len(found) <= limit)


def _before_ns(trade: Trade) -> int:
    return (trade.time_ms * 1000 + (trade.sub_ms_us or 0)) * 1000 - MARGIN_NS


def _id_of(place: Place) -> int:
    return place.trade_id
