"""The streams that speak when a symbol trades: which records come of new trades. Pure but for the market."""

from __future__ import annotations

from collections.abc import Callable

from data_collector.model.records import AggregateTrade, Kline, Quote, Ticker, Trade
from data_collector.simulator.market.candles import kline_record, open_of
from data_collector.simulator.market.market import SymbolMarket


def trades(market: SymbolMarket, start: int, end: int, now_ms: int) -> list[Trade]:
    """The trades themselves."""
    tape = market.tape
    # A frame is sent after its trade took place, in microseconds too.
    return [
        tape.trade(position, max(now_ms, tape.times_us[position] // 1000 + 1)) for position in range(start, end)
    ]  # fmt: skip


def aggregates(market: SymbolMarket, start: int, end: int, now_ms: int) -> list[AggregateTrade]:
    """The orders that they belong to."""
    return market.tape.aggregates(start, end, end - start, now_ms)


def quote(market: SymbolMarket, start: int, end: int, now_ms: int) -> list[Quote]:
    """The best prices after them."""
    return [market.book().quote()]


def ticker(market: SymbolMarket, start: int, end: int, now_ms: int) -> list[Ticker]:
    """The statistics after them."""
    return [market.ticker(event_ms=now_ms)]


def candles(interval: str, offset_ms: int = 0) -> Callable[[SymbolMarket, int, int, int], list[Kline]]:
    """The candles that they are in. None of them is told to be closed."""

    def records(market: SymbolMarket, start: int, end: int, now_ms: int) -> list[Kline]:
        series, times_us = market.series(interval, offset_ms), market.tape.times_us
        opens = dict.fromkeys(open_of(interval, time_us // 1000, offset_ms) for time_us in times_us[start:end])
        found = [candle for open_ms in opens if (candle := series.at(open_ms)) is not None]
        name = market.listing.symbol
        return [kline_record(name, interval, candle, event_ms=now_ms, is_closed=False) for candle in found]

    return records
