"""One stream of the store, read by the meaning of its records: which are known, which come next, where a hole is."""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Protocol

from msgspec import Struct

from data_collector.client.reading.declared import Declared
from data_collector.client.reading.entries import Entry, epoch_number, kline_of, revision_of, text_of, trade_of
from data_collector.client.reading.merging import Past
from data_collector.client.reading.past import PastKlines, PastLives, PastTrades, open_ms
from data_collector.client.reading.questions import Question, ask_store
from data_collector.client.reading.stored import BEHIND_MS, Stored
from data_collector.client.records import CALENDAR, Epoch, Gap, Item, Kline, Trade, ms_of, time_of
from data_collector.client.terms.position import KlinesPlace, LatePlace, Place, TradesPlace, entry_number
from data_collector.model.calendar import LENGTHS_MS, MINUTE_MS, place_ms
from data_collector.model.grid import KlineGrid
from data_collector.model.keys import Key, StoreKeys

CLOCKS_MS = 10 * MINUTE_MS
"""The store's clock and the exchange's may differ by so much; if it is more, history is asked instead."""


LAST = datetime.max.replace(tzinfo=UTC)

LENGTHS = {interval: timedelta(milliseconds=ms) for interval, ms in LENGTHS_MS.items()}


class Batch(Struct, frozen=True):
    """What belongs together: who stores the items and the position in one transaction has each exactly once."""

    items: Sequence[Item]
    position: str
    """For `live(position=…)`: behind these items."""


Run = Generator[Question | Batch, object, None]


class Outgoing(Protocol):
    """Where items go."""

    items: list[Item]
    """Of the streams, in order."""

    def hand_on(self, stream: Stream, items: Sequence[Item]) -> Run:
        """A page of history, as batches of its own."""


class PastOf(Struct, frozen=True):
    """Where the past of a symbol is."""

    stores: Sequence[Stored]
    declared: Declared


class Stream(Protocol):
    """What `Following` reads."""

    name: str
    """Its key in the store."""
    hint: str
    """Id of the newest entry that was read."""

    unreadable: int
    """Entries that no collector has written."""

    @property
    def place(self) -> Place:
        """How far it has come."""

    def past(self, to_ms: int, closed_ms: int | None) -> Sequence[Past]:
        """What lies behind its place and before a time, as history has it: a series each.

        Of klines that had closed at `closed_ms` it is told too when they are missing at the end.
        """

    def take(self, entries: Sequence[Entry], outgoing: Outgoing) -> Run:
        """The next entries."""

    def note(self, item: Item) -> None:
        """One of its items came from history."""

    def go_on(self) -> None:
        """The stream follows upon the history that was noted."""


class TradesStream:
    """`trades:`, where ids grow by one within an epoch."""

    def __init__(self, keys: StoreKeys, symbol: str, past: PastOf, place: TradesPlace) -> None:
        """Without a last trade it begins with the first one that did not happen before the hint."""
        self.name = keys.key("trades", symbol)
        self.hint = place.hint
        self.unreadable = 0
        self._key = Key("trade", symbol)
        self._epoch_key = keys.epoch(symbol)
        self._past = past
        self._epoch = place.epoch
        self._last = place.last
        self._from_ms = entry_number(place.hint)[0]
        self._noted_ms = self._from_ms

    @property
    def place(self) -> TradesPlace:
        return TradesPlace(self._epoch, self._last, self.hint)

    def past(self, to_ms: int, closed_ms: int | None) -> Sequence[Past]:
        after = None if self._last is None else (self._epoch, self._last)
        symbol, stores, declared = self._key.symbol, self._past.stores, self._past.declared
        return [PastLives(symbol, stores, declared, from_ms=self._from_ms, to_ms=to_ms, after=after)]

    def take(self, entries: Sequence[Entry], outgoing: Outgoing) -> Run:
        index = 0
        while (index := self._take_known(entries, index, outgoing.items)) < len(entries):
            trade = trade_of(entries[index], self._key.symbol)
            assert trade is not None, "it has been read before"
            if trade.epoch == self._epoch:
                assert self._last is not None, "else there is no hole"
                yield from self._take_past(self._epoch, outgoing, due=self._last + 1, until=trade.trade_id)
            elif not (yield from self._begin(trade, outgoing)):
                self.unreadable += 1
                self.hint = text_of(entries[index][0])
                index += 1

    def _take_known(self, entries: Sequence[Entry], index: int, items: list[Item]) -> int:
        """Up to the first entry before which something is missing, or with which an epoch begins."""
        epoch, last = self._epoch, self._last
        for place in range(index, len(entries)):
            trade = trade_of(entries[place], self._key.symbol)
            if trade is None:
                self.unreadable += 1
            elif trade.epoch == epoch and trade.trade_id - 1 == last:
                items.append(trade)
                last = trade.trade_id
            elif trade.epoch > epoch or (trade.epoch == epoch and last is not None and trade.trade_id > last):
                self._stop(last, entries, place)
                return place
            elif last is None and trade.epoch == epoch and ms_of(trade.timestamp) >= self._from_ms:
                items.append(trade)
                last = trade.trade_id
        self._stop(last, entries, len(entries))
        return len(entries)

    def _stop(self, last: int | None, entries: Sequence[Entry], place: int) -> None:
        self._last = last
        if place:
            self.hint = text_of(entries[place - 1][0])

    def _begin(self, trade: Trade, outgoing: Outgoing) -> Generator[Question | Batch, object, bool]:
        """Go on in the epoch of a trade; False where somebody else wrote its number."""
        present = text_of((yield from ask_store("GET", self._epoch_key)))
        with suppress(ValueError):
            if trade.epoch > epoch_number(present):
                return False
        if self._last is None:
            self._epoch = trade.epoch
            return True
        yield from self._take_past(self._epoch, outgoing, due=self._last + 1)
        lost = yield from self._past.declared.beyond(self._key, self._epoch, self._last)
        yield from outgoing.hand_on(self, lost)
        for epoch in range(self._epoch + 1, trade.epoch):
            yield from self._take_past(epoch, outgoing)
        yield from outgoing.hand_on(self, [Epoch(self._key.symbol, trade.epoch)])
        yield from self._take_past(trade.epoch, outgoing, until=trade.trade_id)
        return True

    def _take_past(
        self, epoch: int, outgoing: Outgoing, *, due: int | None = None, until: int | None = None
    ) -> Run:  # fmt: skip
        past = PastTrades(
            self._key.symbol, epoch, self._past.stores, self._past.declared, due=due, until=until
        )  # fmt: skip
        while (page := (yield from past.next_page())) is not None:
            begun = [Epoch(self._key.symbol, epoch)] if epoch > self._epoch else []
            yield from outgoing.hand_on(self, [*begun, *page])

    def note(self, item: Item) -> None:
        """One of its items came from history."""
        match item:
            case Trade():
                self._epoch, self._last = item.epoch, item.trade_id
                self._noted_ms = ms_of(item.timestamp)
            case Gap():
                assert isinstance(item.last, int), "a gap of trades"
                self._last = item.last
            case Epoch():
                self._epoch, self._last, self._from_ms = item.epoch, None, 0

    def go_on(self) -> None:
        """Entries never stand before the time of their trade."""
        self.hint = max(self.hint, f"{self._noted_ms}-0", key=entry_number)


class KlinesStream:
    """`stream:`, where closed candles follow each other by the calendar within their interval."""

    def __init__(
        self, keys: StoreKeys, symbol: str, intervals: Collection[str], past: PastOf, place: KlinesPlace,
        *, with_open: bool = False,
    ) -> None:  # fmt: skip
        self.name = keys.key("stream", symbol)
        self.hint = place.hint
        self.unreadable = 0
        self._grids = {interval: KlineGrid(CALENDAR, interval) for interval in intervals}
        self._last: dict[str, datetime] = {}
        self._due: dict[str, datetime] = {}
        self._opened: dict[str, datetime] = {}
        """Of an interval without these, the first candle that was seen while it was open."""
        for interval, ms in place.last_ms.items():
            if interval in self._grids:
                self._move(interval, time_of(ms))
        self._began = dict(self._last)
        self._symbol = symbol
        self._past = past
        self._with_open = with_open
        self._from_ms = place.from_ms

    @property
    def place(self) -> KlinesPlace:
        last_ms = {interval: ms_of(last) for interval, last in self._last.items()}
        begun_ms = {interval: ms_of(opened) for interval, opened in self._opened.items() if interval not in last_ms}
        return KlinesPlace(before_ms(begun_ms) | last_ms, self.hint)

    def past(self, to_ms: int, closed_ms: int | None) -> Sequence[Past]:
        return [self._past_of(interval, to_ms, closed_ms) for interval in self._grids]

    def take(self, entries: Sequence[Entry], outgoing: Outgoing) -> Run:
        index = 0
        while (index := self._take_known(entries, index, outgoing.items)) < len(entries):
            kline = kline_of(entries[index])
            assert kline is not None, "it has been read before"
            if index:
                self.hint = text_of(entries[index - 1][0])
            yield from self._take_past(kline, outgoing)
            outgoing.items.append(kline)
            self._move(kline.interval, kline.timestamp)
            index += 1
        if entries:
            self.hint = text_of(entries[-1][0])

    def _take_known(self, entries: Sequence[Entry], index: int, items: list[Item]) -> int:
        """Up to the first entry before which candles are missing."""
        due_of = self._due.get
        for place in range(index, len(entries)):
            kline = kline_of(entries[place])
            if kline is None:
                self.unreadable += 1
                continue
            if kline.interval not in self._grids:
                continue
            due = due_of(kline.interval)
            if not kline.is_closed:
                if due is None and is_on_grid(kline):
                    self._opened.setdefault(kline.interval, kline.timestamp)
                # One that opened later would come before those that have not closed yet.
                if self._with_open and (due is None or kline.timestamp == due):
                    items.append(kline)
            elif kline.timestamp != due and not is_on_grid(kline):
                # It would be in the way of those that do open then.
                self.unreadable += 1
            elif kline.timestamp == due or (due is None and kline.timestamp <= self._opened.get(kline.interval, LAST)):
                items.append(kline)
                self._move(kline.interval, kline.timestamp)
            elif due is None or kline.timestamp > due:
                return place
        return len(entries)

    def _move(self, interval: str, last: datetime) -> None:
        self._last[interval] = last
        length = LENGTHS.get(interval)
        if length is not None:
            self._due[interval] = last + length
        else:
            self._due[interval] = time_of(self._grids[interval].following(ms_of(last)))

    def overdue(self) -> list[Key]:
        """Intervals that came, and of which two candles and more have closed since without coming, by others."""
        came = {each: ms_of(due) for each, due in self._due.items() if self._last[each] != self._began.get(each)}
        newest_ms = max(came.values(), default=0)
        following = {each: self._grids[each].following for each in came}
        return [
            Key("kline", self._symbol, each)
            for each, due_ms in came.items()
            if following[each](following[each](due_ms)) + BEHIND_MS < newest_ms
        ]

    def _past_of(self, interval: str, to_ms: int, closed_ms: int | None) -> PastKlines:
        due = self._due.get(interval, self._opened.get(interval))
        due_ms = None if due is None else ms_of(due)
        from_ms = (open_ms(interval, self._from_ms) or self._from_ms) if due_ms is None else due_ms
        key, stores, declared = Key("kline", self._symbol, interval), self._past.stores, self._past.declared
        return PastKlines(key, stores, declared, from_ms=from_ms, to_ms=to_ms, due_ms=due_ms, closed_ms=closed_ms)

    def _take_past(self, until: Kline, outgoing: Outgoing) -> Run:
        until_ms = ms_of(until.timestamp)
        past = self._past_of(until.interval, until_ms, until_ms)
        while (page := (yield from past.next_page())) is not None:
            yield from outgoing.hand_on(self, page)

    def note(self, item: Item) -> None:
        """One of its items came from history."""
        match item:
            case Kline():
                self._move(item.interval, item.timestamp)
            case Gap(interval=str(interval), last=datetime() as last):
                self._move(interval, last)

    def go_on(self) -> None:
        """A candle's entry is as old as the store was when it closed; clocks may differ."""
        if len(self._due) == len(self._grids):
            closed_ms = ms_of(min(self._due.values()))
            self.hint = max(self.hint, f"{max(0, closed_ms - CLOCKS_MS)}-0", key=entry_number)


def is_on_grid(kline: Kline) -> bool:
    """Whether one of its interval can open then."""
    return CALENDAR.is_open_time(kline.interval, ms_of(kline.timestamp))


def before_ms(opens: Mapping[str, int]) -> dict[str, int]:
    """By interval, the open times directly before those."""
    befores = {interval: place_ms(CALENDAR, interval, ms - 1, ms) for interval, ms in opens.items()}
    return {interval: ms for interval, ms in befores.items() if ms is not None}


class LateStream:
    """`late:`, of which only ids of entries tell what is new."""

    def __init__(self, keys: StoreKeys, symbol: str, wanted: Collection[str | None], place: LatePlace) -> None:
        """`wanted` are intervals, None stands for trades."""
        self.name = keys.key("late", symbol)
        self.hint = place.hint
        self.unreadable = 0
        self._wanted = wanted

    @property
    def place(self) -> LatePlace:
        return LatePlace(self.hint)

    def take(self, entries: Sequence[Entry], outgoing: Outgoing) -> Run:
        for entry in entries:
            revision = revision_of(entry)
            if revision is None:
                self.unreadable += 1
            elif (revision.record.interval if isinstance(revision.record, Kline) else None) in self._wanted:
                outgoing.items.append(revision)
            self.hint = text_of(entry[0])
        yield from ()

    def past(self, to_ms: int, closed_ms: int | None) -> Sequence[Past]:
        """History has the newest numbers, and not what they were before."""
        return ()

    def note(self, item: Item) -> None:
        """There is none."""

    def go_on(self) -> None:
        """There is no history to follow upon."""
