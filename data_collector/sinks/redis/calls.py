"""From a batch to the commands that store it, and from a refused command to the next try."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar, assert_never

from msgspec import Struct, field

from data_collector.model.calendar import Calendar
from data_collector.model.gaps import Gap, explained_from, gaps_after
from data_collector.model.keys import Key, StoreKeys
from data_collector.model.records import Kline, Origin, Quote, Sourced, Ticker
from data_collector.model.sink import Batch, KlineUpdate, NewestUpdate, SideEntry, TradeRun
from data_collector.model.wire import (
    gap_json,
    json_text,
    kline_json,
    newest_price,
    open_time_text,
    quote_fields,
    quote_json,
    ticker_fields,
    trade_time_text,
)
from data_collector.sinks.redis.connection import Command
from data_collector.sinks.redis.functions import APPEND_KLINES, APPEND_ONCE, APPEND_TRADES, PUT_KLINE, PUT_NEWEST

KLINES_PER_CALL = 100
"""One call blocks the server; this many take below a millisecond."""

SIDE_PER_CALL = 50
"""Quarantined frames have up to 4 KiB each."""

SIDE_MAXLEN = 10_000
"""Entries of each `gaps:`, `late:` and `quarantine:` stream."""

MARKER_LIFE_S = 86_400
"""How long a writer's marker outlives its last entry."""


Item = TypeVar("Item")


class StoreLimits(Struct, frozen=True):
    """How much the store keeps."""

    trades_maxlen: int
    stream_maxlen: int
    kline_ttl_s: Callable[[str], int]
    """Interval to seconds."""
    side_maxlen: int = SIDE_MAXLEN


class KlinePart(Struct):
    """Updates of one symbol that go in one call."""

    updates: list[KlineUpdate]


class RevisedKline(Struct):
    """A closed kline whose place in `stream:` is past."""

    kline: Kline


class PastKline(Struct):
    """A closed kline from before the beginning of its series."""

    kline: Kline


class SidePart(Struct):
    """Side entries that go in one call."""

    entries: list[SideEntry]


class Call(Struct):
    """A command and what it carries."""

    command: Command
    subject: TradeRun | KlinePart | NewestUpdate | SidePart | RevisedKline | PastKline
    gaps: list[list[Gap]] = field(default_factory=list)
    """What this try declares if the store misses it: of a run one list, of kline updates one for each."""


class CallBuilder:
    """Builds the commands; pure but for the clock in `recorded_at`."""

    def __init__(
        self, keys: StoreKeys, limits: StoreLimits, calendar: Calendar, writer: str, database: int = 0
    ) -> None:  # fmt: skip
        """`database` is the store's number: a server has one memory for all of them."""
        self.keys = keys
        self._database = database
        self._limits = limits
        self.calendar = calendar
        self._writer = writer

    def calls(self, batch: Batch) -> Iterator[Call]:
        """The first try of everything in a batch."""
        for run in batch.trades:
            yield self.trades(run)
        for updates in batch.klines:
            for part in _parts(updates, KLINES_PER_CALL):
                yield self.klines(part)
        for update in batch.newest:
            yield self.newest(update)
        for entries in _parts(batch.side, SIDE_PER_CALL):
            yield self.side(entries)
        for revised in batch.revisions:
            yield self.revision(revised)
        for past in batch.past:
            yield self.past(past)

    def trades(self, run: TradeRun, *, tail: int | None = None) -> Call:
        """`tail`: the store's own, when it lies within what the run explains; by default right before that."""
        symbol, key, side_maxlen = run.symbol, self.keys.key, self._limits.side_maxlen
        gaps = run.gaps if tail is None else gaps_after(run.gaps, tail)
        bridged = texts = refusals = ""
        if gaps:
            bridged, texts = str(gaps[0].first - 1), _gap_texts(Key("trade", symbol), gaps)
        if run.refused:
            refusals = json.dumps([[number, *r.fields] for number, r in sorted(run.refused.items())])
        return Call(
            (
                "FCALL", APPEND_TRADES, 5, key("trades", symbol), key("latest", symbol),
                key("gaps", symbol), key("quarantine", symbol), self.keys.epoch(symbol), run.first_id, run.count,
                self._limits.trades_maxlen, side_maxlen, run.price, run.time_text, bridged, texts, refusals,
                int(run.begins), run.epoch, run.after_id, self._database, *run.entries,
            ),
            run,
            [gaps],
        )  # fmt: skip

    def klines(self, updates: list[KlineUpdate], *, due: Mapping[str, int] | None = None) -> Call:
        """Updates of one symbol. `due`: per interval the open time that the store misses first, where it told it."""
        symbol = updates[0].kline.symbol
        symbol_json = json_text(symbol)
        keys: list[str] = []
        origin_keys: list[str] = []
        arguments: list[str | int] = []
        declared: list[list[Gap]] = []
        for update in updates:
            kline, gaps = update.kline, update.gaps
            first_ms = (due or {}).get(kline.interval)
            if first_ms is not None and gaps:
                gaps = explained_from(self.calendar, kline.interval, gaps, first_ms)
            told: tuple[str, ...] = ()
            origin = ""
            if update.source != "ws" or update.warnings:
                told, origin = update.origin.fields, _origin_text(update.origin)
            words = told if update.check == "unchecked" else (*told, "check", update.check)
            declared.append(gaps)
            key = self._kline_key(kline)
            keys.append(key)
            # Of an open kline that comes in the ordinary way it is not looked at.
            origin_keys.append(self._origin_key(kline) if kline.is_closed or told else key)
            arguments += (
                kline.interval, kline.open_ms, update.next_open_ms, kline.event_ms, int(kline.is_closed),
                self._limits.kline_ttl_s(kline.interval), gaps[0].first if gaps else "",
                _gap_texts(Key("kline", symbol, kline.interval), gaps), int(update.begins),
                kline_json(kline, symbol_json), origin, len(words), *words,
            )  # fmt: skip
        return Call(
            (
                "FCALL", APPEND_KLINES, 3 + 2 * len(updates),
                self.keys.key("stream", symbol), self.keys.cursors(symbol), self.keys.key("gaps", symbol), *keys,
                *origin_keys, self._limits.stream_maxlen, self._limits.side_maxlen, len(updates), *arguments,
            ),
            KlinePart(updates),
            declared,
        )  # fmt: skip

    def newest(self, update: NewestUpdate) -> Call:
        """The newest record of a channel into its hash, and into its stream if it has one."""
        record, marks, key = update.record, ",".join(update.warnings), self.keys.key
        words: Command
        match record:
            case Ticker():
                price, price_ms = newest_price(record)
                words = (
                    PUT_NEWEST["ticker"], 1, key("latest", record.symbol), record.event_ms,
                    "" if record.last_id is None else record.last_id, price or "", trade_time_text(price_ms), marks,
                    *ticker_fields(record),
                )  # fmt: skip
            case Quote():
                more = ("warnings", marks) if marks else ()
                words = (
                    PUT_NEWEST["quote"], 2, key("quote", record.symbol), key("quotes", record.symbol),
                    record.update_id, self._limits.stream_maxlen, len(more), quote_json(record), *more,
                    *(text for field in quote_fields(record).items() for text in field),
                )  # fmt: skip
            case _:
                assert_never(record)
        return Call(("FCALL", *words), update)

    def side(self, entries: list[SideEntry], *, go_on: bool = False) -> Call:
        """Entries of `quarantine:` and `late:`, numbers rising by one; `go_on` passes over numbers that are missing."""
        words: list[str | int] = []
        for entry in entries:
            words += (len(entry.fields), *entry.fields)
        return Call(
            (
                "FCALL", APPEND_ONCE, 1 + len(entries), self.keys.own(f"writer:{self._writer}"),
                *(self.keys.key(entry.kind, entry.symbol) for entry in entries), self._limits.side_maxlen,
                entries[0].number, len(entries), MARKER_LIFE_S, int(go_on), *words,
            ),
            SidePart(entries),
        )  # fmt: skip

    def revision(self, revised: Sourced[Kline]) -> Call:
        """A closed kline whose place in `stream:` is past, into its key."""
        return Call(self._put_kline(revised, only_new=False), RevisedKline(revised.record))

    def past(self, past: Sourced[Kline]) -> Call:
        """A closed kline from before its series began: a key that exists has it, or something newer."""
        return Call(self._put_kline(past, only_new=True), PastKline(past.record))

    def _put_kline(self, sourced: Sourced[Kline], *, only_new: bool) -> Command:
        kline = sourced.record
        return (
            "FCALL", PUT_KLINE, 2, self._kline_key(kline), self._origin_key(kline),
            kline_json(kline, json_text(kline.symbol)), self._limits.kline_ttl_s(kline.interval),
            _origin_text(sourced.origin), int(only_new),
        )  # fmt: skip

    def _origin_key(self, kline: Kline) -> str:
        return self.keys.origin(kline.symbol, kline.interval, open_time_text(kline.open_ms))

    def _kline_key(self, kline: Kline) -> str:
        return self.keys.kline(kline.symbol, kline.interval, open_time_text(kline.open_ms))


def _gap_texts(key: Key, gaps: list[Gap]) -> str:
    if not gaps:
        return ""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return json.dumps([gap_json(key, gap, now) for gap in gaps])


def _parts(items: Sequence[Item], size: int) -> Iterator[list[Item]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])


def _origin_text(origin: Origin) -> str:
    return f"{origin.source} {','.join(origin.warnings)}" if origin.fields else ""
