"""What the exchange refuses for good, such as old trades without an API key, and what it gives nonetheless."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from data_collector.model.errors import VenueRefused, VenueUnreachable
from data_collector.model.venue import TradesRefused
from data_collector.simulator import RestFault, Simulator, SimulatorSettings
from data_collector.venues.binance.codec import BinanceCodec
from data_collector.venues.binance.rest import BinanceRest

START_MS = 1_700_000_040_000
TRADES, KLINES = "/api/v3/historicalTrades", "/api/v3/klines"
KEY = "a-key-of-this-exchange"


@pytest.fixture
async def market() -> AsyncIterator[Simulator]:
    """It stands still, and wants a key where trades are read by their ids."""
    settings = SimulatorSettings(start_ms=START_MS, driven=True, symbols=("BTCUSDT",), api_key=KEY)
    simulator = Simulator(settings, BinanceCodec())
    await simulator.start()
    simulator.market.symbol("BTCUSDT")
    yield simulator
    await simulator.stop()


@asynccontextmanager
async def client(market: Simulator, api_key: str | None = None) -> AsyncIterator[BinanceRest]:
    rest = BinanceRest(market.rest_url, api_key=api_key)
    try:
        yield rest
    finally:
        await rest.close()


def ids(market: Simulator) -> list[int]:
    return [trade.trade_id for trade in market.tape("BTCUSDT")]


async def test_key_is_sent_only_where_it_is_asked_for(market: Simulator) -> None:
    """Binance.US answers 401 and -2014 where trades are read by their ids without one."""
    known = ids(market)
    async with client(market, KEY) as rest:
        await rest.server_time_ms()
        first = await rest.trades("BTCUSDT", known[5], limit=2)
        again = await rest.trades("BTCUSDT", known[7], limit=2)
        await rest.newest_trade_id("BTCUSDT")

    assert [trade.trade_id for trade in [*first, *again]] == known[5:9]
    assert rest.key_wanted is None
    assert market.keys_sent == {TRADES: KEY}


async def test_first_questions_at_once_all_get_the_key(market: Simulator) -> None:
    """After a start several symbols are asked for before the first answer tells that a key is wanted."""
    await market.burst("BTCUSDT", 1_500)
    market.faults.add(RestFault(path=TRADES, delay_s=0.1))
    known = ids(market)
    async with client(market, KEY) as rest:
        answers = await asyncio.gather(*(rest.trades("BTCUSDT", known[5], limit=2, urgent=True) for _ in range(3)))

    assert [[trade.trade_id for trade in answer] for answer in answers] == [known[5:7]] * 3
    assert rest.key_wanted is None


@pytest.mark.parametrize("code", [None, -1002])
async def test_every_401_takes_the_newest_trades(market: Simulator, code: int | None) -> None:
    """Whatever code comes with it, and also where a page of a proxy has none."""
    market.faults.add(RestFault(path=TRADES, status=401, code=code, message="You are not authorized."))
    async with client(market) as rest:
        trades = await rest.trades("BTCUSDT", ids(market)[-3])

    assert [trade.trade_id for trade in trades] == ids(market)[-3:]


async def test_key_is_wanted_no_more_once_it_is_taken(market: Simulator) -> None:
    market.faults.add(RestFault(path=TRADES, status=401, code=-2015, message="No rights."))
    known = ids(market)
    async with client(market, KEY) as rest:
        await rest.trades("BTCUSDT", known[-3], limit=2)
        assert rest.key_wanted is not None
        market.faults.clear()
        await rest.trades("BTCUSDT", known[5], limit=2)

        assert rest.key_wanted is None


async def test_without_a_key_what_needs_none_is_given_and_the_rest_refused_with_the_cure(market: Simulator) -> None:
    await market.burst("BTCUSDT", 1_500)
    known = ids(market)
    async with client(market) as rest:
        newest = await rest.trades("BTCUSDT", known[-20], limit=7)
        with pytest.raises(TradesRefused, match=r"-2014.*set BINANCE_API_KEY") as refused:
            await rest.trades("BTCUSDT", known[-1_100])

    assert [trade.trade_id for trade in newest] == known[-20:-13]
    assert [trade.trade_id for trade in refused.value.trades] == known[-1_000:]
    assert rest.key_wanted is not None


async def test_key_that_is_not_taken_is_told(market: Simulator) -> None:
    await market.burst("BTCUSDT", 1_500)
    async with client(market, "another") as rest:
        with pytest.raises(TradesRefused, match=r"-2015.*the key in BINANCE_API_KEY is not taken"):
            await rest.trades("BTCUSDT", ids(market)[0])


@pytest.mark.parametrize(
    ("status", "code", "is_final"),
    [(400, -1121, True), (404, None, True), (400, -1000, False), (400, -1008, False), (400, -1007, False)],
)
async def test_only_what_will_not_pass_is_final(
    market: Simulator, status: int, code: int | None, *, is_final: bool
) -> None:
    market.faults.add(RestFault(path=KLINES, status=status, code=code, message="No."))
    async with client(market) as rest:
        with pytest.raises(VenueRefused if is_final else VenueUnreachable):
            await rest.klines("BTCUSDT", "1m", START_MS, START_MS)


async def test_host_without_trades_by_id_gives_the_newest(market: Simulator) -> None:
    market.faults.add(RestFault(path=TRADES, status=404))
    async with client(market) as rest:
        trades = await rest.trades("BTCUSDT", ids(market)[-3])

    assert [trade.trade_id for trade in trades] == ids(market)[-3:]
