"""Candles as they follow from their trades, in Decimal: another way than the market's own."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal

from data_collector.model.records import Kline, Trade
from data_collector.simulator.market.candles import next_open

CENT_MILLIONTH = Decimal("0.00000001")


def quote_of(trade: Trade) -> Decimal:
    return (Decimal(trade.price) * Decimal(trade.quantity)).quantize(CENT_MILLIONTH, ROUND_DOWN)


def kline_of(trades: list[Trade], interval: str, open_ms: int, event_ms: int) -> Kline:
    """One candle."""
    bought = [trade for trade in trades if not trade.is_buyer_maker]
    return Kline(
        symbol=trades[0].symbol,
        interval=interval,
        open_ms=open_ms,
        close_ms=next_open(interval, open_ms) - 1,
        open=trades[0].price,
        high=str(max(Decimal(trade.price) for trade in trades)),
        low=str(min(Decimal(trade.price) for trade in trades)),
        close=trades[-1].price,
        volume=f"{sum(Decimal(trade.quantity) for trade in trades):.8f}",
        quote_volume=f"{sum(map(quote_of, trades)):.8f}",
        taker_buy_base_volume=f"{sum(Decimal(trade.quantity) for trade in bought):.8f}",
        taker_buy_quote_volume=f"{sum(map(quote_of, bought)):.8f}",
        trades=len(trades),
        is_closed=True,
        event_ms=event_ms,
        first_trade_id=trades[0].trade_id,
        last_trade_id=trades[-1].trade_id,
    )
