"""One exchange as its store, its HTTP side and its database show it: who is asked for what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from data_collector.client.errors import WrongQuestion
from data_collector.client.reading.database import DatabaseStored
from data_collector.client.reading.declared import Declared
from data_collector.client.reading.questions import Plan
from data_collector.client.reading.stored import ApiStored, Stored
from data_collector.client.reading.symbols import Called, Joined, Sides, known_symbols, newest
from data_collector.client.records import Latest
from data_collector.client.terms.series import parted_series, parted_symbol, store_keys, symbol_of

Source = Literal["auto", "database", "http"]


class Market:
    """What programmes about one exchange ask. Each has its own, so that it notices that the market was replaced."""

    def __init__(
        self, exchange: str, called: Called, *, with_database: bool, sides: Sides | None = None,
        source: str | None = None,
    ) -> None:  # fmt: skip
        self.exchange = exchange = exchange.casefold()
        self.called = called
        self.keys = store_keys(exchange)
        self._with_database = with_database
        self._sides = Sides() if sides is None else sides
        self.joined = Joined(self.keys, called, self._sides, source)
        self._api = ApiStored(self.joined) if called.api else None
        self._database = DatabaseStored(exchange) if with_database else None
        self._others: dict[str, Market] = {}
        """By the exchange that somebody has named."""

    def begun(self, source: str | None = None) -> Market:
        """For one more programme; `source` is what its position is of."""
        return Market(
            self.exchange, self.called, with_database=self._with_database, sides=self._sides, source=source
        )  # fmt: skip

    def of_symbol(self, text: str) -> tuple[Market, str]:
        """That of the exchange which is named before the symbol, and the symbol alone."""
        exchange, symbol = parted_symbol(text)
        return self._of(exchange), symbol

    def of_series(self, texts: Sequence[str]) -> tuple[Market, list[str]]:
        """The same of what is read together. Raises `WrongQuestion` where that is of several exchanges."""
        parted = [parted_series(text) for text in texts]
        exchanges = {exchange or self.exchange for exchange, _ in parted}
        if len(exchanges) > 1:
            raise WrongQuestion(
                f"One stream is of one exchange, and not of {' and '.join(sorted(exchanges))}: open one for each."
            )
        return self._of(*exchanges), [series for _, series in parted]

    def _of(self, exchange: str = "") -> Market:
        if exchange in ("", self.exchange):
            return self
        if exchange not in self._others:
            self._others[exchange] = Market(exchange, self.called, with_database=self._with_database)
        return self._others[exchange]

    def symbols(self) -> Plan[list[str]]:
        """As the client gives them."""
        yield from self.joined.meet()
        return (yield from known_symbols(self.keys))

    def latest(self, symbol: str) -> Plan[Latest]:
        """As the client gives it."""
        yield from self.joined.meet()
        return (yield from newest(self.keys, self.called, self.exchange, symbol_of(symbol)))

    def filled_from(self) -> Plan[str | None]:
        """As the client gives it."""
        yield from self.joined.look()
        if self.joined.source is None:
            yield from self.joined.meet()
        return self.joined.source

    def stores(self, source: Source = "auto") -> Sequence[Stored]:
        """Where history is, in the order in which it is asked. Raises `WrongQuestion`."""
        if source not in get_args(Source):
            raise WrongQuestion(f"source={source!r} is none of {', '.join(get_args(Source))}.")
        if source == "database" and self._database is None:
            raise WrongQuestion('source="database" needs the client\'s database=, or DATABASE_URL.')
        if source == "http" and self._api is None:
            raise WrongQuestion('source="http" needs the client\'s api=, or DATA_COLLECTOR_API.')
        asked = {"auto": (self._database, self._api), "database": (self._database,), "http": (self._api,)}[source]
        return [store for store in asked if store is not None]

    def begins_with_database(self, source: Source) -> bool:
        """Whether PostgreSQL is asked before others."""
        return self._database is not None and source != "http"

    def declared(self, symbol: str) -> Declared:
        """Why records of a symbol are missing."""
        return Declared(self.keys, symbol, self.joined, self._database, self._api)
