"""Two exchanges before one market, over real sockets: each in its own words, both the same tape."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
from msgspec import structs

from data_collector.model.records import Quote, Record, Ticker, Trade
from data_collector.simulator import EqualTimes, FrameFault, RefuseStreams, RestFault, Simulator
from data_collector.simulator.control import actions
from data_collector.venues.discovery import find_speaker
from data_collector.venues.kraken.codec import KrakenCodec
from tests.integration.simulator.client import Client, Start, connect
from tests.integration.waiting import until_async

SPEAKERS = [find_speaker("binance"), find_speaker("kraken")]
SYMBOL = "BTC/USD"

Begin = Callable[..., Awaitable[Simulator]]


@pytest.fixture
def begin(start: Start) -> Begin:
    async def begin_one(**changes: object) -> Simulator:
        return await start(**({"speakers": SPEAKERS, "symbols": ("BTCUSD", "BTCUSDT")} | changes))

    return begin_one


async def dial(session: aiohttp.ClientSession, simulator: Simulator) -> Client:
    """A connection to the second exchange, whose status has been read."""
    client = Client(await session.ws_connect(simulator.addresses["kraken"].ws_url + "/v2", autoping=False))
    assert (await client.json())["channel"] == "status"
    return client


async def subscribe(client: Client, channel: str, *symbols: str, **more: object) -> list[dict[str, object]]:
    """The answers, one a symbol."""
    parameters = {"channel": channel, "symbol": symbols, **more}
    await client.socket.send_json({"method": "subscribe", "params": parameters, "req_id": 7})
    return [await client.json() for _ in symbols]


def records_of(text: str) -> list[Record]:
    """What a frame tells."""
    decoded: object = KrakenCodec().decode(text.encode(), 0)
    return [one for one in (decoded if isinstance(decoded, list) else [decoded]) if isinstance(one, Record)]


async def trades(client: Client, count: int) -> list[Trade]:
    """So many trades at least, in the order in which they came."""
    found: list[Trade] = []
    while len(found) < count:
        found += [record for record in records_of((await client.message()).data) if isinstance(record, Trade)]
    return found


def told(trade: Trade) -> Trade:
    """A trade of the tape as the stream tells it."""
    return structs.replace(trade, price=trade.price[:-7])


async def test_both_tell_the_same_trades_each_with_its_own_name(begin: Begin, session: aiohttp.ClientSession) -> None:
    simulator = await begin()
    first = await connect(session, simulator, "/ws/btcusd@trade")
    second = await dial(session, simulator)
    await subscribe(second, "trade", SYMBOL, snapshot=False)

    await simulator.burst(SYMBOL, 500)

    theirs = [(await first.json())["t"] for _ in range(500)]
    ours = await trades(second, 500)
    assert [trade.trade_id for trade in ours] == theirs
    tape = simulator.tape(SYMBOL)[-500:]
    assert ours == [told(trade) for trade in tape]
    assert {trade.symbol for trade in simulator.tape("BTCUSD")} == {"BTCUSD"}


async def test_each_exchange_has_its_own_prices_and_tells_them_with_its_own_delay(
    begin: Begin, session: aiohttp.ClientSession
) -> None:
    simulator = await begin(premium_bps=3.0, delay_ms=200, trades_per_s=20.0)
    first = await connect(session, simulator, "/ws/btcusd@trade")
    second = await dial(session, simulator)
    await subscribe(second, "trade", SYMBOL, snapshot=False)
    since_ms = simulator.market.now_ms

    simulator.advance(10_000)

    ours = (await trades(second, 100))[:100]
    theirs = [await first.json() for _ in range(100)]
    assert [trade.trade_id for trade in ours] == [each["t"] for each in theirs]
    tapes = {name: simulator.tape(SYMBOL, ours[0].trade_id, exchange=name) for name in simulator.sides}
    assert ours == [told(trade) for trade in tapes["kraken"][:100]]
    assert [each["p"] for each in theirs] == [trade.price for trade in tapes["binance"][:100]]
    assert [trade.price for trade in tapes["kraken"][:100]] != [trade.price for trade in tapes["binance"][:100]]
    behind_ms = {name: since_ms + 10_000 - side.market.now_ms for name, side in simulator.sides.items()}
    assert behind_ms == {"binance": 100, "kraken": 200}
    for name, place in simulator.addresses.items():
        asked = f"{place.rest_url}/simulator/tape?symbol=BTCUSD&from_id={ours[0].trade_id}"
        async with session.get(asked) as answer:
            rows = await answer.json()
        assert [row["price"] for row in rows] == [trade.price for trade in tapes[name]]


async def test_each_symbol_is_answered_by_itself(begin: Begin, session: aiohttp.ClientSession) -> None:
    simulator = await begin()
    client = await dial(session, simulator)

    answers = await subscribe(client, "trade", SYMBOL, "XBT/USD", "BTCUSD", "btc/usd")

    assert [answer["req_id"] for answer in answers] == [7] * 4
    assert [answer["success"] for answer in answers] == [True, False, False, False]
    assert [answer.get("error") for answer in answers[1:]] == [
        "Currency pair not supported XBT/USD",
        "Currency pair not in ISO 4217-A3 format BTCUSD",
        "Currency pair not in ISO 4217-A3 format btc/usd",
    ]
    (again,) = await subscribe(client, "trade", SYMBOL)
    assert (again["success"], again["symbol"]) == (False, SYMBOL)


async def test_trades_begin_with_the_newest_fifty(begin: Begin, session: aiohttp.ClientSession) -> None:
    simulator = await begin()
    client = await dial(session, simulator)

    await subscribe(client, "trade", SYMBOL, snapshot=True)
    await simulator.burst(SYMBOL, 3)

    assert await trades(client, 53) == [told(trade) for trade in simulator.tape(SYMBOL)[-53:]]


async def test_book_is_that_of_the_market_after_every_change(begin: Begin, session: aiohttp.ClientSession) -> None:
    simulator = await begin()
    client = await dial(session, simulator)
    await subscribe(client, "book", SYMBOL, depth=10)
    codec, quotes = KrakenCodec(), list[Quote]()

    for _ in range(30):
        await simulator.burst(SYMBOL, 20)
    await client.socket.send_json({"method": "ping", "req_id": 1})
    while "pong" not in (text := (await client.message()).data):
        if isinstance(quote := codec.decode(text.encode(), 0), Quote):
            quotes.append(quote)

    best = simulator.market.listed("BTCUSD").book().quote()
    assert (quotes[-1].bid, quotes[-1].ask) == (best.bid[:-7], best.ask[:-7])
    assert (quotes[-1].bid_quantity, quotes[-1].ask_quantity) == (best.bid_quantity, best.ask_quantity)


async def test_candles_are_told_on_trades_and_never_closed(begin: Begin, session: aiohttp.ClientSession) -> None:
    simulator = await begin()
    client = await dial(session, simulator)
    await subscribe(client, "ohlc", SYMBOL, interval=1, snapshot=False)

    simulator.advance(180_000)
    await client.socket.send_json({"method": "ping"})
    rows: dict[object, dict[str, object]] = {}
    while (body := await client.json()).get("method") != "pong":
        assert isinstance(body["data"], list)
        rows |= {row["interval_begin"]: row for row in body["data"]}

    closed = simulator.closed_klines(SYMBOL, "1m")[-2:]
    assert [(float(kline.volume), kline.trades) for kline in closed] == [
        (row["volume"], row["trades"]) for row in list(rows.values())[-3:-1]
    ]


async def test_ticker_tells_the_statistics_of_the_market(begin: Begin, session: aiohttp.ClientSession) -> None:
    simulator = await begin()
    client = await dial(session, simulator)

    await subscribe(client, "ticker", SYMBOL)
    (record,) = records_of((await client.message()).data)

    assert isinstance(record, Ticker)
    truth = simulator.market.listed("BTCUSD").ticker()
    assert (record.volume, record.count) == (truth.volume, truth.count)


async def test_heartbeats_come_when_there_is_nothing_else(begin: Begin, session: aiohttp.ClientSession) -> None:
    simulator = await begin(pulse_s=0.05)
    client = await dial(session, simulator)
    await subscribe(client, "trade", SYMBOL)

    assert await client.json() == {"channel": "heartbeat"}


async def test_whoever_says_nothing_is_closed_and_a_ping_is_enough(
    begin: Begin, session: aiohttp.ClientSession
) -> None:
    simulator = await begin(silence_s=1.0)
    silent, speaking = await dial(session, simulator), await dial(session, simulator)
    closed = asyncio.create_task(silent.until_closed())

    while not closed.done():
        await speaking.socket.send_json({"method": "ping", "req_id": 101})
        answer = await speaking.json()
        assert (answer["method"], answer["req_id"]) == ("pong", 101)

    assert await closed == 1000
    await until_async(lambda: [each.number for each in simulator.connections()] == [2])


async def test_a_hundred_and_fifty_connections_in_ten_minutes_are_the_limit(
    begin: Begin, session: aiohttp.ClientSession
) -> None:
    simulator = await begin(connects_max=2)
    await dial(session, simulator)
    await dial(session, simulator)

    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await dial(session, simulator)

    assert refused.value.status == 429


async def test_trades_of_equal_time_can_be_left_out(begin: Begin, session: aiohttp.ClientSession) -> None:
    simulator = await begin()
    simulator.faults.add(EqualTimes())
    client = await dial(session, simulator)
    await subscribe(client, "trade", SYMBOL, snapshot=False)

    simulator.advance(60_000)
    await client.socket.send_json({"method": "ping"})
    await until_async(lambda: simulator.connections()[0].frames_sent > 0)
    found: list[Trade] = []
    while "pong" not in (text := (await client.message()).data):
        found += [record for record in records_of(text) if isinstance(record, Trade)]

    tape = simulator.tape(SYMBOL, found[0].trade_id)
    times = [(trade.time_ms, trade.sub_ms_us) for trade in tape]
    expected = [trade for place, trade in enumerate(tape) if place == 0 or times[place] != times[place - 1]]
    assert [trade.trade_id for trade in found] == [trade.trade_id for trade in expected]
    assert len(expected) < len(tape)


async def test_faults_of_frames_reach_into_lists(begin: Begin, session: aiohttp.ClientSession) -> None:
    simulator = await begin()
    client = await dial(session, simulator)
    await subscribe(client, "trade", SYMBOL, snapshot=False)
    simulator.faults.add(FrameFault(kind="drop", stream="trade:*", count=1))
    simulator.faults.add(FrameFault(kind="duplicate", stream="trade:*", count=1))
    simulator.faults.add(FrameFault(kind="change", stream="trade:*", count=1, add={"data.0.trade_id": 1_000}))

    for _ in range(3):
        await simulator.burst(SYMBOL, 1)

    tape = simulator.tape(SYMBOL)[-2:]
    found = await trades(client, 3)
    assert [trade.trade_id for trade in found] == [tape[0].trade_id] * 2 + [tape[1].trade_id + 1_000]


async def test_one_stream_is_refused_by_each_in_its_way(begin: Begin, session: aiohttp.ClientSession) -> None:
    simulator = await begin()
    simulator.faults.add(RefuseStreams(stream="*BTC/USDT"))
    simulator.faults.add(RefuseStreams(stream="btcusdt@*"))
    first, second = await connect(session, simulator, "/ws"), await dial(session, simulator)

    whole = await first.ask("SUBSCRIBE", "btcusd@trade", "btcusdt@trade")
    answers = await subscribe(second, "trade", SYMBOL, "BTC/USDT")

    assert whole["error"] == {"code": 2, "msg": "Invalid request: invalid stream"}
    assert [answer["success"] for answer in answers] == [True, False]
    assert answers[1]["error"] == "Currency pair not supported BTC/USDT"


async def test_a_symbol_that_was_delisted_is_refused(begin: Begin, session: aiohttp.ClientSession) -> None:
    simulator = await begin()
    client = await dial(session, simulator)
    await simulator.perform(actions.SetStatus(SYMBOL, "END_OF_DAY"))

    answers = await subscribe(client, "trade", SYMBOL, "BTC/USDT")

    assert [answer["success"] for answer in answers] == [False, True]


async def get(session: aiohttp.ClientSession, simulator: Simulator, path: str) -> tuple[int, object]:
    async with session.get(f"{simulator.addresses['kraken'].rest_url}/0/public/{path}") as answer:
        text = await answer.text()
        return answer.status, json.loads(text) if answer.content_type == "application/json" else text


async def test_calls_are_limited_for_each_pair_and_who_goes_on_is_locked_out(
    begin: Begin, session: aiohttp.ClientSession
) -> None:
    simulator = await begin(calls_per_s=0.001)

    answers = [await get(session, simulator, "Trades?pair=XBTUSD&count=1") for _ in range(15)]
    errors = [body["error"] for status, body in answers if isinstance(body, dict) and status == 200]

    assert len(errors) == 15
    assert errors[:4] == [[], [], [], ["EAPI:Rate limit exceeded"]]
    assert errors[-1] == ["EGeneral:Temporary lockout"]


async def test_errors_come_in_answers_of_status_200(begin: Begin, session: aiohttp.ClientSession) -> None:
    simulator = await begin(enforce_limits=False)
    for fault, error in (
        (RestFault(message="EService:Busy", count=1), "EService:Busy"),
        (RestFault(status=429, count=1), "EAPI:Rate limit exceeded"),
        (RestFault(status=418, count=1), "EGeneral:Temporary lockout"),
    ):
        simulator.faults.add(fault)
        assert await get(session, simulator, "Time") == (200, {"error": [error]})

    simulator.faults.add(RestFault(status=429, retry_after_s=30, count=1))
    _, body = await get(session, simulator, "Time")
    assert isinstance(body, dict)
    assert abs(int(body["error"][0].rpartition(" ")[2]) - time.time() - 30) < 10
    simulator.faults.add(RestFault(status=503, count=1))
    status, text = await get(session, simulator, "Time")
    assert (status, type(text)) == (503, str)
    assert (await get(session, simulator, "Time"))[0] == 200


async def test_state_counts_both(begin: Begin, session: aiohttp.ClientSession) -> None:
    simulator = await begin()
    clients = await connect(session, simulator, "/ws"), await dial(session, simulator)
    await get(session, simulator, "Time")

    async with session.get(f"{simulator.addresses['kraken'].rest_url}/simulator/state") as answer:
        state = await answer.json()

    assert (state["connection_attempts"], len(state["connections"]), state["rest_requests"]) == (2, 2, 1)
    assert [each["number"] for each in state["connections"]] == [1, 2]
    assert not any(client.socket.closed for client in clients)


async def test_bursts_can_be_prepared_in_any_words(begin: Begin, session: aiohttp.ClientSession) -> None:
    simulator = await begin(speakers=[find_speaker("kraken")])
    client = await dial(session, simulator)
    await subscribe(client, "trade", SYMBOL, snapshot=False)

    prepared = simulator.prepare_burst(SYMBOL, 500)
    await simulator.send_prepared(prepared)

    assert await trades(client, 500) == [told(trade) for trade in simulator.tape(SYMBOL)[-500:]]
