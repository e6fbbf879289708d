"""Candles as they follow from their trades, in Decimal: another way than the market's own."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_DOWN, Decimal

from data_collector.model.records import Kline, Trade
from data_collector.simulator.market.candles import kline_record, next_open, open_of
from data_collector.simulator.market.market import Market, SymbolMarket

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


def made_of(trades: Sequence[Trade], interval: str) -> list[Kline]:
    by_open: dict[int, list[Trade]] = {}
    for trade in trades:
        by_open.setdefault(open_of(interval, trade.time_ms), []).append(trade)
    return [kline_of(each, interval, open_ms, 0) for open_ms, each in by_open.items()]


def symbol_of(market: Market, symbol: str = "BTCUSDT") -> SymbolMarket:
    found = market.symbol(symbol)
    assert found is not None
    return found


def traded(symbol: SymbolMarket, first_ms: int, end_ms: int) -> list[Trade]:
    """As REST gives them, page by page."""
    found: list[Trade] = []
    tape = symbol.tape_of_time(first_ms * 1000, 1_000)
    next_id = tape.id_at(tape.position_of_time(first_ms * 1000))
    while not found or found[-1].time_ms < end_ms:
        tape = symbol.tape_of_id(next_id, 1_000)
        start = tape.position_of_id(next_id)
        page = tape.trades(start, start + 1_000)
        if not page:
            break
        found += page
        next_id = page[-1].trade_id + 1
    return [trade for trade in found if trade.time_ms < end_ms]


def candles(symbol: SymbolMarket, interval: str, first_ms: int, end_ms: int) -> list[Kline]:
    found = symbol.series(interval).between(first_ms, end_ms - 1, 10**6, newest=False, exists=symbol.has_candle)
    return [
        kline_record(symbol.listing.symbol, interval, each, event_ms=0, is_closed=True)
        for each in found if each.totals.count
    ]  # fmt: skip
