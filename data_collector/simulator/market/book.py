"""The order book, which follows from the last trade alone: its price, its side and its id."""

from __future__ import annotations

from msgspec import Struct

from data_collector.model.records import Quote
from data_collector.simulator.amounts import amount_text
from data_collector.simulator.market.noise import mixed

LEVELS = 500
"""How many prices per side have orders."""

UPDATES_PER_TRADE = 4
"""Update ids grow faster than trade ids, as on the exchange."""

QUANTITY_LOTS = 50_000
"""Upper bound of a level's quantity, in lots."""


class Book(Struct, frozen=True):
    """The best prices after a trade, and every level behind them; amounts in 10^-8."""

    symbol: str
    bid: int
    ask: int
    tick: int
    lot: int
    trade_id: int

    @property
    def update_id(self) -> int:
        """Grows with every trade."""
        return self.trade_id * UPDATES_PER_TRADE

    def quantity_at(self, price: int) -> int:
        """The quantity of a level. The levels next to the best change with every trade, those behind more rarely."""
        distance = min(abs(price - self.bid), abs(price - self.ask)) // self.tick
        age = self.trade_id // (1 + distance)
        return self.lot * (1 + mixed(price // self.tick * 1_000_003 + age) % QUANTITY_LOTS)

    def bids(self, limit: int) -> list[tuple[str, str]]:
        """Price and quantity of the best `limit` bids, best first."""
        levels = min(limit, LEVELS, self.bid // self.tick)
        return [self._level(self.bid - index * self.tick) for index in range(levels)]

    def asks(self, limit: int) -> list[tuple[str, str]]:
        """Price and quantity of the best `limit` asks, best first."""
        return [self._level(self.ask + index * self.tick) for index in range(min(limit, LEVELS))]

    def quote(self) -> Quote:
        """The best bid and offer as a record."""
        return Quote(
            symbol=self.symbol,
            update_id=self.update_id,
            bid=amount_text(self.bid),
            bid_quantity=amount_text(self.quantity_at(self.bid)),
            ask=amount_text(self.ask),
            ask_quantity=amount_text(self.quantity_at(self.ask)),
        )

    def _level(self, price: int) -> tuple[str, str]:
        return amount_text(price), amount_text(self.quantity_at(price))
