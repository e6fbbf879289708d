"""The streams that speak at fixed times: which frame is due when. Pure but for the market that they read."""

from __future__ import annotations

from typing import Protocol

import msgspec

from data_collector.model.records import MiniTicker, Record
from data_collector.simulator.market.candles import kline_record, open_of
from data_collector.simulator.market.market import QUIET, Market, SymbolMarket
from data_collector.simulator.market.noise import mixed_text
from data_collector.simulator.settings import SimulatorSettings

TICKER_PERIOD_MS = 1_000
"""Also that of `1s` candles."""

CLOSING_DELAY_1S_MS_MAX = 250


class Publisher(Protocol):
    """One stream."""

    def due(self, now_ms: int) -> tuple[list[Record], int]:
        """What to send now, and when to ask again."""


class Cadence:
    """Moments a fixed period apart; each stream has its own phase, so that not all speak at once."""

    def __init__(self, name: str, period_ms: int) -> None:
        self._period_ms = period_ms
        self._phase_ms = mixed_text(name) % period_ms

    def after(self, now_ms: int) -> int:
        """The first moment later than `now_ms`."""
        return now_ms - (now_ms - self._phase_ms) % self._period_ms + self._period_ms


class KlinePublisher:
    """`<symbol>@kline_<interval>[@+08:00]`: the running candle when it changed, then the closing frame, late."""

    def __init__(self, market: Market, symbol: str, interval: str, offset_ms: int, settings: SimulatorSettings) -> None:
        self._market = market
        self._symbol = symbol
        self._interval = interval
        self._offset_ms = offset_ms
        self._settings = settings
        period_ms = TICKER_PERIOD_MS if interval == "1s" else settings.kline_period_ms
        self._cadence = Cadence(f"{symbol}@kline_{interval}", period_ms)
        self._next_ms = self._cadence.after(market.now_ms)
        self._open_ms = open_of(interval, market.now_ms, offset_ms)
        self._sent_id = -1

    def due(self, now_ms: int) -> tuple[list[Record], int]:
        """See `Publisher`. While a closing frame is being waited for, the next candle is silent."""
        symbol = self._market.listed(self._symbol)
        series = symbol.series(self._interval, self._offset_ms)
        records: list[Record] = []
        while (candle := series.at(self._open_ms)) is not None and candle.next_open_ms <= now_ms:
            closing_ms = candle.next_open_ms + self._closing_delay_ms()
            if closing_ms > now_ms:
                self._next_ms = self._cadence.after(closing_ms - 1)
                return [] if _has_no_klines(symbol) else records, closing_ms
            if candle.totals.count or self._settings.close_empty_klines:
                records.append(kline_record(self._symbol, self._interval, candle, event_ms=now_ms, is_closed=True))
            self._open_ms = candle.next_open_ms
            self._sent_id = -1
        if candle is None:
            # The symbol has not traded yet: its first candle is the one of its first trade.
            self._open_ms = open_of(self._interval, now_ms, self._offset_ms)
        if now_ms >= self._next_ms:
            self._next_ms = self._cadence.after(now_ms)
            if candle is not None and candle.totals.last_id > self._sent_id:
                self._sent_id = candle.totals.last_id
                records.append(kline_record(self._symbol, self._interval, candle, event_ms=now_ms, is_closed=False))
        end_ms = self._next_ms if candle is None else candle.next_open_ms
        return [] if _has_no_klines(symbol) else records, min(self._next_ms, max(end_ms, now_ms + 1))

    def _closing_delay_ms(self) -> int:
        least, most = self._settings.closing_delay_ms
        if self._interval == "1s":
            # Else the next candle would be over before this one is told.
            most = max(least, min(most, CLOSING_DELAY_1S_MS_MAX))
        draw = mixed_text(f"{self._settings.seed}:{self._symbol}:{self._interval}", self._open_ms)
        return least + draw % (most - least + 1)


class TickerPublisher:
    """`<symbol>@ticker` and `<symbol>@miniTicker`: each second, when it changed."""

    def __init__(self, market: Market, symbol: str, *, mini: bool) -> None:
        self._market = market
        self._symbol = symbol
        self._mini = mini
        self._cadence = Cadence(f"{symbol}@ticker", TICKER_PERIOD_MS)
        self._sent: tuple[int, int] | None = None

    def due(self, now_ms: int) -> tuple[list[Record], int]:
        """See `Publisher`."""
        symbol = self._market.listed(self._symbol)
        span = symbol.ticker_span()
        records: list[Record] = []
        if span != self._sent and symbol.status not in QUIET:
            self._sent = span
            ticker = symbol.ticker(event_ms=now_ms)
            records.append(msgspec.convert(ticker, MiniTicker, from_attributes=True) if self._mini else ticker)
        return records, self._cadence.after(now_ms)


class AllMiniTickersPublisher:
    """`!miniTicker@arr`: each second, the symbols that changed."""

    def __init__(self, market: Market) -> None:
        self._publishers = [TickerPublisher(market, symbol, mini=True) for symbol in market.listings]
        self._cadence = Cadence("!miniTicker@arr", TICKER_PERIOD_MS)

    def due(self, now_ms: int) -> tuple[list[Record], int]:
        """See `Publisher`."""
        records = [record for publisher in self._publishers for record in publisher.due(now_ms)[0]]
        return records, self._cadence.after(now_ms)


def _has_no_klines(symbol: SymbolMarket) -> bool:
    return symbol.status in QUIET or symbol.status == "CANCEL_ONLY"
