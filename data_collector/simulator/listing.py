"""What trades on the simulated exchange: well-known pairs by name, and any other name on demand."""

from __future__ import annotations

import math
import random

from msgspec import Struct

from data_collector.simulator.amounts import SCALE

DAY_MINUTES = 1440

QUOTES = {
    "USDT": 1.0, "USDC": 1.0, "FDUSD": 1.0, "USD": 1.0, "BTC": 67_250.0, "ETH": 3_480.0, "BNB": 585.0,
    "EUR": 1.08, "TRY": 0.03,
}  # fmt: skip
"""How a symbol is cut into base and quote: by the first of these that it ends with. And about what one is worth."""

DAILY: dict[str, float] = {
    "USDT": 0.0, "USDC": 0.0003, "FDUSD": 0.0003, "USD": 0.0003, "EUR": 0.004, "TRY": 0.005,
    "BTC": 0.020, "ETH": 0.026, "BNB": 0.024, "SOL": 0.036, "XRP": 0.032, "ADA": 0.034, "DOGE": 0.040, "LTC": 0.032,
    "LINK": 0.038, "AVAX": 0.040, "DOT": 0.036, "TRX": 0.020, "PEPE": 0.055,
}  # fmt: skip
"""The standard deviation of a day's return of an asset, in terms of USDT."""

MEAN_VALUE = 400.0
"""Of a trade, in terms of USDT."""

FINE_TICKS = 20
"""A move of a minute has so many ticks where an order may take several prices."""


class Listing(Struct, frozen=True):
    """One symbol and the grid that its trades lie on; amounts in 10^-8."""

    symbol: str
    base: str
    quote: str
    start_price: int
    tick: int
    lot: int

    @property
    def decimals(self) -> int:
        """Of its prices."""
        tick, decimals = self.tick, 8
        while tick % 10 == 0 and decimals > 0:
            tick, decimals = tick // 10, decimals - 1
        return decimals

    @property
    def daily(self) -> float:
        """About the standard deviation of a day's return."""
        return math.hypot(daily_of(self.base), daily_of(self.quote))

    @property
    def walks(self) -> bool:
        """Whether an order may be filled at several prices: where a tick is little."""
        return self.start_price / self.tick * self.daily / math.sqrt(DAY_MINUTES) >= FINE_TICKS

    @property
    def mean_lots(self) -> float:
        """Of a trade."""
        return MEAN_VALUE / QUOTES[self.quote] * SCALE / self.start_price * SCALE / self.lot


def daily_of(asset: str) -> float:
    """The standard deviation of a day's return; of an asset that we do not know one that follows from its name."""
    return DAILY[asset] if asset in DAILY else random.Random(asset).uniform(0.02, 0.06)


def _known(symbol: str, start_price: str, tick: str, lot: str) -> Listing:
    base, quote = _pair(symbol)
    return Listing(symbol, base, quote, _amount(start_price), _amount(tick), _amount(lot))


def _amount(text: str) -> int:
    whole, _, fraction = text.partition(".")
    return int(whole) * SCALE + int(fraction.ljust(8, "0"))


def _pair(symbol: str) -> tuple[str, str]:
    for quote in QUOTES:
        if symbol.endswith(quote) and symbol != quote:
            return symbol.removesuffix(quote), quote
    return symbol, "USDT"


# Grids as on real exchanges; prices of the right size. ETHBTC has nine decimals between tick and lot, so its quote
# amounts are really truncated; one PEPE is below a thousandth of a cent.
KNOWN: dict[str, Listing] = {
    listing.symbol: listing
    for listing in (
        _known("BTCUSDT", "67250.0", "0.01", "0.00001"),
        _known("ETHUSDT", "3480.0", "0.01", "0.0001"),
        _known("BNBUSDT", "585.0", "0.01", "0.001"),
        _known("SOLUSDT", "165.0", "0.01", "0.001"),
        _known("XRPUSDT", "0.5230", "0.0001", "1.0"),
        _known("ADAUSDT", "0.4460", "0.0001", "0.1"),
        _known("DOGEUSDT", "0.15830", "0.00001", "1.0"),
        _known("LTCUSDT", "83.0", "0.01", "0.001"),
        _known("LINKUSDT", "16.5", "0.01", "0.01"),
        _known("AVAXUSDT", "35.2", "0.01", "0.01"),
        _known("DOTUSDT", "7.05", "0.001", "0.01"),
        _known("TRXUSDT", "0.1170", "0.0001", "0.1"),
        _known("PEPEUSDT", "0.00001315", "0.00000001", "1.0"),
        _known("ETHBTC", "0.05175", "0.00001", "0.0001"),
        _known("BNBBTC", "0.0087", "0.000001", "0.001"),
        _known("BTCEUR", "62110.0", "0.01", "0.00001"),
        _known("BTCUSD", "67250.0", "0.1", "0.0000001"),
        _known("ETHUSD", "3480.0", "0.01", "0.000001"),
    )
}


def listing_of(symbol: str, seed: int) -> Listing:
    """The listing of a symbol: the real grid where we know it, one drawn from the seed and the name elsewhere."""
    if symbol in KNOWN:
        return KNOWN[symbol]
    base, quote = _pair(symbol)
    generator = random.Random(f"{seed}:listing:{symbol}")
    tick = 10 ** generator.randint(2, 6)
    return Listing(symbol, base, quote, tick * generator.randint(2_000, 90_000), tick, SCALE * 1000 // tick)


def synthetic_symbols(count: int) -> tuple[str, ...]:
    """`count` made-up names: SIM0001USDT, SIM0002USDT, …"""
    return tuple(f"SIM{number:04d}USDT" for number in range(1, count + 1))
