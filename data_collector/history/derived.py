"""Candles made of stored trades, for those candles all of whose trades are stored. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal

from msgspec import Struct

from data_collector.model.records import Kline, Trade

EARLY_MS = 1_000
"""The exchange's times go back now and then by less: a candle is known to be over when a trade is that much later."""


class _Sums(Struct):
    """The trades of one candle so far, in the order of ids."""

    open: str
    high: Decimal
    low: Decimal
    close: str
    volume: Decimal
    count: int


class CandleMaker:
    """Takes trades in the order of ids and gives the candles that lie whole within a run of ids without holes.

    A candle is whole when the run has a trade before it and a trade after it.
    """

    def __init__(
        self, symbol: str, interval: str, *, open_of: Callable[[int], int], next_open: Callable[[int], int]
    ) -> None:
        self._symbol = symbol
        self._interval = interval
        self._open_of = open_of
        self._next_open = next_open
        self._sums: dict[int, _Sums] = {}
        self._last_id: int | None = None
        self._due: int | None = None
        """The next candle to be given; None before the run's first candle is known."""

    def take(self, trade: Trade) -> Iterator[Kline]:
        """One trade; yields what is over then."""
        if self._last_id is None or trade.trade_id != self._last_id + 1:
            self._sums.clear()
            # What happened before the run's first trade is not known, so its candle is not whole.
            self._due = self._next_open(self._open_of(trade.time_ms + EARLY_MS))
        self._last_id = trade.trade_id
        self._add(trade)
        while self._due is not None and (after := self._next_open(self._due)) + EARLY_MS <= trade.time_ms:
            yield self._candle(self._due, after)
            self._due = after

    def _add(self, trade: Trade) -> None:
        open_ms = self._open_of(trade.time_ms)
        price, quantity = Decimal(trade.price), Decimal(trade.quantity)
        sums = self._sums.get(open_ms)
        if sums is None:
            self._sums[open_ms] = _Sums(trade.price, price, price, trade.price, quantity, 1)
            return
        sums.high, sums.low, sums.close = max(sums.high, price), min(sums.low, price), trade.price
        sums.volume += quantity
        sums.count += 1

    def _candle(self, open_ms: int, after_ms: int) -> Kline:
        for early in [each for each in self._sums if each < open_ms]:
            del self._sums[early]
        sums = self._sums.pop(open_ms, None)
        if sums is None:
            # Its prices are those of a candle before it, which need not be here.
            sums = _Sums("0", Decimal(0), Decimal(0), "0", Decimal(0), 0)
        return Kline(
            self._symbol, self._interval, open_ms, after_ms - 1, open=sums.open, high=str(sums.high),
            low=str(sums.low), close=sums.close, volume=str(sums.volume), quote_volume="0",
            taker_buy_base_volume="0", taker_buy_quote_volume="0", trades=sums.count, is_closed=True,
            event_ms=after_ms,
        )  # fmt: skip
