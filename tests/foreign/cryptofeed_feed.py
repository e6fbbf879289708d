"""cryptofeed: TLS only, `/stream?streams=…@aggTrade/…@kline_1m`; it speaks of aggregates and of closed candles."""

from __future__ import annotations

import asyncio
import os
import ssl
from decimal import Decimal

from cryptofeed import FeedHandler  # type: ignore[import-not-found]
from cryptofeed.connection import RestEndpoint, Routes, WebsocketEndpoint  # type: ignore[import-not-found]
from cryptofeed.defines import CANDLES, SELL, TRADES  # type: ignore[import-not-found]
from cryptofeed.exchanges import Binance  # type: ignore[import-not-found]

from tests.foreign.collected import INTERVAL, Collected

PAIR = "BTC-USDT"

collected = Collected()
handler: FeedHandler | None = None


def main() -> None:
    """Collect by callbacks, until one of them stops the loop."""
    trusting = ssl.create_default_context(cafile=os.environ["REQUESTS_CA_BUNDLE"])
    routes = Routes("/api/v3/exchangeInfo", l2book="/api/v3/depth?symbol={}&limit={}")

    class Simulated(Binance):  # type: ignore[misc]
        websocket_endpoints = [WebsocketEndpoint(collected.ws_url, options={"ssl": trusting})]  # noqa: RUF012
        rest_endpoints = [RestEndpoint(collected.rest_url, routes=routes)]  # noqa: RUF012

    # The library takes the loop of the thread as it finds it.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    feeds = FeedHandler(config={"uvloop": False, "log": {"disabled": True}})
    feed = Simulated(
        symbols=[PAIR], channels=[TRADES, CANDLES], callbacks={TRADES: take_trade, CANDLES: take_candle},
        candle_interval=INTERVAL,
    )  # fmt: skip
    feeds.add_feed(feed)
    feeds.run(start_loop=False, install_signal_handlers=False)
    loop.run_until_complete(wait_for_enough())
    collected.write()
    loop.run_until_complete(feeds.stop_async(loop))


async def wait_for_enough() -> None:
    """Look every now and then."""
    while not collected.enough:  # noqa: ASYNC110 - the callbacks only collect
        await asyncio.sleep(0.05)


async def take_trade(trade: object, receipt: float) -> None:
    """A Trade of the library; its id is that of the aggregate."""
    fields = trade.to_dict()  # type: ignore[attr-defined]
    collected.trade(
        number=int(fields["id"]), price=fields["price"], quantity=fields["amount"],
        time_ms=round(fields["timestamp"] * 1000), taker_sold=fields["side"] == SELL,
    )  # fmt: skip


async def take_candle(candle: object, receipt: float) -> None:
    """A closed Candle of the library."""
    fields = candle.to_dict()  # type: ignore[attr-defined]
    amounts: list[Decimal] = [fields[name] for name in ("open", "high", "low", "close", "volume")]
    collected.kline(round(fields["start"] * 1000), *amounts)


main()
