"""ccxt.pro as a client of Coinbase Exchange: its feed for trades, REST for candles, of which the feed has none."""

from __future__ import annotations

import asyncio

import ccxt.pro  # type: ignore[import-not-found]

from tests.foreign.ccxt_unified import PAIR, collect
from tests.foreign.collected import INTERVAL, Collected

LOOK_S = 0.5
"""How often candles are asked for."""

LOOKED_AT = 3
"""The newest of them."""


async def main() -> None:
    """Collect by the unified methods."""
    collected = Collected()
    # With newUpdates on, each call gives only what is new since the last.
    exchange = ccxt.pro.coinbaseexchange({"newUpdates": True})
    exchange.has["fetchCurrencies"] = False
    exchange.urls["api"] |= {"public": collected.rest_url, "ws": collected.ws_url}
    await collect(exchange, collected, take_klines, ask)


async def take_klines(exchange: ccxt.pro.coinbaseexchange, collected: Collected) -> None:
    """Candles by fetchOHLCV, asked for again and again."""
    while not collected.enough:
        for open_ms, *amounts in (await exchange.fetch_ohlcv(PAIR, INTERVAL))[-LOOKED_AT:]:
            collected.kline(open_ms, *amounts)
        await asyncio.sleep(LOOK_S)


async def ask(exchange: ccxt.pro.coinbaseexchange, collected: Collected) -> None:
    """The same trades by REST, and candles of a time."""
    streamed = {str(trade["id"]): (trade["price"], trade["quantity"]) for trade in collected.trades}
    asked = {trade["id"]: trade for trade in await exchange.fetch_trades(PAIR, None, 1000)}
    for number, (price, quantity) in streamed.items():
        assert (str(asked[number]["price"]), str(asked[number]["amount"])) == (price, quantity)
    first_ms = min(int(str(kline["open_ms"])) for kline in collected.klines)
    candles = {candle[0]: candle[1:] for candle in await exchange.fetch_ohlcv(PAIR, INTERVAL, first_ms, 300)}
    final = {int(str(kline["open_ms"])): kline["amounts"] for kline in collected.klines}
    for open_ms in sorted(final)[:-2]:
        assert [str(amount) for amount in candles[open_ms]] == final[open_ms]


asyncio.run(main())
