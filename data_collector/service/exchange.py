"""The exchange's REST side as a part of the service: the symbols are checked before anything is started."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from data_collector.model.errors import Misconfigured, VenueRefused, VenueUnreachable
from data_collector.model.protocols import History, Venue
from data_collector.service.part import Part
from data_collector.service.symbols import unknown_sentence, unknown_symbols
from data_collector.service.watches.statistics import Statistics


class Exchange(Part):
    """Whether it answers later on is told by `Statistics`."""

    def __init__(self, venue: Venue, rest: History, symbols: Sequence[str], statistics: Statistics) -> None:
        self._venue = venue
        self._rest = rest
        self._symbols = symbols
        self._statistics = statistics

    async def open(self) -> None:
        """Check the symbols, if the exchange answers. Raises `Misconfigured`."""
        try:
            listed = await self._rest.symbols()
        except (VenueUnreachable, VenueRefused) as error:
            structlog.get_logger().warning(
                "symbols_unchecked", reason=str(error), advice="`make demo` needs no network"
            )  # fmt: skip
            self._statistics.down_reason = str(error)
            return
        unknown = unknown_symbols(self._symbols, listed)
        if unknown:
            raise Misconfigured(unknown_sentence(unknown, listed, self._venue.name))
        self._statistics.learn(listed)

    async def close(self) -> None:
        """Release the connections."""
        await self._rest.close()
