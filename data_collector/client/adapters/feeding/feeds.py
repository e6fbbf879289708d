"""Where the records of a table come from: the client's live stream, or what `gaps:` declares."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from data_collector.client.adapters.feeding.asked import Asked
from data_collector.client.answering.blocking import Answering
from data_collector.client.answering.places import Places
from data_collector.client.answering.places import places_of as store_places
from data_collector.client.answering.store import StoreClient
from data_collector.client.client import Client
from data_collector.client.errors import StoreAway, UnknownSymbol
from data_collector.client.live import Live
from data_collector.client.reading.entries import Entry, entries_of, gap_of, revision_of, streams_of, text_of
from data_collector.client.reading.market import Market
from data_collector.client.reading.questions import ask_store
from data_collector.client.records import Gap, Item, Kline, Revision, Trade
from data_collector.client.terms.position import (
    START,
    LatePlace,
    Position,
    entry_number,
    position_of,
    position_text,
)
from data_collector.client.terms.series import TRADES, store_keys
from data_collector.model.calendar import INTERVALS

ENTRIES_PER_READ = 1000

_log = logging.getLogger(__name__)


class DeclaredGap(Struct, frozen=True):
    """A row of `gaps:`. `first` and `last` are trade ids, or open times in milliseconds."""

    symbol: str
    channel: str
    interval: str | None
    first: int
    last: int
    count: int
    reason: str
    rules: tuple[str, ...]
    epoch: int


class Rows(Struct, frozen=True):
    """Records that belong together, and the position behind them."""

    records: Sequence[Struct]
    position: str


class Feed(Protocol):
    """Where the records of a table come from."""

    @property
    def is_caught_up(self) -> bool:
        """Whether nothing more waited when it looked last."""

    def poll(self, timeout_s: float) -> Rows:
        """What has come. Raises `Away`."""

    def close(self) -> None:
        """Hang up."""


class RecordsFeed:
    """Candles or trades, as the client's live stream gives them."""

    def __init__(self, asked: Asked, position: str | None) -> None:
        """Raises `Away` also for a store that has nothing yet, as where all is started at once."""
        self._client = Client(asked.store, api=asked.api, database=asked.database, exchange=asked.exchange)
        # Intervals may be added while it runs.
        series = [TRADES] if asked.kind == "trades" else INTERVALS
        with ExitStack() as failed:
            failed.callback(self._client.close)
            try:
                self._live: Live = self._client.live(
                    *(f"{asked.symbol}:{each}" for each in series), start=asked.start, position=position,
                    open=not asked.closed_only, revisions=asked.revisions,
                )  # fmt: skip
            except UnknownSymbol as error:
                raise StoreAway(str(error)) if error.is_empty else error from None
            self._revised = _Revised(asked, position) if asked.revisions and asked.kind == "stream" else None
            failed.pop_all()
        self._unreadable = 0

    @property
    def is_caught_up(self) -> bool:
        return self._live.is_caught_up

    def poll(self, timeout_s: float) -> Rows:
        batch = self._live.poll(timeout_s)
        assert batch is not None, "it does not end"
        if self._live.unreadable > self._unreadable:
            _log.warning("%d entries are no records of ours and were passed over.", self._live.unreadable)
            self._unreadable = self._live.unreadable
        return Rows(self._records(batch.items), batch.position)

    def close(self) -> None:
        self._client.close()

    def _records(self, items: Iterable[Item]) -> list[Struct]:
        records: list[Struct] = []
        for item in items:
            match item:
                case Trade():
                    records.append(item)
                case Kline():
                    if self._revised is None or not self._revised.holds(item):
                        records.append(item)
                case Revision(record):
                    if self._revised is not None:
                        self._revised.note(record)
                    records.append(record)
                case Gap():
                    _log.warning("%s", item.sentence)
        return records


class _Revised:
    """Candles of which a revision was read: what the stream says of them is older, even if it is read later."""

    def __init__(self, asked: Asked, position: str | None) -> None:
        self._klines: set[tuple[str, datetime]] = set()
        late = store_keys(asked.exchange).key("late", asked.symbol)
        place = position_of(position).places.get(late)
        if isinstance(place, LatePlace):
            answering = Answering(*_store_of(asked))
            try:
                reply = answering.finish(ask_store("XRANGE", late, "-", place.hint))
            finally:
                answering.close()
            for entry in entries_of(reply):
                revision = revision_of(entry)
                if revision is not None:
                    self.note(revision.record)

    def note(self, record: Kline | Trade) -> None:
        if isinstance(record, Kline):
            self._klines.add((record.interval, record.timestamp))

    def holds(self, kline: Kline) -> bool:
        return (kline.interval, kline.timestamp) in self._klines


class GapsFeed:
    """What `gaps:` declares. Only ids of entries tell what is new; a range that is read twice is the same row."""

    def __init__(self, asked: Asked, position: str | None) -> None:
        self.is_caught_up = False
        given, places = _store_of(asked)
        self._answering = Answering(given, places)
        self._symbol = asked.symbol
        self._stream = store_keys(asked.exchange).key("gaps", asked.symbol)
        before = _gaps_position(self._stream, position)
        place = before.places.get(self._stream)
        self._place = place.hint if isinstance(place, LatePlace) else START
        called = places.called(is_given=given is not None)
        self._joined = Market(asked.exchange, called, with_database=False, source=before.source).joined

    def poll(self, timeout_s: float) -> Rows:
        wait = ("BLOCK", round(timeout_s * 1000)) if timeout_s else ()
        words = ("XREAD", "COUNT", ENTRIES_PER_READ, *wait, "STREAMS", self._stream, self._place)
        read = dict(streams_of(self._answering.finish(ask_store(*words)))).get(self._stream, [])
        self._answering.finish(self._joined.begin())
        self.is_caught_up = len(read) < ENTRIES_PER_READ
        if read:
            self._place = text_of(read[-1][0])
        else:
            self._look_at_end()
        position = Position({self._stream: LatePlace(self._place)}, self._joined.source)
        return Rows([gap for gap in map(self._gap, read) if gap is not None], position_text(position))

    def close(self) -> None:
        self._answering.close()

    def _gap(self, entry: Entry) -> DeclaredGap | None:
        declared = gap_of(entry)
        if declared is None:
            _log.warning("Entry %s of %s is no gap of ours and was passed over.", text_of(entry[0]), self._stream)
            return None
        interval, epoch, gap = declared
        channel = "trade" if interval is None else "kline"
        return DeclaredGap(
            self._symbol, channel, interval, gap.first, gap.last, gap.count, gap.reason, gap.rules, epoch
        )  # fmt: skip

    def _look_at_end(self) -> None:
        """A stream that does not reach the entry that was read last was emptied."""
        newest = entries_of(self._answering.finish(ask_store("XREVRANGE", self._stream, "+", "-", "COUNT", 1)))
        if entry_number(text_of(newest[0][0]) if newest else START) < entry_number(self._place):
            self._place = START


def _gaps_position(stream: str, text: str | None) -> Position:
    """Older ones are the id of an entry alone."""
    return Position({stream: LatePlace(text)}) if text and not text.startswith("{") else position_of(text)


def _store_of(asked: Asked) -> tuple[StoreClient | None, Places]:
    """Where it is, and nothing else."""
    address = asked.store if isinstance(asked.store, str) else None
    return None if isinstance(asked.store, str) else asked.store, store_places(address, "", "")
