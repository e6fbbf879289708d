"""Frames as the exchange's page shows them, whole, raw or combined."""

from __future__ import annotations

import json

TRADE = {
    "e": "trade", "E": 1672515782136, "s": "BNBBTC", "t": 12345, "p": "0.001", "q": "100", "T": 1672515782136,
    "m": True, "M": True,
}  # fmt: skip
KLINE_BODY = {
    "t": 1672515780000, "T": 1672515839999, "s": "BNBBTC", "i": "1m", "f": 100, "L": 200, "o": "0.0010", "c": "0.0020",
    "h": "0.0025", "l": "0.0015", "v": "1000", "n": 100, "x": False, "q": "1.0000", "V": "500", "Q": "0.500",
    "B": "123456",
}  # fmt: skip
KLINE = {"e": "kline", "E": 1672515782136, "s": "BNBBTC", "k": KLINE_BODY}
MINI_TICKER = {
    "e": "24hrMiniTicker", "E": 1672515782136, "s": "BNBBTC", "c": "0.0025", "o": "0.0010", "h": "0.0025",
    "l": "0.0010", "v": "10000", "q": "18",
}  # fmt: skip
BOOK_TICKER = {
    "u": 400900217, "s": "BNBUSDT", "b": "25.35190000", "B": "31.21000000", "a": "25.36520000", "A": "40.66000000",
}  # fmt: skip
SHUTDOWN = {"e": "serverShutdown", "E": 1770123456789}


def raw(payload: object) -> bytes:
    """As on `/ws`."""
    return json.dumps(payload, separators=(",", ":")).encode()


def combined(payload: object, stream: str = "bnbbtc@trade") -> bytes:
    """As on `/stream`."""
    return raw({"stream": stream, "data": payload})
