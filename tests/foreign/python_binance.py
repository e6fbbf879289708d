"""python-binance: one multiplexed socket, `/stream?streams=a/b`."""

from __future__ import annotations

import asyncio

from binance import AsyncClient, BinanceSocketManager  # type: ignore[import-not-found]

from tests.foreign.collected import INTERVAL, SYMBOL, Collected


async def main() -> None:
    """Collect through the library's own classes."""
    collected = Collected()
    AsyncClient.API_URL = f"{collected.rest_url}/api"
    BinanceSocketManager.STREAM_URL = f"{collected.ws_url}/"
    client = await AsyncClient.create()
    names = [f"{SYMBOL.lower()}@trade", f"{SYMBOL.lower()}@kline_{INTERVAL}"]
    async with BinanceSocketManager(client).multiplex_socket(names) as stream:
        while not collected.enough:
            payload = (await stream.recv())["data"]
            if payload["e"] == "trade":
                collected.trade(
                    number=payload["t"], price=payload["p"], quantity=payload["q"], time_ms=payload["T"],
                    taker_sold=payload["m"],
                )  # fmt: skip
            else:
                candle = payload["k"]
                collected.kline(candle["t"], *(candle[key] for key in "ohlcv"))
    await client.close_connection()
    collected.write()


asyncio.run(main())
