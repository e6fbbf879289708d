"""What Binance lets an address ask: weight a clock minute, and what each request weighs."""

from __future__ import annotations

WEIGHT_PER_MINUTE = 6000
"""Until `exchangeInfo` has told the limit; a higher one is not made use of."""

LIST_WEIGHT = 20

SYMBOLS_PER_CALL = 100
"""Of statistics: weight 40 for 100 symbols; above that a call costs 80, as much as for all of them."""


def listing_weight(symbols: int) -> int:
    """Of the symbol list, and of the statistics of so many symbols."""
    return LIST_WEIGHT + tickers_weight(symbols)


def tickers_weight(symbols: int) -> int:
    """Of the statistics of so many symbols: 2 for up to 20, 40 for up to 100, 80 for all, whichever is least."""
    if symbols > 2 * SYMBOLS_PER_CALL:
        return 80
    whole, rest = divmod(symbols, SYMBOLS_PER_CALL)
    return whole * 40 + (0 if not rest else 2 if rest <= 20 else 40)
