"""What to do where Binance does not serve; apart from what speaks HTTP, since settings and screens need no more."""

from __future__ import annotations

HINT_451 = (
    "Binance does not serve this place. From the United States set BINANCE_WS_URL=wss://stream.binance.us:9443 and "
    "BINANCE_REST_URL=https://api.binance.us; elsewhere wss://data-stream.binance.vision and "
    "https://data-api.binance.vision serve market data only"
)
