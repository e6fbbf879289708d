"""ccxt.pro: `/ws/0` and SUBSCRIBE; amounts become floats, which hold the digits of this pair exactly enough."""

from __future__ import annotations

import asyncio

import ccxt.pro  # type: ignore[import-not-found]

from tests.foreign.collected import INTERVAL, Collected

PAIR = "BTC/USDT"


async def main() -> None:
    """Collect by the unified methods."""
    collected = Collected()
    options = {"defaultType": "spot", "fetchMarkets": {"types": ["spot"]}, "fetchCurrencies": False}
    # With this on, each call gives only what is new since the last.
    exchange = ccxt.pro.binance({"options": options, "newUpdates": True})
    exchange.urls["api"]["public"] = f"{collected.rest_url}/api/v3"
    exchange.urls["api"]["ws"]["spot"] = f"{collected.ws_url}/ws"
    await asyncio.gather(take_trades(exchange, collected), take_klines(exchange, collected))
    await exchange.close()
    collected.write()


async def take_trades(exchange: ccxt.pro.binance, collected: Collected) -> None:
    """Trades by watchTrades."""
    while not collected.enough:
        for trade in await exchange.watch_trades(PAIR, None, None, {"name": "trade"}):
            collected.trade(
                number=int(trade["id"]), price=trade["price"], quantity=trade["amount"], time_ms=trade["timestamp"],
                taker_sold=trade["side"] == "sell",
            )  # fmt: skip


async def take_klines(exchange: ccxt.pro.binance, collected: Collected) -> None:
    """Candles by watchOHLCV."""
    while not collected.enough:
        for open_ms, *amounts in await exchange.watch_ohlcv(PAIR, INTERVAL):
            collected.kline(open_ms, *amounts)


asyncio.run(main())
