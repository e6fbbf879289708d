"""What the exchange refuses for good, such as old trades without an API key, and what it gives nonetheless."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count

import pytest

from data_collector.model.backoff import REPEATED_MIN
from data_collector.model.errors import VenueRefused, VenueUnreachable
from data_collector.model.venue import TradesRefused
from data_collector.simulator import RestFault, Simulator, SimulatorSettings
from data_collector.venues.binance.rest import BinanceRest
from data_collector.venues.binance.speaker import SPEAKER
from tests.integration.waiting import POLL_S

START_MS = 1_700_000_040_000
TRADES, KLINES = "/api/v3/historicalTrades", "/api/v3/klines"
KEY = "a-key-of-this-exchange"


@pytest.fixture
async def market() -> AsyncIterator[Simulator]:
    """It stands still, and wants a key where trades are read by their ids."""
    settings = SimulatorSettings(start_ms=START_MS, driven=True, symbols=("BTCUSDT",), api_key=KEY)
    simulator = Simulator(settings, [SPEAKER])
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
        first = (await rest.trades("BTCUSDT", known[5], limit=2)).trades
        again = (await rest.trades("BTCUSDT", known[7], limit=2)).trades
        await rest.newest_trade_id("BTCUSDT")

    assert [trade.trade_id for trade in [*first, *again]] == known[5:9]
    assert rest.key_wanted is None
    sent = {path: headers.get("X-MBX-APIKEY") for path, headers in market.headers_sent.items()}
    assert {path: key for path, key in sent.items() if key is not None} == {TRADES: KEY}


async def test_first_questions_at_once_all_get_the_key(market: Simulator) -> None:
    """After a start several symbols are asked for before the first answer tells that a key is wanted."""
    await market.burst("BTCUSDT", 1_500)
    market.faults.add(RestFault(path=TRADES, delay_s=0.1))
    known = ids(market)
    async with client(market, KEY) as rest:
        answers = await asyncio.gather(*(rest.trades("BTCUSDT", known[5], limit=2, urgent=True) for _ in range(3)))

    assert [[trade.trade_id for trade in answer.trades] for answer in answers] == [known[5:7]] * 3
    assert rest.key_wanted is None


@pytest.mark.parametrize("code", [None, -1002])
async def test_every_401_takes_the_newest_trades(market: Simulator, code: int | None) -> None:
    """Whatever code comes with it, and also where a page of a proxy has none."""
    market.faults.add(RestFault(path=TRADES, status=401, code=code, message="You are not authorized."))
    async with client(market) as rest:
        trades = (await rest.trades("BTCUSDT", ids(market)[-3])).trades

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
        newest = (await rest.trades("BTCUSDT", known[-20], limit=7)).trades
        with pytest.raises(TradesRefused, match=r"-2014.*set BINANCE_API_KEY") as refused:
            await rest.trades("BTCUSDT", known[-1_100])

    assert [trade.trade_id for trade in newest] == known[-20:-13]
    assert [trade.trade_id for trade in refused.value.page.trades] == known[-1_000:]
    assert rest.key_wanted is not None


async def test_key_that_is_not_taken_is_told(market: Simulator) -> None:
    await market.burst("BTCUSDT", 1_500)
    async with client(market, "another") as rest:
        with pytest.raises(TradesRefused, match=r"-2015.*the key in BINANCE_API_KEY is not taken"):
            await rest.trades("BTCUSDT", ids(market)[0])


@pytest.mark.parametrize(
    ("status", "code", "is_final"),
    [
        (400, -1121, True), (400, -1000, False), (400, -1008, False), (400, -1007, False), (404, -1121, True),
        (401, -1002, True), (401, -1003, False), (404, 404, False), (400, 400, False), (401, None, False),
        (403, None, False), (404, None, False), (405, None, False), (410, None, False),
    ],
)  # fmt: skip
async def test_only_an_error_of_the_exchange_that_will_not_pass_is_final_at_once(
    market: Simulator, status: int, code: int | None, *, is_final: bool
) -> None:
    """A page of a proxy, or of a host that is just being renewed, has a status and no error of the exchange."""
    market.faults.add(RestFault(path=KLINES, status=status, code=code, message="No."))
    async with client(market) as rest:
        with pytest.raises(VenueRefused if is_final else VenueUnreachable):
            await rest.klines("BTCUSDT", "1m", START_MS, START_MS)


async def refused_at_last(ask: Callable[[], Awaitable[object]]) -> tuple[int, VenueRefused]:
    """How often it was put off before, and the refusal."""
    for put_off in count():
        try:
            await ask()
        except VenueRefused as refusal:
            return put_off, refusal
        except VenueUnreachable:
            await asyncio.sleep(POLL_S)
        assert put_off < 1_000
    raise AssertionError


async def test_status_that_comes_again_and_again_is_final(market: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_collector.model.backoff.REPEATED_S", 0.2)
    market.faults.add(RestFault(path=KLINES, status=404, message="Not Found"))
    async with client(market) as rest:
        put_off, refusal = await refused_at_last(lambda: rest.klines("BTCUSDT", "1m", START_MS, START_MS))

    assert put_off >= REPEATED_MIN - 1
    assert str(refusal) == f"{KLINES} was answered with HTTP 404: Not Found (code 0), again and again"
    assert refusal.endpoint_wide


async def test_good_answer_between_makes_a_status_pass(market: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_collector.model.backoff.REPEATED_S", 0.0)
    async with client(market) as rest:
        for _ in range(REPEATED_MIN):
            market.faults.add(RestFault(path=KLINES, status=404, count=REPEATED_MIN - 1))
            for _ in range(REPEATED_MIN - 1):
                with pytest.raises(VenueUnreachable):
                    await rest.klines("BTCUSDT", "1m", START_MS, START_MS)
            await rest.klines("BTCUSDT", "1m", START_MS, START_MS)


async def test_old_trades_are_not_refused_by_one_page_of_a_proxy(market: Simulator) -> None:
    await market.burst("BTCUSDT", 1_500)
    known = ids(market)
    market.faults.add(RestFault(path=TRADES, status=404, count=1))
    async with client(market, KEY) as rest:
        with pytest.raises(VenueUnreachable, match="HTTP 404"):
            await rest.trades("BTCUSDT", known[5], limit=2)
        trades = (await rest.trades("BTCUSDT", known[5], limit=2)).trades

    assert [trade.trade_id for trade in trades] == known[5:7]


async def test_host_without_trades_by_id_gives_the_newest_at_once_and_refuses_the_rest_at_last(
    market: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data_collector.model.backoff.REPEATED_S", 0.2)
    await market.burst("BTCUSDT", 1_500)
    known = ids(market)
    market.faults.add(RestFault(path=TRADES, status=404))
    async with client(market) as rest:
        newest = (await rest.trades("BTCUSDT", known[-3])).trades
        _, refusal = await refused_at_last(lambda: rest.trades("BTCUSDT", known[5]))

    assert [trade.trade_id for trade in newest] == known[-3:]
    assert isinstance(refusal, TradesRefused)
    assert [trade.trade_id for trade in refusal.page.trades] == known[-1_000:]
    assert rest.key_wanted is None


async def test_key_is_wanted_for_trades_by_their_ids_alone(market: Simulator) -> None:
    """Another endpoint that refuses says nothing of the trades that can be brought again."""
    market.faults.add(RestFault(path=KLINES, status=401, code=-1002, message="You are not authorized."))
    async with client(market, KEY) as rest:
        with pytest.raises(VenueRefused, match=r"HTTP 401: You are not authorized.*code -1002") as caught:
            await rest.klines("BTCUSDT", "1m", START_MS, START_MS)
        await rest.trades("BTCUSDT", ids(market)[5], limit=2)

        assert rest.key_wanted is None
        assert "BINANCE_API_KEY" not in str(caught.value)
