"""What the history writer reads of the store's streams, behind a cursor each."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

import structlog
from msgspec import Struct, field

from data_collector.model.calendar import UtcCalendar
from data_collector.model.errors import SinkUnavailable
from data_collector.model.keys import KeyKind, StoreKeys
from data_collector.model.records import Kline, Sourced, Trade
from data_collector.service.history_writer.messages import Orders
from data_collector.sinks.redis.connection import Command, ReplyError, StoreConnection
from data_collector.sinks.redis.entries import entry_id, origin_of
from data_collector.sinks.redis.stored_records import (
    CLOSED,
    NO_RECORD,
    OPEN,
    DeclaredGap,
    epoch_or_first,
    stored_epoch,
    stored_gap,
    stored_kline,
    stored_trade,
)

ENTRIES_PER_READ = 10_000
"""Of all streams together: a few MB, and a transaction of a fraction of a second."""

BEGINNING = "0-0"


class Rows(Struct):
    """What is to be written together."""

    klines: list[Sourced[Kline]] = field(default_factory=list)
    revised: list[Sourced[Kline]] = field(default_factory=list)
    """Out of `late:`."""
    trades: list[Sourced[Trade]] = field(default_factory=list)
    gaps: list[DeclaredGap] = field(default_factory=list)
    cursors: dict[str, str] = field(default_factory=dict)
    """Stream to the last entry read of it."""


class Trimmed(Struct, frozen=True):
    """A stream that has lost its entries between two places."""

    stream: str
    symbol: str
    read: str
    """The last entry read."""
    oldest: str
    """The first entry behind it that there still is."""
    epoch: int
    """Of that one."""


class ReadBatch(Struct):
    """What one read brought."""

    parts: dict[str, Rows] = field(default_factory=dict)
    """Symbol, as its streams are named, to what they held."""
    unreadable: int = 0
    """Entries that are no records."""
    unreadable_reason: str | None = None
    """Of the last of them: stream and reason."""
    is_full: bool = False
    """Whether there is more to read at once."""
    trimmed: list[Trimmed] = field(default_factory=list)
    """Streams of trades that had been trimmed before they were read."""

    @property
    def has_rows(self) -> bool:
        """Whether there is anything but places."""
        return any(part.klines or part.revised or part.trades or part.gaps for part in self.parts.values())

    def whole(self) -> Rows:
        """All parts as one."""
        whole = Rows()
        for part in self.parts.values():
            whole.klines += part.klines
            whole.revised += part.revised
            whole.trades += part.trades
            whole.gaps += part.gaps
            whole.cursors |= part.cursors
        return whole


class FirstHeld(Struct, frozen=True):
    """The first trade that waits of a symbol that is held."""

    stream: str
    id: str
    epoch: int


class StreamReader:
    """Reads on from where `cursors` say. The owner puts them back when it could not write what was read."""

    def __init__(
        self, connection: StoreConnection, orders: Orders, cursors: dict[str, str],
        epochs: Mapping[str, int] | None = None,
    ) -> None:  # fmt: skip
        """`epochs` are those that the owner knows, now and later."""
        self._epochs = orders.epochs if epochs is None else epochs
        self._begun: dict[str, int] = {}
        """Epochs that the collector has begun in the store, and the owner does not know yet."""
        self._connection = connection
        self._orders = orders
        self._calendar = UtcCalendar()
        self._named = tuple(_streams(orders))
        self.foreign: set[str] = set()
        """Those whose keys somebody else uses for something else."""
        self._held: set[str] = set()
        """Symbols that are held."""
        self._all = self._named
        """Without those that are foreign."""
        self.streams = list(self._all)
        """Without those that are held, either."""
        self._first_held: dict[str, str] = {}
        """Held stream to the entry that waited first when it was looked at first."""
        self.held_trades: dict[str, FirstHeld] = {}
        """By symbol, when it was looked at last."""
        self.trimmed_held: set[str] = set()
        """Symbols that are held, and of which the store has trimmed what waited."""
        self.cursors = {name: cursors.get(name, BEGINNING) for name in self.streams}

    async def leave_out_foreign(self) -> None:
        """Those that are no streams (any more) would refuse the answer of all others. Raises `SinkUnavailable`."""
        kinds = await self._ask([("TYPE", name) for name in self._named])
        self.foreign = {name for name, kind in zip(self._named, kinds, strict=True) if kind not in ("stream", "none")}
        self._all = tuple(name for name in self._named if name not in self.foreign)
        self.streams = [name for name in self._all if self._symbol(name) not in self._held]

    async def read(self) -> ReadBatch:
        """The next entries of every stream; moves the cursors. Raises `SinkUnavailable`."""
        batch = ReadBatch()
        if not self.streams:
            return batch
        count = max(1, ENTRIES_PER_READ // len(self.streams))
        positions = [self.cursors[name] for name in self.streams]
        # Not blocking: the writer would be woken for each update of an open kline.
        reply = (await self._ask([("XREAD", "COUNT", count, "STREAMS", *self.streams, *positions)]))[0]
        answered = list(_answered(reply))
        await self._look_for_epochs(answered)
        batch.trimmed = await self._trimmed_trades(answered)
        late = [pair for pair in answered if self._kind(pair[0]) == "late"]
        others = [pair for pair in answered if self._kind(pair[0]) != "late"]
        batch.is_full = any(len(entries) == count for _, entries in others)
        # A revision must not be written before the kline that it revises, which may be further down its stream.
        for name, entries in others if batch.is_full else [*others, *late]:
            part = batch.parts.setdefault(self._symbol(name), Rows())
            for number, fields in entries:
                reason = self._take(part, name, number, fields)
                if reason is not None:
                    batch.unreadable += 1
                    batch.unreadable_reason = reason
                part.cursors[name] = self.cursors[name] = number
        batch.is_full = batch.is_full or any(len(entries) == count for _, entries in late)
        return batch

    def hold(self, symbol: str, cursors: Mapping[str, str]) -> None:
        """Leave its streams out from now on, and go back to where `cursors` say."""
        self._held.add(symbol)
        for name in [name for name in self.streams if self._symbol(name) == symbol]:
            self.streams.remove(name)
            self.cursors[name] = cursors.get(name, BEGINNING)

    def release(self) -> None:
        """Read all streams again."""
        self._held.clear()
        self.streams = list(self._all)

    async def go_back_where_the_store_lost(self) -> list[str]:
        """Streams that end before their cursor are read from the beginning: another store, or one that was emptied."""
        lost: list[str] = []
        for name, newest in zip(self.streams, await self._ends("XREVRANGE", "+", "-"), strict=True):
            if entry_id(newest) < entry_id(self.cursors[name]):
                self.cursors[name] = BEGINNING
                lost.append(name)
        return lost

    async def trimmed(self) -> list[Trimmed]:
        """Streams of others than trades whose oldest entry is behind the cursor's."""
        names = [name for name in self.streams if self._kind(name) != "trades" and self.cursors[name] != BEGINNING]
        return await self._trimmed(dict.fromkeys(names))

    async def _trimmed_trades(
        self, answered: Sequence[tuple[str, list[tuple[str, dict[str, str]]]]]
    ) -> list[Trimmed]:  # fmt: skip
        """However short the time in which that happened was: ids tell that there was something in between."""
        jumps = {
            name: entries[0]
            for name, entries in answered
            if self._kind(name) == "trades"
            and self.cursors[name] != BEGINNING
            and epoch_or_first(entries[0][1]) <= self._known_epoch(self._symbol(name))
            and entry_id(entries[0][0]).number != entry_id(self.cursors[name]).number + 1
        }
        return await self._trimmed(jumps)

    async def _trimmed(self, asked: Mapping[str, tuple[str, dict[str, str]] | None]) -> list[Trimmed]:
        """Of these streams; with the entry that was read behind the cursor, where one was."""
        commands: list[Command] = [("XRANGE", name, "-", "+", "COUNT", 1) for name in asked]
        replies = await self._ask(commands) if commands else []
        found: list[Trimmed] = []
        for (name, read), reply in zip(asked.items(), replies, strict=True):
            for oldest in _entries(reply):
                if entry_id(oldest[0]) > entry_id(self.cursors[name]):
                    number, fields = read or oldest
                    found.append(
                        Trimmed(name, self._symbol(name), self.cursors[name], number, epoch_or_first(fields))
                    )  # fmt: skip
        return found

    async def lag_s(self) -> float:
        """Age of the oldest entry behind a cursor, of held streams too; 0 without one."""
        commands: list[Command] = [("XRANGE", name, f"({self.cursors[name]}", "+", "COUNT", 1) for name in self._all]
        replies = await self._ask(commands)
        waiting = {name: _first_id(reply) for name, reply in zip(self._all, replies, strict=True) if reply}
        self._look_at_held(waiting)
        self.held_trades = {
            self._symbol(name): FirstHeld(name, number, epoch_or_first(fields))
            for name, reply in zip(self._all, replies, strict=True)
            for number, fields in _entries(reply)
            if self._kind(name) == "trades" and name not in self.streams
        }
        oldest_ms = min((entry_id(each).ms for each in waiting.values()), default=None)
        return 0.0 if oldest_ms is None else max(0.0, round(time.time() - oldest_ms / 1000, 3))

    def _look_at_held(self, waiting: Mapping[str, str]) -> None:
        held = set(self._all).difference(self.streams)
        self._first_held = {name: first for name, first in {**waiting, **self._first_held}.items() if name in held}
        self.trimmed_held = {
            self._symbol(name)
            for name, first in self._first_held.items()
            if entry_id(waiting.get(name, first)) > entry_id(first)
        }

    async def waiting(self) -> int:
        """About how many entries lie behind the cursors (`entries_behind`), rows or not, held or not."""
        commands: list[Command] = []
        for name in self._all:
            commands += [
                ("XLEN", name),
                ("XRANGE", name, "-", "+", "COUNT", 1),
                ("XREVRANGE", name, "+", "-", "COUNT", 1),
            ]
        replies = iter(await self._ask(commands))
        count = 0
        for name, length, first, last in zip(self._all, replies, replies, replies, strict=True):
            oldest, newest, numbered = _first_id(first), _first_id(last), self._kind(name) == "trades"
            count += entries_behind(self.cursors[name], int(str(length)), oldest, newest, numbered=numbered)
        return count

    async def _ends(self, command: str, start: str, end: str) -> list[str]:
        """The oldest or newest entry of each stream."""
        return [
            _first_id(reply)
            for reply in await self._ask([(command, name, start, end, "COUNT", 1) for name in self.streams])
        ]

    async def _look_for_epochs(self, answered: Sequence[tuple[str, list[tuple[str, dict[str, str]]]]]) -> None:
        """Ask for those of symbols whose entries name one that is not known: its key is set with the first of them."""
        symbols = {
            self._symbol(name)
            for name, entries in answered
            for _, fields in entries
            if "epoch" in fields and epoch_or_first(fields) > self._known_epoch(self._symbol(name))
        }
        if symbols:
            keys = StoreKeys(self._orders.prefix)
            commands: list[Command] = [("GET", keys.epoch(symbol)) for symbol in symbols]
            replies = await self._ask(commands)
            for symbol, reply in zip(symbols, replies, strict=True):
                self._begun[symbol] = epoch_or_first({} if reply is None else {"epoch": str(reply)})

    def _known_epoch(self, symbol: str) -> int:
        return max(self._epochs.get(symbol, 0), self._begun.get(symbol, 0))

    def _take(self, part: Rows, name: str, number: str, fields: dict[str, str]) -> str | None:
        """Why an entry is no record; None where it is one."""
        text, kind, symbol = fields.get("data", ""), self._kind(name), self._symbol(name)
        try:
            if kind == "gaps":
                declared = stored_gap(fields)
                self._demand_own(symbol, declared.key.symbol, declared.epoch)
                part.gaps.append(declared)
            elif kind == "trades" or '"trade_id":' in text:
                if self._orders.trades:
                    trade, epoch = stored_trade(text), stored_epoch(fields)
                    self._demand_own(symbol, trade.symbol, epoch)
                    if kind == "trades" and entry_id(number).number != trade.trade_id:
                        raise ValueError(f"the entry {number} names the trade {trade.trade_id}")
                    part.trades.append(Sourced(trade, origin_of(fields), epoch))
            elif CLOSED in text:
                if self._orders.klines:
                    kline = stored_kline(text, self._calendar)
                    self._demand_own(symbol, kline.symbol, 0)
                    klines = part.revised if kind == "late" else part.klines
                    klines.append(Sourced(kline, origin_of(fields)))
            elif OPEN not in text:
                raise ValueError("it is no record")
        except NO_RECORD as error:
            structlog.get_logger().warning("history_entry_unreadable", stream=name, reason=str(error))
            return f"{name}: {error}"
        return None

    def _demand_own(self, symbol: str, named: str, epoch: int) -> None:
        """A later epoch, taken for good, would make all that comes later old. Raises `ValueError`."""
        if named != symbol:
            raise ValueError(f"it is of {named[:64]}")
        if epoch > self._known_epoch(symbol):
            raise ValueError(f"nobody has begun the epoch {epoch}")

    def _symbol(self, name: str) -> str:
        return name.removeprefix(self._orders.prefix).partition(":")[2]

    def _kind(self, name: str) -> str:
        return StoreKeys(self._orders.prefix).kind_of(name)

    async def _ask(self, commands: Sequence[Command]) -> list[object]:
        replies = await self._connection.execute(commands)
        for reply in replies:
            if isinstance(reply, ReplyError):
                raise SinkUnavailable(f"The store refuses to be read: {reply}")
        return replies


def _streams(orders: Orders) -> Iterator[str]:
    keys = StoreKeys(orders.prefix)
    kinds: dict[KeyKind, bool] = {"stream": orders.klines, "trades": orders.trades, "late": True, "gaps": True}
    for symbol in orders.symbols:
        yield from (keys.key(kind, symbol) for kind, wanted in kinds.items() if wanted)


def entries_behind(cursor: str, length: int, oldest: str, newest: str, *, numbered: bool) -> int:
    """How many of a stream's entries come after `cursor`, without reading them.

    Exact where it is none or all of them, and where entries are `numbered` one by one (trade ids: a gap counts as
    entries). Else an estimate: the share of the stream's time that lies after the cursor, as if they came evenly.
    """
    (at_ms, at_number), (first_ms, first_number), (last_ms, last_number) = map(entry_id, (cursor, oldest, newest))
    if length == 0 or (at_ms, at_number) >= (last_ms, last_number):
        return 0
    if (at_ms, at_number) < (first_ms, first_number):
        return length
    if numbered and last_number > at_number:
        # Else ids began anew in between.
        return min(length, last_number - at_number)
    share = (last_ms - at_ms) / max(1, last_ms - first_ms)
    return min(length, max(1, round(length * share)))


def _first_id(reply: object) -> str:
    return next((each for each, _ in _entries(reply)), BEGINNING)


def _answered(reply: object) -> Iterator[tuple[str, list[tuple[str, dict[str, str]]]]]:
    """Of XREAD: nil, or pairs of a stream's name and its entries."""
    for pair in reply if isinstance(reply, list) else []:
        if isinstance(pair, list) and len(pair) == 2:
            yield str(pair[0]), list(_entries(pair[1]))


def _entries(reply: object) -> Iterator[tuple[str, dict[str, str]]]:
    for entry in reply if isinstance(reply, list) else []:
        if isinstance(entry, list) and len(entry) == 2 and isinstance(entry[1], list):
            words = [str(word) for word in entry[1]]
            yield str(entry[0]), dict(zip(words[::2], words[1::2], strict=False))
