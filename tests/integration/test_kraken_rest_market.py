"""Kraken's REST side against the simulated exchange over a socket: its pages are the market's tape, its klines too."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import pytest

from data_collector.model.errors import VenueUnreachable
from data_collector.model.records import Trade, same_moment, same_number
from data_collector.model.venue import TradePlace
from data_collector.observe.counters import Counters
from data_collector.rest.budget import PacedBudget
from data_collector.simulator import RestFault, Simulator, SimulatorSettings
from data_collector.venues.discovery import find_speaker
from data_collector.venues.kraken.rest import KrakenRest
from data_collector.venues.kraken.venue import PAUSE_S

START_MS = 1_700_000_040_000
MINUTE_MS = 60_000
SYMBOL, MARKET = "BTC/USD", "BTCUSD"


@asynccontextmanager
async def running(**changes: float) -> AsyncGenerator[Simulator, None]:
    """A market that stands still; 41 % of its trades share a time with the one before."""
    settings = SimulatorSettings(
        start_ms=START_MS, driven=True, symbols=(MARKET,), trades_per_s=3.0, history_trades=9_000,
        **changes,  # type: ignore[arg-type]
    )  # fmt: skip
    simulator = Simulator(settings, [find_speaker("kraken")])
    await simulator.start()
    simulator.market.symbol(MARKET)
    yield simulator
    await simulator.stop()


@pytest.fixture
async def market() -> AsyncIterator[Simulator]:
    async with running(enforce_limits=False) as simulator:
        yield simulator


@pytest.fixture
async def rest(market: Simulator) -> AsyncIterator[KrakenRest]:
    rest = KrakenRest(market.addresses["kraken"].rest_url, budget=PacedBudget(1e-6))
    yield rest
    await rest.close()


def is_of_tape(trades: list[Trade], tape: list[Trade]) -> bool:
    """Ids in their order, prices and quantities as numbers, times to the microseconds that floats leave."""
    return len(trades) == len(tape) and all(
        mine.trade_id == its.trade_id
        and same_number(mine.price, its.price)
        and same_number(mine.quantity, its.quantity)
        and same_moment(mine, its)
        and mine.is_buyer_maker == its.is_buyer_maker
        for mine, its in zip(trades, tape, strict=True)
    )


@pytest.mark.parametrize("knows_one", [False, True])
async def test_trades_from_any_id_are_the_tape(market: Simulator, rest: KrakenRest, *, knows_one: bool) -> None:
    tape, random_ = market.tape(MARKET), random.Random(1)
    first_id = tape[0].trade_id
    assert len(tape) > 8_000
    for _ in range(12):
        index = random_.randrange(1, len(tape))
        before = tape[max(0, index - random_.choice((1, 7, 2_500)))]
        near = TradePlace(before.trade_id, before.time_ms * 1000 + (before.sub_ms_us or 0)) if knows_one else None

        trades = (await rest.trades(SYMBOL, first_id + index, near=near)).trades

        assert trades
        assert is_of_tape(trades, tape[index : index + len(trades)])


async def test_pages_that_follow_each_other_are_the_whole_tape(market: Simulator, rest: KrakenRest) -> None:
    """Borders lie within groups of equal times."""
    tape = market.tape(MARKET)
    found: list[Trade] = []
    page = await rest.trades(SYMBOL, tape[0].trade_id)
    while True:
        found += page.trades
        if page.reaches_head:
            break
        page = await rest.trades(SYMBOL, found[-1].trade_id + 1)

    assert is_of_tape(found, tape)
    assert await rest.newest_trade_id(SYMBOL) == tape[-1].trade_id
    assert await rest.first_trade_ms(SYMBOL) == tape[0].time_ms
    middle = tape[len(tape) // 2]
    assert await rest.first_trade_id(SYMBOL, middle.time_ms) == next(
        trade.trade_id for trade in tape if trade.time_ms >= middle.time_ms
    )


@pytest.mark.parametrize("interval", ["1m", "5m", "1h"])
async def test_klines_are_those_of_the_market_as_far_as_they_are_kept(
    market: Simulator, rest: KrakenRest, interval: str
) -> None:
    market.advance(5 * MINUTE_MS + 2_000)

    page = await rest.klines(SYMBOL, interval, START_MS - 1_000 * MINUTE_MS, START_MS + 60 * MINUTE_MS)

    truth = {kline.open_ms: kline for kline in market.closed_klines(MARKET, interval)}
    assert page.klines
    assert max(truth) == page.klines[-1].open_ms
    assert page.proven_from_ms == page.klines[0].open_ms
    for kline in page.klines:
        its = truth[kline.open_ms]
        pairs = [(kline.open, its.open), (kline.high, its.high), (kline.low, its.low), (kline.close, its.close)]
        assert all(same_number(mine, other) for mine, other in [*pairs, (kline.volume, its.volume)])
        assert (kline.trades, kline.close_ms, kline.quote_volume) == (its.trades, its.close_ms, None)


@pytest.mark.parametrize(
    "fault",
    [
        RestFault(path="*/Trades", kind="shuffle"), RestFault(path="*/Trades", kind="alter", row=3, set={"6": 1}),
        RestFault(path="*/Trades", status=500), RestFault(path="*/Trades", status=404),
        RestFault(path="*/Trades", status=429, retry_after_s=7),
    ],
)  # fmt: skip
async def test_answer_that_is_not_true_is_none(market: Simulator, rest: KrakenRest, fault: RestFault) -> None:
    tape = market.tape(MARKET)
    market.faults.add(fault)
    with pytest.raises(VenueUnreachable):
        await rest.trades(SYMBOL, tape[5].trade_id)


async def test_calls_keep_their_distance_and_none_is_refused() -> None:
    """A twentieth of a second instead of a whole one, at the same part more than is asked for."""
    counters, calls = Counters(), 12
    async with running(calls_per_s=20.0) as market:
        rest = KrakenRest(market.addresses["kraken"].rest_url, counters=counters, budget=PacedBudget(PAUSE_S / 20))
        await asyncio.gather(*(rest.newest_trade_id(SYMBOL) for _ in range(calls)))
        await rest.close()

    assert counters.value("data_collector_rest_requests_total", outcome="ok") == 1 + calls
    assert counters.value("data_collector_rest_requests_total", outcome="limited") == 0
