"""Which series are read: `BTCUSDT:1m`, `BTCUSDT:trades`; of another exchange than the client's `EXCHANGE:SYMBOL:1m`."""

from __future__ import annotations

from typing import Final

from data_collector.client.errors import WrongQuestion
from data_collector.model.calendar import INTERVALS
from data_collector.model.keys import FIRST_EXCHANGE, Key, StoreKeys

TRADES: Final = "trades"

EXCHANGE = FIRST_EXCHANGE
"""What is meant where none is named."""


def store_keys(exchange: str) -> StoreKeys:
    """The names of an exchange's keys."""
    return StoreKeys("" if exchange == EXCHANGE else f"{exchange}:")


def symbol_of(text: str) -> str:
    """As a collector writes it, in capitals; it may be asked for in any case."""
    return text.upper()


def parted_symbol(text: str) -> tuple[str, str]:
    """The exchange that is named before a symbol, in small letters, and the rest; an empty text where none is."""
    exchange, _, symbol = text.rpartition(":")
    return exchange.lower(), symbol


def parted_series(text: str) -> tuple[str, str]:
    """The same of a series."""
    named, colon, what = text.rpartition(":")
    exchange, symbol = parted_symbol(named)
    return exchange, f"{symbol}{colon}{what}"


def series_of(text: str) -> Key:
    """Raises `WrongQuestion`."""
    symbol, colon, what = text.rpartition(":")
    if not colon or not symbol:
        raise WrongQuestion(f"{text!r} names no series: write BTCUSDT:trades for trades, BTCUSDT:1m for candles.")
    return trades_of(symbol) if what == TRADES else klines_of(symbol, what)


def name_of(key: Key) -> str:
    """What stands behind the symbol: `1m`, `trades`."""
    return TRADES if key.interval is None else key.interval


def klines_of(symbol: str, interval: str) -> Key:
    """Raises `WrongQuestion`."""
    if interval not in INTERVALS:
        raise WrongQuestion(f"{interval!r} is no interval: some are 1m, 5m, 1h, 1d and 1M (m is minute, M is month).")
    return Key("kline", symbol_of(symbol), interval)


def trades_of(symbol: str) -> Key:
    """Trades."""
    return Key("trade", symbol_of(symbol))
