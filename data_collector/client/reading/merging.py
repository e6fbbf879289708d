"""Several series of the past as one, by the time at which each item was known: a candle is known when it closes."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Protocol

from data_collector.client.reading.questions import Plan
from data_collector.client.records import Epoch, Gap, Kline, Trade, ms_of

PastItem = Kline | Trade | Gap | Epoch


class Past(Protocol):
    """One series."""

    def next_page(self) -> Plan[Sequence[PastItem] | None]:
        """None when there is no more."""


class _Lane:
    """What of one series waits for its turn."""

    def __init__(self, number: int, past: Past) -> None:
        self.number = number
        self.past = past
        self.items: deque[tuple[int, PastItem]] = deque()
        self.is_over = False
        self._newest_ms = 0

    def fill(self) -> Plan[None]:
        while not self.items and not self.is_over:
            page = yield from self.past.next_page()
            self.is_over = page is None
            self._put(page or ())

    def _put(self, page: Sequence[PastItem]) -> None:
        """What is no record stands at the time of the one behind it; at the end of a page, of the one before."""
        times = [known_ms(item) for item in page]
        newest_ms = max((ms for ms in times if ms is not None), default=self._newest_ms)
        following_ms = newest_ms
        for item, ms in zip(reversed(page), reversed(times), strict=True):
            following_ms = following_ms if ms is None else ms
            self.items.appendleft((following_ms, item))
        self._newest_ms = newest_ms


class Merged:
    """What stands before a record in its own series stands before it here, too."""

    def __init__(self, pasts: Sequence[Past]) -> None:
        self._lanes = [_Lane(number, past) for number, past in enumerate(pasts)]

    def next_page(self) -> Plan[list[tuple[int, PastItem]] | None]:
        """Items, each with the number of its series; None when there is no more."""
        for lane in self._lanes:
            yield from lane.fill()
        self._lanes = [lane for lane in self._lanes if lane.items]
        if not self._lanes:
            return None
        page: list[tuple[int, PastItem]] = []
        while all(lane.items for lane in self._lanes):
            lane = min(self._lanes, key=lambda each: each.items[0][0])
            page.append((lane.number, lane.items.popleft()[1]))
        return page


def known_ms(item: PastItem) -> int | None:
    """When a record was known; None of what is no record."""
    match item:
        case Kline():
            return ms_of(item.close_time)
        case Trade():
            return ms_of(item.timestamp)
    return None
