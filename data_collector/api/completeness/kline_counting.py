"""Klines counted for everybody who asks: one stream at a time, each for as many as ask, and kept for a while.

They are read entry by entry, which takes a second where a stream is long. It goes on when who asked has given up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from msgspec import Struct

from data_collector.api.completeness.completeness import SeriesCount, kline_counts, with_doubts
from data_collector.api.store_reading import StoreReading
from data_collector.model.calendar import UtcCalendar
from data_collector.model.errors import SinkUnavailable
from data_collector.model.keys import StoreKeys

WAIT_S = 5.0
"""For who asks."""

COUNT_S = 60.0
"""For a whole stream, however long."""

KEPT_FOR = 10
"""Times as long as counting took, so that it takes at most a tenth of one processor."""

KEPT_MAX = 100
WAITING_MAX = 16

_CALENDAR = UtcCalendar()


class _Kept(Struct):
    until_s: float
    """By the loop's clock."""
    found: dict[str, SeriesCount] | str
    """Or why there is nothing."""


class KlineCounting:
    """Of one store, on a connection of its own."""

    def __init__(self) -> None:
        self._store = StoreReading(COUNT_S)
        self._turn = asyncio.Lock()
        self._kept: dict[tuple[str, str], _Kept] = {}
        self._counting: dict[tuple[str, str], asyncio.Task[_Kept]] = {}

    async def counts(
        self, store_url: str, keys: StoreKeys, symbol: str, foreign: Mapping[str, str]
    ) -> dict[str, SeriesCount]:
        """As `kline_counts`, and no older than some times what counting took."""
        series = store_url, keys.key("stream", symbol)
        kept = self._kept.get(series)
        if kept is None or kept.until_s <= asyncio.get_running_loop().time():
            kept = await self._counted(series, keys, symbol)
        if isinstance(kept.found, str):
            raise SinkUnavailable(kept.found)
        return with_doubts(kept.found, keys, symbol, foreign)

    def close(self) -> None:
        """Count no more."""
        for task in self._counting.values():
            task.cancel()
        self._store.close()

    async def _counted(self, series: tuple[str, str], keys: StoreKeys, symbol: str) -> _Kept:
        counting = self._counting.get(series)
        if counting is None:
            if len(self._counting) >= WAITING_MAX:
                raise SinkUnavailable(f"Klines of {WAITING_MAX} symbols are being counted; come back in a moment.")
            counting = asyncio.create_task(self._count(series, keys, symbol), name=f"counting klines of {symbol}")
            self._counting[series] = counting
        await asyncio.wait({counting}, timeout=WAIT_S)
        if not counting.done():
            raise SinkUnavailable(
                f"The klines of {symbol} are being counted, which takes more than {WAIT_S:g} s; come back in a moment."
            )
        return counting.result()

    async def _count(self, series: tuple[str, str], keys: StoreKeys, symbol: str) -> _Kept:
        try:
            async with self._turn:
                loop = asyncio.get_running_loop()
                began_s = loop.time()
                try:
                    async with self._store.turn(series[0]) as connection:
                        found: dict[str, SeriesCount] | str = await kline_counts(
                            connection, keys, symbol, _CALENDAR, {}
                        )
                except SinkUnavailable as error:
                    found = str(error)
                ended_s = loop.time()
                kept = _Kept(ended_s + KEPT_FOR * (ended_s - began_s), found)
        finally:
            del self._counting[series]
        self._kept.pop(series, None)
        if len(self._kept) >= KEPT_MAX:
            del self._kept[next(iter(self._kept))]
        self._kept[series] = kept
        return kept
