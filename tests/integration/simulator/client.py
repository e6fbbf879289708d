"""Starting simulators and talking to them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import aiohttp

from data_collector.simulator import Simulator

START_MS = 1_700_000_030_000
MINUTE_MS = 60_000
DEADLINE_S = 60.0

Start = Callable[..., Awaitable[Simulator]]
Body = dict[str, object]


class Client:
    """A stream connection that keeps control messages and data frames apart."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def message(self) -> aiohttp.WSMessage:
        return await asyncio.wait_for(self.socket.receive(), DEADLINE_S)

    async def json(self) -> Body:
        message = await self.message()
        assert message.type is aiohttp.WSMsgType.TEXT, message
        body = json.loads(message.data)
        assert isinstance(body, dict)
        return body

    async def ask(self, method: str, *params: object, request_id: object = 1) -> Body:
        await self.socket.send_json({"method": method, "params": list(params), "id": request_id})
        return await self.json()

    async def until_closed(self) -> int | None:
        """Read until the exchange closes; its close code."""
        while (await self.message()).type not in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED):
            continue
        return self.socket.close_code


async def connect(session: aiohttp.ClientSession, simulator: Simulator, path: str) -> Client:
    return Client(await session.ws_connect(simulator.ws_url + path, autoping=False, autoclose=True))


async def get(session: aiohttp.ClientSession, simulator: Simulator, path: str, **headers: str) -> tuple[int, object]:
    async with session.get(simulator.rest_url + path, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None)
