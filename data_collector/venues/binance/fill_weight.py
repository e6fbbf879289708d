"""What Binance counts for the questions that follow a change of subscriptions."""

from __future__ import annotations

LIST_WEIGHT = 20
KLINES_WEIGHT = 3
"""The rows, and the exchange's clock."""

TICKERS_FEW, TICKERS_FEW_WEIGHT = 20, 2
TICKERS_MANY, TICKERS_MANY_WEIGHT = 100, 40
TICKERS_ALL_WEIGHT = 80


def first_fill_weight(*, symbols: int, new_symbols: int, new_series: int) -> int:
    """The symbol list and the statistics of all `symbols` if some are new, and the past of each new kline series.

    Trades that were missed of a symbol which the store knows come on top: 25 per 1,000.
    """
    listed = LIST_WEIGHT + _tickers_weight(symbols) if new_symbols else 0
    return listed + new_series * KLINES_WEIGHT


def _tickers_weight(symbols: int) -> int:
    if symbols > 2 * TICKERS_MANY:
        return TICKERS_ALL_WEIGHT
    whole, rest = divmod(symbols, TICKERS_MANY)
    last = 0 if not rest else TICKERS_FEW_WEIGHT if rest <= TICKERS_FEW else TICKERS_MANY_WEIGHT
    return whole * TICKERS_MANY_WEIGHT + last
