"""binance-sdk-spot, the official client: `/stream` and SUBSCRIBE with a UUID as id."""

from __future__ import annotations

import asyncio

from binance_sdk_spot.spot import (  # type: ignore[import-not-found]
    ConfigurationRestAPI,
    ConfigurationWebSocketStreams,
    Spot,
)

from tests.foreign.collected import INTERVAL, SYMBOL, Collected

PAUSE_S = 0.05


async def main() -> None:
    """Collect by callbacks."""
    collected = Collected()
    spot = Spot(
        config_rest_api=ConfigurationRestAPI(base_path=collected.rest_url),
        config_ws_streams=ConfigurationWebSocketStreams(stream_url=f"{collected.ws_url}/stream"),
    )
    connection = await spot.websocket_streams.create_connection()
    trades = await connection.trade(symbol=SYMBOL.lower())
    trades.on("message", lambda payload: take_trade(collected, payload))
    klines = await connection.kline(symbol=SYMBOL.lower(), interval=INTERVAL)
    klines.on("message", lambda payload: take_kline(collected, payload))
    while not collected.enough:  # noqa: ASYNC110 - the callbacks only collect
        await asyncio.sleep(PAUSE_S)
    await connection.close_connection(close_session=True)
    collected.write()


def take_trade(collected: Collected, payload: object) -> None:
    """The SDK turns payloads into models whose fields carry the letters of the wire."""
    fields = payload.to_dict()  # type: ignore[attr-defined]
    collected.trade(
        number=fields["t"], price=fields["p"], quantity=fields["q"], time_ms=fields["T"], taker_sold=fields["m"]
    )


def take_kline(collected: Collected, payload: object) -> None:
    """See `take_trade`."""
    candle = payload.to_dict()["k"]  # type: ignore[attr-defined]
    collected.kline(candle["t"], *(candle[key] for key in "ohlcv"))


asyncio.run(main())
