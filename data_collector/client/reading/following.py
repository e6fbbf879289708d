"""The live reader without its input and output: which records come next, what is missing, and how far it has come.

Streams are trimmed, emptied and filled again, and records return under other ids of entries: so what decides is the
meaning of a record, its trade id or its open time. What the streams do not hold any more is asked of history, then
`gaps:` says why it is missing, and what neither knows is `unknown`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Literal

from msgspec import Struct

from data_collector.client.reading.delivery import Behind
from data_collector.client.reading.entries import Entry, entries_of, kline_of, streams_of, text_of, trade_of
from data_collector.client.reading.market import Market
from data_collector.client.reading.merging import Merged, Past, known_ms
from data_collector.client.reading.past import first_open_ms, open_ms
from data_collector.client.reading.questions import Notice, Plan, WaitUntil, ask_clock, ask_store
from data_collector.client.reading.stored import BEHIND_MS
from data_collector.client.reading.streams import (
    Batch,
    KlinesStream,
    LateStream,
    PastOf,
    Run,
    Stream,
    TradesStream,
    before_ms,
    is_on_grid,
)
from data_collector.client.reading.symbols import check_collected, check_known, silent
from data_collector.client.records import Gap, Item, Kline, ms_of
from data_collector.client.terms.policy import Filling, GapPolicy, parts_of
from data_collector.client.terms.position import (
    START,
    KlinesPlace,
    LatePlace,
    Position,
    TradesPlace,
    entry_number,
    position_text,
)
from data_collector.model.calendar import LATEST_MS
from data_collector.model.keys import Key

ENTRIES_PER_READ = 1000

BLOCK_MS = 500
"""How long one read waits; at the end of it the stream's own end is looked at."""

LOOK_S = 1.0
"""So often the store is asked of which market it is: none is replaced by that of another sooner."""

SILENT_S = 60.0
"""So often it is asked whether a series is silent because nobody collects it."""

COUNTED_MAX = 10_000
"""Entries of a stream, when it is asked how many wait."""

BATCH_ITEMS = 1000
"""Of history."""

NEWEST_ENTRIES = 1000
"""Looked at for the newest closed candle of each interval."""

Start = Literal["now", "earliest"] | int
"""An int is a time in ms: history from then on, and then the stream."""


class Wanted(Struct, frozen=True):
    """What a live stream is about."""

    series: Sequence[Key]
    now_ms: int
    position: Position = Position()
    """From where to go on."""
    start: Start = "now"
    """Of series without a place."""
    gaps: GapPolicy = "mark"
    with_open: bool = False
    with_revisions: bool = False
    end_ms: int | None = None
    """Of a replay: its end, not included, or `LATEST_MS`."""
    speed: float | None = None
    """Of a replay: how much faster than it was; None: as fast as it goes."""


class Following:
    """Reads one set of streams. `run` is the whole of it."""

    def __init__(self, wanted: Wanted, market: Market) -> None:
        self.block_ms = BLOCK_MS
        """At most so long one read waits."""
        self.is_caught_up = False
        """Whether nothing more waited when it was asked last."""
        self.items: list[Item] = []
        self._wanted = wanted
        self._market = market.begun(wanted.position.source)
        self._keys = market.keys
        symbols = dict.fromkeys(key.symbol for key in wanted.series)
        self._past = {symbol: self._past_of(symbol) for symbol in symbols}
        self._streams: list[Stream] = []
        self._filling = Filling()
        self._waited_until_s = 0.0
        self._has_past: set[tuple[str, str | None]] = set()
        """Symbol and interval of what has come out of history."""
        self._now_s = 0.0
        """Of the newest read."""
        self._listens_until_s = 0.0
        """When it is asked what is silent."""
        self._heard_ms = wanted.now_ms
        """Of the newest entry that had been read when it was asked."""
        self._told_silent: set[Key] = set()
        self._looks_at_s = 0.0
        """When it is asked whether the store is still of the same market."""

    def _past_of(self, symbol: str) -> PastOf:
        return PastOf(self._market.stores(), self._market.declared(symbol))

    @property
    def unreadable(self) -> int:
        """Entries that no collector has written; they were passed over."""
        return sum(stream.unreadable for stream in self._streams)

    @property
    def position(self) -> Position:
        """How far it has come."""
        return Position({stream.name: stream.place for stream in self._streams}, self._market.joined.source)

    def flush(self, *, even_empty: bool = False) -> Run:
        """What waits, as a batch."""
        items, self.items = self._shaped(self.items), []
        if items or even_empty:
            yield Batch(items, position_text(self.position))

    def _shaped(self, items: list[Item]) -> list[Item]:
        match self._wanted.gaps:
            case "fill":
                return list(self._filling.filled(items))
            case "skip":
                return [item for item in items if not isinstance(item, Gap)]
        return items

    def hand_on(self, stream: Stream, items: Sequence[Item]) -> Run:
        """Items of history."""
        is_filled = self._wanted.gaps == "fill"
        for item in chain.from_iterable(parts_of(each, BATCH_ITEMS) if is_filled else (each,) for each in items):
            if len(self.items) >= BATCH_ITEMS or (isinstance(item, Gap) and self._wanted.gaps in ("raise", "fill")):
                yield from self.flush()
            stream.note(item)
            self.items.append(item)

    def run(self) -> Run:
        """Each read ends with a batch, which may be empty; so does the opening. Without end, but of a replay."""
        yield from self._market.joined.begin()
        yield from self._market.joined.meet()
        for symbol in self._past:
            if not self._wanted.position.places:
                yield from check_known(self._keys, self._market.called, self._market.exchange, symbol)
            yield from self._open(symbol)
        if not self._wanted.position.places and self._wanted.end_ms is None:
            yield from check_collected(self._keys, self._market.called, self._wanted.series, is_stored=False)
        yield from self.flush(even_empty=True)
        if self._wanted.end_ms is not None:
            yield from self._replay(self._wanted.end_ms)
            return
        yield from self._catch_up()
        self._listens_until_s = (yield from ask_clock()) + SILENT_S
        while True:
            yield from self._read()
            yield from self.flush(even_empty=True)
            yield from self._tell_silent()

    def behind(self) -> Plan[Behind]:
        """How much waits in the streams now."""
        count, longest_ms = 0, 0
        for stream in self._streams:
            reply = yield from ask_store("XRANGE", stream.name, f"({stream.hint}", "+", "COUNT", COUNTED_MAX)
            waiting = len(entries_of(reply))
            if waiting:
                newest = yield from self._end(stream.name, "XREVRANGE")
                longest_ms = max(longest_ms, entry_number(newest)[0] - entry_number(stream.hint)[0])
            count += waiting
        return Behind(count, longest_ms / 1000)

    def _read(self) -> Run:
        names, hints = [each.name for each in self._streams], [each.hint for each in self._streams]
        wait = ("BLOCK", self.block_ms) if self.block_ms else ()
        reply = yield from ask_store("XREAD", "COUNT", ENTRIES_PER_READ, *wait, "STREAMS", *names, *hints)
        self._now_s = yield from ask_clock()
        if self._now_s >= self._looks_at_s:
            yield from self._market.joined.look()
            self._looks_at_s = self._now_s + LOOK_S
        read = dict(streams_of(reply))
        # What was read is handed on in several batches where history comes in between.
        self.is_caught_up = not read
        for stream in self._streams:
            if stream.name in read:
                yield from stream.take(read[stream.name], self)
        if not read:
            yield from self._look_at_ends()
        self.is_caught_up = all(len(entries) < ENTRIES_PER_READ for entries in read.values())

    def _tell_silent(self) -> Plan[None]:
        if self._now_s < self._listens_until_s:
            return
        streams = [stream for stream in self._streams if isinstance(stream, KlinesStream) and self.is_caught_up]
        overdue = {key for stream in streams for key in stream.overdue()}
        found = yield from silent(self._keys, self._market.called, self._wanted.series, self._heard_ms, overdue)
        for key, sentence in found.items():
            if key not in self._told_silent:
                yield Notice(sentence)
        self._told_silent |= found.keys()
        self._heard_ms = max(self._heard_ms, *(entry_number(stream.hint)[0] for stream in self._streams))
        self._listens_until_s = self._now_s + SILENT_S

    def _look_at_ends(self) -> Plan[None]:
        """A stream that does not reach the entry that was read last was emptied, or has lost its end."""
        for stream in self._streams:
            newest = yield from self._end(stream.name, "XREVRANGE")
            if entry_number(newest) < entry_number(stream.hint):
                stream.hint = newest if isinstance(stream, LateStream) else START
                self._looks_at_s = 0.0

    def _catch_up(self) -> Run:
        """What the streams do not hold any more."""
        behind = []
        for stream in self._streams:
            oldest = yield from self._end(stream.name, "XRANGE")
            if stream.hint != START and (oldest == START or entry_number(oldest) > entry_number(stream.hint)):
                behind.append(stream)
        pasts = [(stream, past) for stream in behind for past in stream.past(LATEST_MS, None)]
        yield from self._take_pasts(pasts)

    def _replay(self, end_ms: int) -> Run:
        closed_ms = None if end_ms == LATEST_MS else self._wanted.now_ms - BEHIND_MS
        pasts = [(stream, past) for stream in self._streams for past in stream.past(end_ms, closed_ms)]
        yield from self._take_pasts(pasts)
        if not self._wanted.position.places:
            lacking = [key for key in self._wanted.series if (key.symbol, key.interval) not in self._has_past]
            yield from check_collected(self._keys, self._market.called, lacking, is_stored=True)
        self.is_caught_up = True

    def _take_pasts(self, pasts: Sequence[tuple[Stream, Past]]) -> Run:
        """Several series in the order of time, and in its pace where there is a speed."""
        merged, speed = Merged([past for _, past in pasts]), self._wanted.speed
        began_s, began_ms = (yield from ask_clock()), None
        while (page := (yield from merged.next_page())) is not None:
            for number, item in page:
                item_ms = known_ms(item)
                if speed is not None and item_ms is not None:
                    began_ms = item_ms if began_ms is None else began_ms
                    yield from self._wait_until(began_s + (item_ms - began_ms) / 1000 / speed)
                if item_ms is not None:
                    self._has_past.add((item.symbol, item.interval if isinstance(item, Kline) else None))
                yield from self.hand_on(pasts[number][0], [item])
        for stream, _ in pasts:
            stream.go_on()
        yield from self.flush()

    def _wait_until(self, at_s: float) -> Run:
        """What is handed on has come by then."""
        if at_s > self._waited_until_s:
            yield from self.flush()
            yield WaitUntil(at_s)
            self._waited_until_s = at_s

    def _end(self, name: str, command: Literal["XRANGE", "XREVRANGE"]) -> Plan[str]:
        """Id of a stream's oldest or newest entry."""
        entries = yield from self._entries(name, command, 1)
        return text_of(entries[0][0]) if entries else START

    def _entries(self, name: str, command: Literal["XRANGE", "XREVRANGE"], count: int) -> Plan[list[Entry]]:
        ends = ("-", "+") if command == "XRANGE" else ("+", "-")
        return entries_of((yield from ask_store(command, name, *ends, "COUNT", count)))

    def _open(self, symbol: str) -> Plan[None]:
        wanted, past = self._wanted, self._past[symbol]
        intervals = [key.interval for key in wanted.series if key.symbol == symbol]
        of_klines = [interval for interval in intervals if interval is not None]
        if None in intervals:
            name = self._keys.key("trades", symbol)
            place = wanted.position.places.get(name)
            trades = place if isinstance(place, TradesPlace) else (yield from self._trades_place(name, symbol))
            self._streams.append(TradesStream(self._keys, symbol, past, trades))
        if of_klines:
            name = self._keys.key("stream", symbol)
            place = wanted.position.places.get(name)
            klines = place if isinstance(place, KlinesPlace) else (yield from self._klines_place(name, of_klines))
            self._streams.append(KlinesStream(self._keys, symbol, of_klines, past, klines, with_open=wanted.with_open))
        if wanted.with_revisions:
            name = self._keys.key("late", symbol)
            place = wanted.position.places.get(name)
            late = place if isinstance(place, LatePlace) else (yield from self._late_place(name))
            self._streams.append(LateStream(self._keys, symbol, intervals, late))

    def _trades_place(self, name: str, symbol: str) -> Plan[TradesPlace]:
        if self._wanted.start != "now":
            return TradesPlace(hint=_hint(self._wanted.start))
        entries = yield from self._entries(name, "XREVRANGE", 1)
        newest = trade_of(entries[0], symbol) if entries else None
        if newest is None:
            return TradesPlace(hint=text_of(entries[0][0]) if entries else START)
        return TradesPlace(newest.epoch, newest.trade_id, text_of(entries[0][0]))

    def _klines_place(self, name: str, intervals: Sequence[str]) -> Plan[KlinesPlace]:
        start = self._wanted.start
        if start == "earliest":
            return KlinesPlace()
        if start != "now":
            firsts = {interval: first_open_ms(interval, start) for interval in intervals}
            return KlinesPlace(before_ms(_known(firsts)), _hint(start))
        entries = yield from self._entries(name, "XREVRANGE", NEWEST_ENTRIES)
        if not entries:
            return KlinesPlace()
        hint = text_of(entries[0][0])
        klines = [kline for kline in map(kline_of, reversed(entries)) if kline is not None and is_on_grid(kline)]
        klines = [kline for kline in klines if kline.interval in intervals]
        seen = {kline.interval: ms_of(kline.timestamp) for kline in klines if not kline.is_closed}
        opens = {interval: open_ms(interval, entry_number(hint)[0]) for interval in intervals}
        newest = {kline.interval: ms_of(kline.timestamp) for kline in klines if kline.is_closed}
        return KlinesPlace(before_ms(seen | _known(opens)) | newest, hint)

    def _late_place(self, name: str) -> Plan[LatePlace]:
        start = self._wanted.start
        return LatePlace((yield from self._end(name, "XREVRANGE")) if start == "now" else _hint(start))


def _hint(start: Literal["earliest"] | int) -> str:
    """A time is behind the one that stands for the oldest entry."""
    return START if start == "earliest" else f"{max(1, start)}-0"


def _known(opens: Mapping[str, int | None]) -> dict[str, int]:
    """Without those that only the exchange knows."""
    return {interval: ms for interval, ms in opens.items() if ms is not None}
