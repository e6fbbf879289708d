"""ccxt.pro as a client of Kraken: WebSocket v2 and REST; amounts become floats, which hold the digits of this pair."""

from __future__ import annotations

import asyncio

import ccxt.pro  # type: ignore[import-not-found]

from tests.foreign.ccxt_unified import PAIR, collect
from tests.foreign.collected import INTERVAL, Collected


async def main() -> None:
    """Collect by the unified methods."""
    collected = Collected()
    # With newUpdates on, each call gives only what is new since the last.
    exchange = ccxt.pro.kraken({"options": {"fetchCurrencies": False}, "newUpdates": True})
    exchange.urls["api"]["public"] = collected.rest_url
    exchange.urls["api"]["ws"]["publicV2"] = f"{collected.ws_url}/v2"
    await collect(exchange, collected, take_klines, ask)


async def take_klines(exchange: ccxt.pro.kraken, collected: Collected) -> None:
    """Candles by watchOHLCV."""
    while not collected.enough:
        for open_ms, *amounts in await exchange.watch_ohlcv(PAIR, INTERVAL):
            collected.kline(open_ms, *amounts)


async def ask(exchange: ccxt.pro.kraken, collected: Collected) -> None:
    """The same trades and candles by REST."""
    streamed = {str(trade["id"]): (trade["price"], trade["quantity"]) for trade in collected.trades}
    since_ms = int(str(collected.trades[0]["time_ms"])) - 1000
    asked = {trade["id"]: trade for trade in await exchange.fetch_trades(PAIR, since_ms, 1000)}
    for number, (price, quantity) in streamed.items():
        assert (str(asked[number]["price"]), str(asked[number]["amount"])) == (price, quantity)
    candles = {
        candle[0]: [str(amount) for amount in candle[1:]] for candle in await exchange.fetch_ohlcv(PAIR, INTERVAL)
    }
    final = {int(str(kline["open_ms"])): kline["amounts"] for kline in collected.klines}
    for open_ms in sorted(final)[-3:-1]:
        assert candles[open_ms] == final[open_ms]


asyncio.run(main())
