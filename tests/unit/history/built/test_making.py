"""Candles made of the trades that an exchange tells page by page are those of all its trades, or are not given."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from data_collector.history.built.built_feed import base_of, in_order_of_making
from data_collector.history.built.making import KlineMaking, summed
from data_collector.history.built.trade_walk import MARGIN_MS, TradeWalk
from data_collector.model.calendar import MINUTE_MS
from data_collector.model.errors import VenueRefused, VenueUnreachable
from data_collector.model.keys import Key
from data_collector.model.records import Kline, Trade
from data_collector.model.venue import TradePage, TradePlace
from data_collector.venues.binance.venue import VENUE
from tests.market import NOON_MS, SYMBOL, kline, trade
from tests.unit.pipeline.repair_scene import ScriptedRest

PAGE = 5
NOW_MS = NOON_MS + 20 * MINUTE_MS
MINUTES = Key("kline", SYMBOL, "1m")
EARLY_MS = 400
"""A trade may be told by so much before the one that came before it."""


class Tape(ScriptedRest):
    """An exchange that has these trades, a few an answer."""

    def __init__(self, trades: Sequence[Trade], *, told_from: int = 0) -> None:
        super().__init__([])
        self.tape = [each for each in trades if each.trade_id >= told_from]
        self.is_all = not told_from

    async def trades(
        self, symbol: str, from_id: int, *, near: TradePlace | None = None, limit: int = 1000, urgent: bool = False
    ) -> TradePage:
        self.asked.append(from_id)
        later = [each for each in self.tape if each.trade_id >= from_id]
        return TradePage(later[:limit], reaches_head=len(later) <= limit)

    async def first_trade_id(self, symbol: str, since_ms: int, *, urgent: bool = False) -> int | None:
        return next((each.trade_id for each in self.tape if each.time_ms >= since_ms), None)

    async def first_trade_ms(self, symbol: str) -> int | None:
        return self.tape[0].time_ms if self.is_all and self.tape else None

    async def newest_trade_id(self, symbol: str) -> int | None:
        return self.tape[-1].trade_id if self.tape else None


class Held:
    """A database that has some trades."""

    def __init__(self, trades: Sequence[Trade] = ()) -> None:
        self._trades = trades

    async def trades_by_id(self, symbol: str, first_id: int, last_id: int, limit: int) -> list[Trade]:
        return [each for each in self._trades if first_id <= each.trade_id <= last_id][:limit]

    async def trade_span(self, symbol: str) -> tuple[int, int] | None:
        return None


def made(rest: Tape, open_ms: int, series: Key = MINUTES, held: Sequence[Trade] = ()) -> list[Kline]:
    async def make() -> list[Kline]:
        making = KlineMaking(series, VENUE.calendar, TradeWalk(SYMBOL, rest, Held(held), PAGE, NOW_MS), open_ms)
        found: list[Kline] = []
        while not making.is_over:
            found += await making.go_on(NOW_MS)
        return found

    return asyncio.run(make())


def expected(tape: Sequence[Trade], open_ms: int, step_ms: int = MINUTE_MS) -> list[tuple[int, str, str, Decimal, int]]:
    """Open time, first and last price, volume and count of each that has ended."""
    found: list[tuple[int, str, str, Decimal, int]] = []
    price = next((each.price for each in reversed(tape) if each.time_ms < open_ms), "")
    for start_ms in range(open_ms, (NOW_MS - MARGIN_MS) // step_ms * step_ms, step_ms):
        part = [each for each in tape if start_ms <= each.time_ms < start_ms + step_ms]
        if part:
            volume = sum((Decimal(each.quantity) for each in part), Decimal(0))
            found.append((start_ms, part[0].price, part[-1].price, volume, len(part)))
            price = part[-1].price
        elif price:
            found.append((start_ms, price, price, Decimal(0), 0))
    return found


def told(klines: Sequence[Kline]) -> list[tuple[int, str, str, Decimal, int | None]]:
    return [(each.open_ms, each.open, each.close, Decimal(each.volume), each.trades) for each in klines]


@st.composite
def tapes(draw: st.DrawFn) -> list[Trade]:
    """Trades of a quarter of an hour around noon, some of which are told a little early."""
    time_ms, made_trades = NOON_MS - 5 * MINUTE_MS, list[Trade]()
    for number in range(draw(st.integers(1, 40))):
        time_ms += draw(st.sampled_from([0, 1, 700, 30_000, 61_000, 200_000]))
        early_ms = draw(st.sampled_from([0, 0, 0, EARLY_MS]))
        price = draw(st.sampled_from(["1.5", "1.50", "2", "0.00000001"]))
        made_trades.append(trade(100 + number, time_ms=time_ms - early_ms, price=price, quantity=price))
    return made_trades


@given(tapes(), st.integers(-7, 10), st.integers(0, 40))
def test_made_candles_are_those_of_all_trades(tape: list[Trade], minute: int, held_from: int) -> None:
    """Whatever the pages, and whichever of the trades the database has."""
    open_ms = NOON_MS + minute * MINUTE_MS
    tape = [each for each in tape if each.time_ms < NOW_MS]
    begins_ms = min((each.time_ms for each in tape), default=0) // MINUTE_MS * MINUTE_MS

    klines = made(Tape(tape), open_ms, held=tape[held_from : held_from + 20])

    assert told(klines) == (expected(tape, max(open_ms, begins_ms)) if tape else [])


@given(tapes(), st.integers(100, 120))
def test_of_a_time_whose_trades_are_not_all_told_nothing_is_made(tape: list[Trade], told_from: int) -> None:
    """The exchange does not tell any more what was before: the candle of its first trade is not whole."""
    tape = [each for each in tape if each.time_ms < NOW_MS]
    open_ms = NOON_MS - 10 * MINUTE_MS

    klines = made(Tape(tape, told_from=told_from), open_ms)

    whole = {each[0]: each for each in expected(tape, open_ms)}
    assert all(whole[each[0]] == each for each in told(klines))
    if told_from > 100 and klines:
        first = next(each for each in tape if each.trade_id == told_from)
        assert klines[0].open_ms > first.time_ms


def test_market_that_rests_is_quiet_up_to_now() -> None:
    """Nothing was traded since noon, and the exchange proves it: its newest trade is the one before."""
    klines = made(Tape([trade(7, time_ms=NOON_MS - 1)]), NOON_MS)

    assert [each.open_ms for each in klines] == list(range(NOON_MS, NOW_MS - MINUTE_MS, MINUTE_MS))
    assert {(each.open, each.trades, each.volume) for each in klines} == {("45180.50", 0, "0")}


def test_exchange_without_any_trade_has_no_candle() -> None:
    assert made(Tape([]), NOON_MS) == []


def test_trade_that_is_no_number_twice_is_a_refusal() -> None:
    """An answer may be damaged on its way; what comes again cannot be summed up."""
    tape = [trade(7, time_ms=NOON_MS - 90_000), trade(8, time_ms=NOON_MS, price="1e5")]
    making = KlineMaking(MINUTES, VENUE.calendar, TradeWalk(SYMBOL, Tape(tape), Held(), PAGE, NOW_MS), NOON_MS)

    with pytest.raises(VenueUnreachable, match="trade 8 of BTCUSDT came with '1e5'"):
        asyncio.run(making.go_on(NOW_MS))
    with pytest.raises(VenueRefused, match="trade 8 of BTCUSDT came with '1e5'"):
        asyncio.run(making.go_on(NOW_MS))


def test_longer_candle_is_the_sum_of_shorter_ones_or_of_none() -> None:
    five = Key("kline", SYMBOL, "5m")
    parts = [kline(minute) for minute in range(5)]

    whole = summed(five, VENUE.calendar, parts, NOON_MS + 5 * MINUTE_MS)
    untold = summed(five, VENUE.calendar, [structs.replace(parts[0], quote_volume=None), *parts[1:]], NOON_MS)

    assert whole is not None
    assert (whole.open_ms, whole.close_ms, whole.interval) == (NOON_MS, NOON_MS + 5 * MINUTE_MS - 1, "5m")
    assert Decimal(whole.volume) == 5 * Decimal(parts[0].volume)
    assert untold is None


def test_intervals_are_filled_in_the_order_in_which_they_are_made_of_each_other() -> None:
    every = [Key("kline", SYMBOL, name) for name in ("1M", "1w", "1h", "45m")] + [Key("trade", SYMBOL)]

    assert [each.interval for each in in_order_of_making(every)] == [None, "45m", "1h", "1w", "1M"]
    assert [base_of(each, every) for each in every[:4]] == ["45m", "45m", None, None]
    hours = [each for each in every if each.interval != "45m"]
    assert [base_of(each, hours) for each in hours[:3]] == ["1h", "1h", None]
