"""Coinbase's REST side against the simulated exchange over a socket: pages are the market's tape, klines too."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest
from msgspec import structs

from data_collector.model.errors import VenueRefused, VenueUnreachable
from data_collector.model.records import Trade
from data_collector.observe.counters import Counters
from data_collector.rest.budget import PacedBudget
from data_collector.simulator import RestFault, Simulator, SimulatorSettings
from data_collector.simulator.control import actions
from data_collector.venues.coinbase.rest import CoinbaseRest
from data_collector.venues.coinbase.venue import PAUSE_S
from data_collector.venues.discovery import find_speaker

START_MS = 1_700_000_040_000
MINUTE_MS = 60_000
SYMBOL, MARKET = "BTC-USD", "BTCUSD"
STILL = SimulatorSettings(
    start_ms=START_MS, driven=True, symbols=(MARKET, "ETHUSD"), trades_per_s=3.0, history_trades=9_000,
    enforce_limits=False,
)  # fmt: skip


@asynccontextmanager
async def running(**changes: object) -> AsyncGenerator[Simulator, None]:
    """A market that stands still."""
    simulator = Simulator(structs.replace(STILL, **changes), [find_speaker("coinbase")])
    await simulator.start()
    simulator.market.symbol(MARKET)
    yield simulator
    await simulator.stop()


@pytest.fixture
async def market() -> AsyncIterator[Simulator]:
    async with running() as simulator:
        yield simulator


@pytest.fixture
async def rest(market: Simulator) -> AsyncIterator[CoinbaseRest]:
    rest = CoinbaseRest(market.addresses["coinbase"].rest_url, budget=PacedBudget(1e-6))
    yield rest
    await rest.close()


def told(trade: Trade) -> tuple[object, ...]:
    """What of it is told, as numbers."""
    return (
        trade.trade_id, Decimal(trade.price), Decimal(trade.quantity), trade.time_ms, trade.sub_ms_us,
        trade.is_buyer_maker,
    )  # fmt: skip


async def test_pages_that_follow_each_other_are_the_whole_tape(market: Simulator, rest: CoinbaseRest) -> None:
    tape, found = market.tape(MARKET), list[Trade]()
    page = await rest.trades(SYMBOL, tape[0].trade_id)
    while not page.reaches_head:
        found += page.trades
        page = await rest.trades(SYMBOL, found[-1].trade_id + 1)
    found += page.trades

    assert [told(each) for each in found] == [told(each) for each in tape]
    assert await rest.newest_trade_id(SYMBOL) == tape[-1].trade_id
    assert await rest.heads([SYMBOL, "NONE-USD"]) == {SYMBOL: tape[-1].trade_id}
    index = random.Random(1).randrange(len(tape))
    part = (await rest.trades(SYMBOL, tape[index].trade_id, limit=5)).trades
    assert [told(each) for each in part] == [told(each) for each in tape[index : index + 5]]


async def test_first_trades_are_found_by_their_times(market: Simulator, rest: CoinbaseRest) -> None:
    tape = market.tape(MARKET)
    middle = tape[len(tape) // 2]

    assert await rest.first_trade_id(SYMBOL, middle.time_ms) == next(
        each.trade_id for each in tape if each.time_ms >= middle.time_ms
    )
    assert await rest.first_trade_id(SYMBOL, START_MS + MINUTE_MS) is None
    first_ms = await rest.first_trade_ms(SYMBOL)
    assert first_ms is not None
    assert first_ms <= tape[0].time_ms
    assert await rest.first_trade_id(SYMBOL, 0) == await rest.first_trade_id(SYMBOL, first_ms)


async def test_hole_of_ids_costs_some_calls_and_no_trade(market: Simulator, rest: CoinbaseRest) -> None:
    before_id = market.tape(MARKET)[-1].trade_id
    await market.perform(actions.SkipIds(symbol=MARKET, count=70_000))
    market.advance(20 * MINUTE_MS)
    tape = market.tape(MARKET, before_id + 1)
    await rest.heads([SYMBOL])

    page = await rest.trades(SYMBOL, before_id + 1)

    assert [told(each) for each in page.trades] == [told(each) for each in tape[: len(page.trades)]]
    assert page.trades[0].trade_id > before_id + 70_000


@pytest.mark.parametrize("interval", ["1m", "5m", "1h"])
async def test_klines_are_those_of_the_market_and_quiet_ones_are_left_out(
    market: Simulator, rest: CoinbaseRest, interval: str
) -> None:
    """300 places an answer; what is left out proves nothing."""
    market.advance(5 * MINUTE_MS + 2_000)
    truth = {each.open_ms: each for each in market.closed_klines(MARKET, interval)}
    first_ms = START_MS - 1_000 * MINUTE_MS + 1

    page = await rest.klines(SYMBOL, interval, first_ms, START_MS + 60 * MINUTE_MS)

    assert page.klines
    for kline in page.klines:
        its = truth.pop(kline.open_ms)
        numbers = [(getattr(kline, name), getattr(its, name)) for name in ("open", "high", "low", "close", "volume")]
        assert all(Decimal(mine) == Decimal(other) for mine, other in numbers)
        assert (kline.trades, kline.close_ms, kline.quote_volume) == (None, its.close_ms, None)
    until_ms = START_MS + 60 * MINUTE_MS if page.reaches_ms is None else page.reaches_ms
    assert not [open_ms for open_ms in truth if first_ms <= open_ms <= until_ms]
    assert page.reaches_ms == (START_MS - 700 * MINUTE_MS if interval == "1m" else None)
    assert not page.tells_quiet


async def test_what_is_proven_ends_where_a_kline_is_left_out(market: Simulator, rest: CoinbaseRest) -> None:
    market.advance(5 * MINUTE_MS)
    first_ms = START_MS
    market.faults.add(RestFault(path="*/candles", kind="missing", within=((START_MS + 2 * MINUTE_MS) // 1000,) * 2))

    page = await rest.klines(SYMBOL, "1m", first_ms, first_ms + 3 * MINUTE_MS)
    none = await rest.klines(SYMBOL, "1m", first_ms + 90 * MINUTE_MS, first_ms + 95 * MINUTE_MS)

    assert [each.open_ms - first_ms for each in page.klines] == [0, MINUTE_MS, 3 * MINUTE_MS]
    assert (page.proven_from_ms, page.proven_to_ms) == (first_ms, first_ms + MINUTE_MS)
    assert (none.klines, none.proven_to_ms < none.proven_from_ms) == ([], True)


async def test_symbols_tell_their_steps_and_whether_they_trade(market: Simulator, rest: CoinbaseRest) -> None:
    market.market.listed("ETHUSD").set_status("CANCEL_ONLY")

    found = await rest.symbols()

    assert {name: (rules.status, rules.base, rules.quote) for name, rules in found.items()} == {
        SYMBOL: ("TRADING", "BTC", "USD"), "ETH-USD": ("CANCEL_ONLY", "ETH", "USD"),
    }  # fmt: skip
    assert (found[SYMBOL].tick_size, found[SYMBOL].step_size) == (0.1, 1e-7)


async def test_statistics_leave_out_what_is_refused_and_null_what_is_not_told(
    market: Simulator, rest: CoinbaseRest
) -> None:
    (ticker,) = await rest.tickers([SYMBOL, "NONE-USD"])

    truth = market.market.listed(MARKET).ticker()
    assert (ticker.symbol, ticker.last_price, ticker.volume) == (SYMBOL, truth.last_price, truth.volume)
    assert (ticker.event_ms, ticker.last_id, ticker.bid_price, ticker.count) == (START_MS, None, None, None)


@pytest.mark.parametrize(
    ("fault", "outcome", "wait_s"),
    [
        (RestFault(path="*/trades", kind="shuffle"), "ok", None),
        (RestFault(path="*/trades", kind="alter", row=3, set={"trade_id": 1}), "ok", None),
        (RestFault(path="*/trades", kind="alter", row=3, set={"time": "now"}), "ok", None),
        (RestFault(path="*/trades", status=500), "failed", None),
        (RestFault(path="*/trades", status=502), "failed", None),
        (RestFault(path="*/trades", status=429, retry_after_s=7), "limited", 7.0),
        (RestFault(path="*/trades", status=429), "limited", 60.0),
        (RestFault(path="*/trades", status=403), "forbidden", 10.0),
    ],
)  # fmt: skip
async def test_answer_that_is_not_true_is_none_and_errors_pass(
    market: Simulator, fault: RestFault, outcome: str, wait_s: float | None
) -> None:
    counters = Counters()
    rest = CoinbaseRest(market.addresses["coinbase"].rest_url, budget=PacedBudget(1e-6), counters=counters)
    market.faults.add(fault)
    with pytest.raises(VenueUnreachable) as caught:
        await rest.trades(SYMBOL, market.tape(MARKET)[-5].trade_id)
    await rest.close()

    assert caught.value.retry_after_s == wait_s
    assert counters.value("data_collector_rest_requests_total", outcome=outcome) == 1


async def test_page_without_its_older_half_is_asked_on_below(market: Simulator, rest: CoinbaseRest) -> None:
    """What an answer does not reach is never taken for what there is not."""
    tape = market.tape(MARKET)
    await rest.heads([SYMBOL])
    market.faults.add(RestFault(path="*/trades", kind="short", count=1))

    page = await rest.trades(SYMBOL, tape[-3_000].trade_id)

    assert page.trades[0].trade_id == tape[-3_000].trade_id


@pytest.mark.parametrize(("symbol", "words"), [("NONE-USD", "HTTP 404: NotFound"), ("../time-x", "HTTP 404")])
async def test_product_that_is_not_listed_is_refused_for_good(rest: CoinbaseRest, symbol: str, words: str) -> None:
    with pytest.raises(VenueRefused, match=words) as caught:
        await rest.trades(symbol, 5)

    assert not caught.value.endpoint_wide


async def test_calls_keep_their_distance_and_none_is_refused() -> None:
    """Twice as fast as in reality, at the same part less than is allowed."""
    counters, calls = Counters(), 60
    async with running(calls_per_s=20.0, enforce_limits=True) as market:
        url = market.addresses["coinbase"].rest_url
        rest = CoinbaseRest(url, counters=counters, budget=PacedBudget(PAUSE_S / 2))
        await asyncio.gather(*(rest.newest_trade_id(SYMBOL) for _ in range(calls)))
        await rest.close()

    assert counters.value("data_collector_rest_requests_total", outcome="ok") == calls
