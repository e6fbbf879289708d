"""How long a connection of the simulator lives, and who gets one."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import msgspec
import pytest

from tests.integration.simulator.client import Start, connect
from tests.integration.waiting import until_async


async def test_pings_carry_a_payload_and_a_matching_pong_keeps_the_connection(
    start: Start, session: aiohttp.ClientSession
) -> None:
    simulator = await start(ping_interval_s=0.3, pong_timeout_s=0.5)
    client = await connect(session, simulator, "/ws/btcusdt@trade")

    for _ in range(5):
        ping = await client.message()
        assert ping.type is aiohttp.WSMsgType.PING
        assert ping.data
        await client.socket.pong(ping.data)

    assert simulator.connections()


async def test_pong_of_another_payload_does_not_keep_it(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start(ping_interval_s=0.3, pong_timeout_s=0.5)
    client = await connect(session, simulator, "/ws/btcusdt@trade")

    assert (await client.message()).type is aiohttp.WSMsgType.PING
    await client.socket.pong(b"other")

    assert await client.until_closed() == 1008


async def test_client_pings_are_answered(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start()
    client = await connect(session, simulator, "/ws")

    await client.socket.ping(b"me")

    pong = await client.message()
    assert (pong.type, pong.data) == (aiohttp.WSMsgType.PONG, b"me")


async def test_sixth_message_in_a_second_ends_the_connection(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start()
    client = await connect(session, simulator, "/ws")

    for _ in range(2):
        await client.socket.ping(b"")
        await client.socket.pong(b"")
    for request_id in (1, 2):
        await client.socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": request_id})

    while (message := await client.message()).type is not aiohttp.WSMsgType.CLOSE:
        continue
    assert (message.data, message.extra) == (1008, "Too many requests")


async def test_old_connections_are_closed(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start(max_age_s=0.2)
    client = await connect(session, simulator, "/ws/btcusdt@trade")

    assert await client.until_closed() == 1000
    await until_async(lambda: not simulator.connections())


async def test_too_many_connection_attempts_are_refused(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start(connects_max=2)
    await connect(session, simulator, "/ws")
    await connect(session, simulator, "/ws")

    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await connect(session, simulator, "/ws")

    assert refused.value.status == 429


async def test_other_paths_are_not_found(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start()

    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await connect(session, simulator, "/other")

    assert refused.value.status == 404


async def test_time_passes_by_itself_unless_driven(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start(driven=False, start_ms=None, trades_per_s=50.0, speed=10.0)
    client = await connect(session, simulator, "/ws/btcusdt@trade")

    received = [await client.json() for _ in range(200)]

    ids = [int(str(payload["t"])) for payload in received]
    assert ids == list(range(ids[0], ids[0] + 200))
    tape = {trade.trade_id: trade for trade in simulator.tape("BTCUSDT")}
    assert [payload["p"] for payload in received] == [tape[trade_id].price for trade_id in ids]


async def test_prepared_frames_reach_the_listener_as_they_are_on_the_tape(
    start: Start, session: aiohttp.ClientSession
) -> None:
    simulator = await start()
    client = await connect(session, simulator, "/stream?streams=btcusdt@trade")
    await until_async(lambda: bool(simulator.connections()))

    prepared = simulator.prepare_burst("BTCUSDT", 500)
    await simulator.send_prepared(prepared)

    received = [json.loads((await client.message()).data)["data"]["t"] for _ in range(500)]
    assert received == [trade.trade_id for trade in simulator.tape("BTCUSDT")[-500:]]


async def test_a_client_that_does_not_read_is_cut_off(start: Start) -> None:
    simulator = await start(write_buffer_bytes_max=100_000)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(simulator.ws_url.rpartition(":")[2]), limit=1)
    writer.write(
        b"GET /stream?streams=btcusdt@trade HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    await until_async(lambda: bool(simulator.connections()))

    prepared = simulator.prepare_burst("BTCUSDT", 100_000)
    whole = msgspec.structs.replace(prepared, parts=[(100_000, b"".join(raw for _, raw in prepared.parts))])
    await simulator.send_prepared(whole)

    await until_async(lambda: not simulator.connections())
    writer.close()
    del reader
