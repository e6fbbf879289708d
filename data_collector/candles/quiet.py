"""Klines of times without a trade."""

from __future__ import annotations

from data_collector.model.records import Kline


def without_trades(before: Kline, open_ms: int, next_open_ms: int, event_ms: int) -> Kline:
    """As the exchange's REST side tells it: the close before as all four prices, and zeros with the usual digits."""
    price = before.close
    return Kline(
        before.symbol, before.interval, open_ms, next_open_ms - 1, open=price, high=price, low=price, close=price,
        volume=_zero_like(before.volume), quote_volume=_zero_where_told(before.quote_volume),
        taker_buy_base_volume=_zero_where_told(before.taker_buy_base_volume),
        taker_buy_quote_volume=_zero_where_told(before.taker_buy_quote_volume),
        trades=None if before.trades is None else 0, is_closed=True, event_ms=event_ms,
    )  # fmt: skip


def _zero_where_told(text: str | None) -> str | None:
    return None if text is None else _zero_like(text)


def _zero_like(text: str) -> str:
    decimals = len(text.partition(".")[2])
    return f"0.{'0' * decimals}" if decimals else "0"
