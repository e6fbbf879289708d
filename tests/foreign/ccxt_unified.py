"""What the unified methods of ccxt.pro are asked for, of whatever exchange."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import ccxt.pro  # type: ignore[import-not-found]

from tests.foreign.collected import Collected

PAIR = "BTC/USDT"

Step = Callable[[ccxt.pro.Exchange, Collected], Awaitable[None]]


async def collect(exchange: ccxt.pro.Exchange, collected: Collected, take_klines: Step, ask: Step) -> None:
    """Its markets, ticker, trades and candles; then what `ask` compares by REST."""
    await exchange.load_markets()
    ticker, *_ = await asyncio.gather(
        exchange.watch_ticker(PAIR), take_trades(exchange, collected), take_klines(exchange, collected)
    )
    assert ticker["last"] > 0
    await ask(exchange, collected)
    await exchange.close()
    collected.write()


async def take_trades(exchange: ccxt.pro.Exchange, collected: Collected) -> None:
    """Trades by watchTrades; `side` is the taker's."""
    while not collected.enough:
        for trade in await exchange.watch_trades(PAIR):
            collected.trade(
                number=int(trade["id"]), price=trade["price"], quantity=trade["amount"], time_ms=trade["timestamp"],
                taker_sold=trade["side"] == "sell",
            )  # fmt: skip
