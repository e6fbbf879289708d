"""Faults on the stream side, over real sockets."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest

from data_collector.model.venue import Closing
from data_collector.simulator import FrameFault, Refuse
from data_collector.simulator.control import actions
from data_collector.simulator.streams.delivery import text_frame
from data_collector.venues.binance.codec import BinanceCodec
from tests.integration.simulator.client import DEADLINE_S, START_MS, Start, connect, get
from tests.integration.waiting import until_async


async def test_refused_connections_get_their_status_and_later_ones_get_in(
    start: Start, session: aiohttp.ClientSession
) -> None:
    simulator = await start()
    simulator.faults.add(Refuse(status=503, count=1))

    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await connect(session, simulator, "/ws")

    assert refused.value.status == 503
    await connect(session, simulator, "/ws")


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1012, 1013, 4000])
async def test_connections_are_closed_with_any_code(start: Start, session: aiohttp.ClientSession, code: int) -> None:
    simulator = await start()
    client = await connect(session, simulator, "/ws")
    await until_async(lambda: bool(simulator.connections()))

    await simulator.perform(actions.Close(code))

    assert await client.until_closed() == code


async def test_reset_cuts_in_the_middle_of_a_frame(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start()
    reader, writer = await asyncio.open_connection("127.0.0.1", int(simulator.ws_url.rpartition(":")[2]))
    writer.write(
        b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    await until_async(lambda: bool(simulator.connections()))

    await simulator.perform(actions.Reset())

    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(), DEADLINE_S)
    writer.close()


async def test_stalled_connection_gets_nothing_and_then_everything(
    start: Start, session: aiohttp.ClientSession
) -> None:
    simulator = await start(ping_interval_s=0.05)
    client = await connect(session, simulator, "/ws/btcusdt@trade")
    await until_async(lambda: bool(simulator.connections()))

    await simulator.perform(actions.Stall(seconds=3))
    await simulator.burst("BTCUSDT", 3)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.socket.receive(), 0.2)
    kinds = [(await client.message()).type for _ in range(3)]
    assert kinds == [aiohttp.WSMsgType.TEXT] * 3


async def test_shutdown_notice_comes_in_each_shape(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start()
    raw, combined = await connect(session, simulator, "/ws"), await connect(session, simulator, "/stream")
    await until_async(lambda: len(simulator.connections()) == 2)
    codec = BinanceCodec()
    bare = {"e": "serverShutdown", "E": START_MS}

    await simulator.perform(actions.Shutdown())
    await simulator.perform(actions.Shutdown(unwrapped=True, close_after_s=0.1))

    assert [await raw.json(), await raw.json()] == [bare, bare]
    wrapped = await combined.message()
    assert json.loads(wrapped.data) == {"stream": "!serverShutdown", "data": bare}
    assert codec.decode(wrapped.data.encode(), 0) == Closing(START_MS)
    assert await combined.json() == bare
    assert [await raw.until_closed(), await combined.until_closed()] == [1001, 1001]


async def test_anything_can_be_sent(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start()
    client = await connect(session, simulator, "/ws")
    await until_async(lambda: bool(simulator.connections()))

    await simulator.perform(actions.Send(text='{"e":"newEvent"}'))
    await simulator.perform(actions.Send(raw=text_frame(b"12345")))
    await simulator.perform(actions.PingFlood(count=50))

    assert await client.json() == {"e": "newEvent"}
    assert (await client.message()).data == "12345"
    assert [(await client.message()).type for _ in range(50)] == [aiohttp.WSMsgType.PING] * 50


async def test_lost_ids_are_missing_on_one_connection_and_present_in_rest(
    start: Start, session: aiohttp.ClientSession
) -> None:
    simulator = await start()
    lossy = await connect(session, simulator, "/ws/btcusdt@trade")
    await until_async(lambda: len(simulator.connections()) == 1)
    whole = await connect(session, simulator, "/ws/btcusdt@trade")
    await until_async(lambda: len(simulator.connections()) == 2)
    simulator.faults.add(FrameFault(kind="drop", connection=1, count=2))

    await simulator.burst("BTCUSDT", 3)

    ids = [trade.trade_id for trade in simulator.tape("BTCUSDT")[-3:]]
    assert [(await whole.json())["t"] for _ in range(3)] == ids
    assert (await lossy.json())["t"] == ids[2]
    _, rows = await get(session, simulator, f"/api/v3/historicalTrades?symbol=BTCUSDT&fromId={ids[0]}")
    assert isinstance(rows, list)
    assert [row["id"] for row in rows] == ids


async def test_exchange_that_is_down_makes_no_trades_until_it_is_back(
    start: Start, session: aiohttp.ClientSession
) -> None:
    simulator = await start(driven=False, trades_per_s=200.0)
    client = await connect(session, simulator, "/ws/btcusdt@trade")
    await client.json()

    await simulator.perform(actions.Pause())
    now_ms, last_id = simulator.market.now_ms, simulator.tape("BTCUSDT")[-1].trade_id
    await asyncio.sleep(0.2)
    assert (simulator.market.now_ms, simulator.tape("BTCUSDT")[-1].trade_id) == (now_ms, last_id)
    await simulator.perform(actions.Resume())

    await until_async(lambda: simulator.tape("BTCUSDT")[-1].trade_id > last_id)


async def test_ids_that_never_were_are_missing_on_the_stream_and_in_rest(
    start: Start, session: aiohttp.ClientSession
) -> None:
    simulator = await start()
    client = await connect(session, simulator, "/ws/btcusdt@trade")
    last_id = simulator.tape("BTCUSDT")[-1].trade_id

    await simulator.perform(actions.SkipIds("BTCUSDT", 3))
    await simulator.perform(actions.Burst("BTCUSDT", 1))

    assert (await client.json())["t"] == last_id + 4
    _, rows = await get(session, simulator, f"/api/v3/historicalTrades?symbol=BTCUSDT&fromId={last_id}")
    assert isinstance(rows, list)
    assert [row["id"] for row in rows] == [last_id, last_id + 4]


async def test_symbol_in_a_break_says_nothing_and_exchange_information_tells(
    start: Start, session: aiohttp.ClientSession
) -> None:
    simulator = await start()
    client = await connect(session, simulator, "/ws/btcusdt@trade/btcusdt@ticker/btcusdt@kline_1s")
    await until_async(lambda: bool(simulator.connections()))
    await simulator.perform(actions.SetStatus("BTCUSDT", "BREAK"))

    await simulator.perform(actions.Advance(60_000))

    await client.socket.send_json({"method": "GET_PROPERTY", "params": ["combined"], "id": 1})
    assert await client.json() == {"result": False, "id": 1}
    _, body = await get(session, simulator, "/api/v3/exchangeInfo?symbol=BTCUSDT")
    assert isinstance(body, dict)
    assert body["symbols"][0]["status"] == "BREAK"


async def test_new_connections_are_redirected_when_told_so(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start()
    simulator.faults.add(Refuse(status=302, location="ws://127.0.0.1:1/ws"))

    async with session.get(simulator.ws_url.replace("ws:", "http:") + "/ws", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (302, "ws://127.0.0.1:1/ws")
