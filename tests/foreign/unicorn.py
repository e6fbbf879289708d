"""unicorn-binance-websocket-api: names in the URL and the same names again in a SUBSCRIBE."""

from __future__ import annotations

import time

from unicorn_binance_websocket_api import BinanceWebSocketApiManager  # type: ignore[import-not-found]

from tests.foreign.collected import INTERVAL, SYMBOL, Collected

PAUSE_S = 0.01


def main() -> None:
    """Collect from the manager's buffer; its sockets live in threads."""
    collected = Collected()
    manager = BinanceWebSocketApiManager(
        exchange="binance.com",
        websocket_base_uri=f"{collected.ws_url}/",
        restful_base_uri=f"{collected.rest_url}/",
        output_default="dict",
    )
    manager.create_stream(channels=["trade", f"kline_{INTERVAL}"], markets=[SYMBOL.lower()])
    while not collected.enough:
        message = manager.pop_stream_data_from_stream_buffer()
        if not message or "data" not in message:
            time.sleep(PAUSE_S)
            continue
        payload = message["data"]
        if payload["e"] == "trade":
            collected.trade(
                number=payload["t"], price=payload["p"], quantity=payload["q"], time_ms=payload["T"],
                taker_sold=payload["m"],
            )  # fmt: skip
        else:
            candle = payload["k"]
            collected.kline(candle["t"], *(candle[key] for key in "ohlcv"))
    collected.write()
    manager.stop_manager()


main()
