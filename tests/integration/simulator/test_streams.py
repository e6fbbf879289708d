"""Streams over real sockets: forms, control messages, and agreement with tape and REST."""

from __future__ import annotations

import json

import aiohttp
import msgspec
import pytest

from data_collector.model.records import Kline, Trade
from data_collector.model.venue import UnknownEvent
from data_collector.venues.binance.codec import BinanceCodec
from tests.integration.simulator.client import MINUTE_MS, START_MS, Start, connect, get
from tests.integration.waiting import until_async


async def test_raw_payloads_are_bare_and_combined_ones_are_wrapped(
    start: Start, session: aiohttp.ClientSession
) -> None:
    simulator = await start()
    raw = await connect(session, simulator, "/ws/btcusdt@trade")
    combined = await connect(session, simulator, "/stream?streams=btcusdt@trade/ethusdt@trade")

    await simulator.burst("BTCUSDT", 1)

    bare, wrapped = await raw.json(), await combined.json()
    assert bare["e"] == "trade"
    assert wrapped == {"stream": "btcusdt@trade", "data": bare}


async def test_what_is_received_is_what_is_on_the_tape(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start(order_ids=True)
    client = await connect(session, simulator, "/stream?streams=btcusdt@trade")
    codec = BinanceCodec()

    await simulator.burst("BTCUSDT", 3_000)

    received = [codec.decode((await client.message()).data.encode(), 0) for _ in range(3_000)]
    tape = simulator.tape("BTCUSDT")[-3_000:]
    assert [_rest_form(trade) for trade in received] == [_rest_form(trade) for trade in tape]


def _rest_form(trade: object) -> Trade:
    assert isinstance(trade, Trade)
    return msgspec.structs.replace(trade, event_ms=trade.time_ms, sub_ms_us=None)


async def test_microseconds_are_of_the_whole_connection(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start()
    client = await connect(session, simulator, "/ws/btcusdt@trade?timeUnit=MICROSECOND")

    simulator.advance(10_000)

    payload = await client.json()
    trade = next(trade for trade in simulator.tape("BTCUSDT") if trade.trade_id == payload["t"])
    assert payload["T"] == trade.time_ms * 1000 + (trade.sub_ms_us or 0)
    assert int(str(payload["E"])) >= int(str(payload["T"]))


async def test_subscriptions_are_made_listed_and_ended_by_message(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start()
    client = await connect(session, simulator, "/ws")

    assert await client.ask("SUBSCRIBE", "btcusdt@trade", "ethusdt@ticker", request_id="uuid-1") == {
        "result": None,
        "id": "uuid-1",
    }
    assert await client.ask("SUBSCRIBE", "btcusdt@trade", request_id=None) == {"result": None, "id": None}
    assert (await client.ask("LIST_SUBSCRIPTIONS"))["result"] == ["btcusdt@trade", "ethusdt@ticker"]
    assert (await client.ask("UNSUBSCRIBE", "ethusdt@ticker"))["result"] is None
    await simulator.burst("BTCUSDT", 2)
    first, second = await client.json(), await client.json()

    assert int(str(second["t"])) == int(str(first["t"])) + 1, "subscribed to twice, sent once"


async def test_the_property_combined_turns_the_wrapping_on(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start()
    client = await connect(session, simulator, "/ws/btcusdt@trade")

    assert await client.ask("GET_PROPERTY", "combined") == {"result": False, "id": 1}
    assert await client.ask("SET_PROPERTY", "combined", True) == {"result": None, "id": 1}
    await simulator.burst("BTCUSDT", 1)

    assert (await client.json())["stream"] == "btcusdt@trade"


async def test_tokens_in_the_path_that_are_no_streams_are_passed_over(
    start: Start, session: aiohttp.ClientSession
) -> None:
    simulator = await start()
    client = await connect(session, simulator, "/ws/0")

    assert (await client.ask("LIST_SUBSCRIPTIONS"))["result"] == []


async def test_unknown_symbol_is_acknowledged_and_silent(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start()
    client = await connect(session, simulator, "/ws")

    assert (await client.ask("SUBSCRIBE", "nosuchcoin@trade", "BTCUSDT@trade"))["result"] is None
    await simulator.burst("BTCUSDT", 5)

    assert (await client.ask("LIST_SUBSCRIPTIONS"))["result"] == ["nosuchcoin@trade", "BTCUSDT@trade"]


@pytest.mark.parametrize("shape", ["nested", "flat"])
async def test_malformed_stream_is_an_error_and_the_end(
    start: Start, session: aiohttp.ClientSession, shape: str
) -> None:
    simulator = await start(error_shape=shape)
    client = await connect(session, simulator, "/ws")

    reply = await client.ask("SUBSCRIBE", "@@@x", request_id=9)

    error = {"code": 2, "msg": "Invalid request: invalid stream"}
    assert reply == ({"error": error, "id": 9} if shape == "nested" else {**error, "id": 9})
    assert await client.until_closed() == 1008


async def test_bad_json_is_an_error_and_the_connection_goes_on(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start()
    client = await connect(session, simulator, "/ws")

    await client.socket.send_str("{oops")

    error = (await client.json())["error"]
    assert isinstance(error, dict)
    assert error["code"] == 3
    assert (await client.ask("LIST_SUBSCRIPTIONS"))["result"] == []


async def test_one_stream_too_many_is_refused_and_the_connection_closed(
    start: Start, session: aiohttp.ClientSession
) -> None:
    simulator = await start()
    client = await connect(session, simulator, "/ws")
    names = [f"a{number}@trade" for number in range(1024)]
    assert (await client.ask("SUBSCRIBE", *names))["result"] is None

    reply = await client.ask("SUBSCRIBE", "b@trade")

    assert reply == {"error": {"code": 4, "msg": "Too many subscriptions"}, "id": 1}
    assert await client.until_closed() == 1008


async def test_klines_of_stream_rest_and_tape_are_the_same(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start()
    client = await connect(session, simulator, "/ws/btcusdt@kline_1m")
    await until_async(lambda: bool(simulator.connections()))
    codec = BinanceCodec()

    simulator.advance(10 * MINUTE_MS)
    await client.socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": "end"})
    received: list[Kline] = []
    while isinstance(record := codec.decode((await client.message()).data.encode(), 0), Kline):
        received.append(record)
    _, rows = await get(
        session, simulator, f"/api/v3/klines?symbol=BTCUSDT&interval=1m&startTime={START_MS - MINUTE_MS}"
    )

    assert isinstance(rows, list)
    by_open = {row[0]: row for row in rows}
    closed = [kline for kline in received if kline.is_closed]
    assert len(closed) >= 9
    truth = {kline.open_ms: kline for kline in simulator.closed_klines("BTCUSDT", "1m")}
    for kline in closed:
        assert msgspec.structs.replace(truth[kline.open_ms], event_ms=kline.event_ms) == kline
        assert by_open[kline.open_ms] == [
            kline.open_ms, kline.open, kline.high, kline.low, kline.close, kline.volume, kline.close_ms,
            kline.quote_volume, kline.trades, kline.taker_buy_base_volume, kline.taker_buy_quote_volume, "0",
        ]  # fmt: skip


async def test_every_channel_speaks_and_decodes(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start()
    names = {"btcusdt@trade", "btcusdt@aggTrade", "btcusdt@bookTicker", "btcusdt@ticker", "btcusdt@miniTicker",
             "!miniTicker@arr", "btcusdt@kline_1s", "btcusdt@kline_1M", "btcusdt@kline_1d@+08:00"}  # fmt: skip
    client = await connect(session, simulator, "/stream?streams=" + "/".join(names).replace("+", "%2B"))
    await until_async(lambda: bool(simulator.connections()) and len(simulator.connections()[0].streams) == len(names))
    codec = BinanceCodec()
    heard: set[object] = set()

    simulator.advance(10_000)
    while heard != names:
        text = (await client.message()).data
        heard.add(json.loads(text)["stream"])
        assert not isinstance(codec.decode(text.encode(), 0), UnknownEvent)
