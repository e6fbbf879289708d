"""What Binance lets an address ask: weight a clock minute, and what each request weighs."""

from __future__ import annotations

WEIGHT_PER_MINUTE = 6000
"""Until `exchangeInfo` has told the limit; a higher one is not made use of."""

LIST_WEIGHT = 20
KLINES_WEIGHT = 3
"""The rows, and the exchange's clock."""

SYMBOLS_PER_CALL = 100
"""Of statistics: weight 40 for 100 symbols; above that a call costs 80, as much as for all of them."""


def first_fill_weight(*, symbols: int, new_symbols: int, new_series: int) -> int:
    """What follows a change of subscriptions: the symbol list and the statistics of all `symbols` if some are new, and
    the past of each new kline series.

    Trades that were missed of a symbol which the store knows come on top: 25 per 1,000.
    """
    listed = LIST_WEIGHT + tickers_weight(symbols) if new_symbols else 0
    return listed + new_series * KLINES_WEIGHT


def tickers_weight(symbols: int) -> int:
    """Of the statistics of so many symbols: 2 for up to 20, 40 for up to 100, 80 for all, whichever is least."""
    if symbols > 2 * SYMBOLS_PER_CALL:
        return 80
    whole, rest = divmod(symbols, SYMBOLS_PER_CALL)
    return whole * 40 + (0 if not rest else 2 if rest <= 20 else 40)
