"""The exchange's symbol list: what it must say, and how often, before a start is refused for it."""

from __future__ import annotations

import pytest

from data_collector.model.errors import Misconfigured, VenueUnreachable
from data_collector.model.venue import SymbolRules
from data_collector.observe.counters import Counters
from data_collector.service.watches.statistics import Exchange, Statistics
from data_collector.settings.fields import Settings
from data_collector.venues.discovery import find_venue
from tests.market import SYMBOL
from tests.unit.pipeline.intake_scene import Scene
from tests.unit.pipeline.repair_scene import ScriptedRest

LISTED = {SYMBOL: SymbolRules(SYMBOL, "TRADING", "BTC", "USDT")}
OTHERS = {"ETHUSDT": SymbolRules("ETHUSDT", "TRADING", "ETH", "USDT")}


SETTINGS = Settings(exchange="binance", symbols=(SYMBOL,), ws_url="wss://stream.test", rest_url="https://rest.test")


class ListingRest(ScriptedRest):
    """Answers with one list after the other; the last one again and again."""

    def __init__(self, *lists: dict[str, SymbolRules] | VenueUnreachable) -> None:
        super().__init__([])
        self.lists = list(lists)

    async def symbols(self) -> dict[str, SymbolRules]:
        told = self.lists.pop(0) if len(self.lists) > 1 else self.lists[0]
        if isinstance(told, VenueUnreachable):
            raise told
        return told


async def started(*lists: dict[str, SymbolRules] | VenueUnreachable) -> Statistics:
    rest = ListingRest(*lists)
    statistics = Statistics(rest, Scene().intake, [SYMBOL], ["trade"], Counters(), lambda listed: None)
    await Exchange(find_venue("binance"), rest, SETTINGS, statistics).open()
    return statistics


async def test_symbol_that_two_lists_lack_is_refused() -> None:
    with pytest.raises(Misconfigured, match=f"does not list {SYMBOL}"):
        await started(OTHERS)


async def test_symbol_that_one_list_lacks_is_collected() -> None:
    statistics = await started(OTHERS, LISTED)

    assert (statistics.listed, statistics.unlisted) == (True, [])


async def test_list_that_fails_the_second_time_is_asked_for_later() -> None:
    statistics = await started(OTHERS, VenueUnreachable("The exchange is away."))

    assert (statistics.listed, statistics.down_reason) == (False, "The exchange is away.")
