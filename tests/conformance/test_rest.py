"""A venue's REST side against the venue's own other end: pages are the tape, and what they prove is so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest

from data_collector.model.errors import VenueRefused
from data_collector.model.records import Trade
from data_collector.model.venue import ExchangeApi, TradePlace, Venue
from data_collector.simulator import Simulator
from tests.conformance.worlds import ENDS_MS, MINUTE_MS, market_of, symbols_of

pytestmark = pytest.mark.usefixtures("hurried")


@asynccontextmanager
async def asked(venue: Venue, **market: object) -> AsyncIterator[tuple[Simulator, ExchangeApi]]:
    """The market and its REST side; of the market some seconds have equal times."""
    simulator = market_of(venue, **market)
    await simulator.start()
    rest = venue.open_rest(simulator.rest_url)
    try:
        for _ in range(5):
            await simulator.burst(symbols_of(venue)[0], 300)
            simulator.advance(500)
        yield simulator, rest
    finally:
        await rest.close()
        await simulator.stop()


def place(trade: Trade) -> TradePlace:
    return TradePlace(trade.trade_id, trade.time_ms * 1000 + (trade.sub_ms_us or 0))


def numbers(trade: Trade) -> tuple[object, ...]:
    return trade.trade_id, Decimal(trade.price), Decimal(trade.quantity), trade.time_ms // 2, trade.is_buyer_maker


async def test_trades_are_the_tape_from_any_id(venue: Venue) -> None:
    """With a place that is near, one that is far and none; page borders lie among equal times."""
    async with asked(venue) as (simulator, rest):
        symbol = symbols_of(venue)[0]
        tape = simulator.tape(symbol)
        for at, near in ((len(tape) - 1_200, None), (3, None), (len(tape) - 900, 0), (700, 690), (1_999, 1_998)):
            got: list[Trade] = []
            known = None if near is None else place(tape[near])
            while True:
                page = await rest.trades(symbol, tape[at].trade_id + len(got), near=known, urgent=True)
                assert page.trades or page.reaches_head
                got += page.trades
                known = place(got[-1])
                if page.reaches_head or len(got) > 1_100:
                    break
            assert [numbers(trade) for trade in got] == [numbers(trade) for trade in tape[at : at + len(got)]]
            assert page.reaches_head == (at + len(got) == len(tape))


async def test_heads_and_first_ids_are_those_of_the_tape(venue: Venue) -> None:
    async with asked(venue) as (simulator, rest):
        symbol, other = symbols_of(venue)
        tape = simulator.tape(symbol)
        newest = {each: simulator.tape(each)[-1].trade_id for each in (symbol, other)}

        assert await rest.newest_trade_id(symbol) == newest[symbol]
        told = {ticker.symbol: ticker.last_id for ticker in await rest.tickers([symbol, other])}
        heads = await rest.heads([symbol, other])
        assert {each: heads.get(each, told[each]) for each in newest} == newest
        assert await rest.first_trade_id(symbol, tape[500].time_ms) == next(
            trade.trade_id for trade in tape if trade.time_ms >= tape[500].time_ms
        )
        assert abs(await rest.server_time_ms() - simulator.market.now_ms) <= 1_000


async def test_nothing_is_proven_that_was_not_served(venue: Venue) -> None:
    """Of a symbol that was listed for two days, from its beginning and from the end."""
    async with asked(venue, history_ms=2 * 24 * 60 * MINUTE_MS) as (simulator, rest):
        symbol, now_ms = symbols_of(venue)[0], simulator.market.now_ms
        truth = {kline.open_ms: kline for kline in simulator.closed_klines(symbol, "1m")}
        for first_ms in (ENDS_MS - 2_000 * MINUTE_MS, ENDS_MS - 800 * MINUTE_MS, ENDS_MS - 10 * MINUTE_MS):
            page = await rest.klines(symbol, "1m", first_ms, now_ms, urgent=True)
            served = {kline.open_ms: kline for kline in page.klines}
            proven = {open_ms for open_ms in truth if page.proven_from_ms <= open_ms <= page.proven_to_ms}
            assert proven <= served.keys()
            assert all(kline.is_closed and kline.close_ms < now_ms for kline in page.klines)
            for open_ms, kline in served.items():
                if open_ms in truth:
                    assert Decimal(kline.volume) == Decimal(truth[open_ms].volume)
                    assert kline.trades in (None, truth[open_ms].trades)


async def test_what_is_not_told_is_none_and_never_zero(venue: Venue) -> None:
    async with asked(venue) as (simulator, rest):
        symbol, now_ms = symbols_of(venue)[0], simulator.market.now_ms
        (ticker,) = await rest.tickers([symbol])
        page = await rest.klines(symbol, "1m", now_ms - 10 * MINUTE_MS, now_ms, urgent=True)
        traded = [kline for kline in page.klines if kline.trades != 0]

        assert ticker.quote_volume is None or Decimal(ticker.quote_volume) > 0
        assert ticker.open_time is None or ticker.open_time > 0
        assert ticker.last_id is None or ticker.last_id == simulator.tape(symbol)[-1].trade_id
        assert traded
        for kline in traded:
            assert kline.quote_volume is None or Decimal(kline.quote_volume) > 0


async def test_symbol_that_does_not_exist_is_refused_for_good(venue: Venue) -> None:
    async with asked(venue) as (_, rest):
        nobody = symbols_of(venue)[0].replace("BTC", "NOBODY")
        assert nobody not in await rest.symbols()
        with pytest.raises(VenueRefused):
            await rest.klines(nobody, "1m", ENDS_MS - 10 * MINUTE_MS, ENDS_MS, urgent=True)
