"""cryptofeed 3 as a client of Kraken: TLS only, WebSocket v2; numbers are decimals with the digits of the frame."""

from __future__ import annotations

from cryptofeed import FeedHandler  # type: ignore[import-not-found]
from cryptofeed.connection import RestEndpoint, Routes, WebsocketEndpoint  # type: ignore[import-not-found]
from cryptofeed.defines import CANDLES, SELL, TRADES  # type: ignore[import-not-found]
from cryptofeed.exchanges import Kraken  # type: ignore[import-not-found]

from tests.foreign.collected import INTERVAL, Collected

PAIR = "BTC-USDT"

collected = Collected()
feeds = FeedHandler(config={"uvloop": False, "log": {"disabled": True}})


def main() -> None:
    """Collect by callbacks, until one of them has had enough."""

    class Simulated(Kraken):  # type: ignore[misc]
        websocket_endpoints = [WebsocketEndpoint(f"{collected.ws_url}/v2")]  # noqa: RUF012
        rest_endpoints = [RestEndpoint(collected.rest_url, routes=Routes("/0/public/AssetPairs"))]  # noqa: RUF012

    feeds.add_feed(Simulated(
        symbols=[PAIR], channels=[TRADES, CANDLES], callbacks={TRADES: take_trade, CANDLES: take_candle},
        candle_interval=INTERVAL, candle_closed_only=False,
    ))  # fmt: skip
    feeds.run()
    collected.write()


async def take_trade(trade: object, receipt: float) -> None:
    """A Trade of the library."""
    fields = trade.to_dict()  # type: ignore[attr-defined]
    collected.trade(
        number=int(fields["id"]), price=fields["price"], quantity=fields["amount"],
        time_ms=round(fields["timestamp"] * 1_000_000) // 1000, taker_sold=fields["side"] == SELL,
    )  # fmt: skip
    if collected.enough:
        feeds.request_stop()


async def take_candle(candle: object, receipt: float) -> None:
    """A Candle of the library, open or closed."""
    fields = candle.to_dict()  # type: ignore[attr-defined]
    amounts = [fields[name] for name in ("open", "high", "low", "close", "volume")]
    collected.kline(round(fields["start"] * 1000), *amounts)


main()
