"""Writes batches into a Redis-compatible store, exactly once (docs/semantics.md).

Life cycle: the service calls `open` at start (and after every `SinkUnavailable`, by way of `write`, which reconnects
by itself), the pump calls `write` with one batch after the other, `close` ends it. One batch is under way at a time.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from itertools import product
from typing import assert_never, get_args

from data_collector.model.channels import CHANNEL_OF, CHANNELS
from data_collector.model.errors import Misconfigured, SinkUnavailable
from data_collector.model.gaps import Gap, GapReason
from data_collector.model.keys import Channel, Key
from data_collector.model.sink import Batch, Behind, EpochEnd, KlineUpdate, NewestUpdate, TradeRun, TradeTail
from data_collector.model.store_url import StoreAddress
from data_collector.observe.counters import Counters
from data_collector.sinks.redis.calls import Call, CallBuilder, KlinePart, PastKline, RevisedKline, SidePart
from data_collector.sinks.redis.connection import Command, ReplyError, StoreConnection
from data_collector.sinks.redis.entries import entry_id, epoch_of_entry
from data_collector.sinks.redis.former_epochs import end_of_epoch
from data_collector.sinks.redis.functions import check_rights, load_functions, with_rights
from data_collector.sinks.redis.groups import GroupPlace, group_places
from data_collector.sinks.redis.suitability import check_store, claim_store

ROUNDS_MAX = 8
"""A hole takes two rounds; each further one means that another writer moved the tail in between."""

WRONG_TYPE = "WRONGTYPE"
"""Somebody else uses a key of ours, which no waiting mends: its records are dropped and counted, others go on."""

KINDS = frozenset({
    "BUSY", "CLUSTERDOWN", "ERR", "FOREIGN", "LOADING", "MASTERDOWN", "MISCONF", "MOVED", "NOAUTH", "NOPERM",
    "NOREPLICAS", "OOM", "READONLY", "TRYAGAIN", WRONG_TYPE,
})  # fmt: skip
"""Labels of the error metric; any other first word counts as `other`."""

AHEAD_MAX = 100_000
"""A second collector is ahead by less; a store that is ahead by more was filled from another market."""

CLAIM_S = 5.0
"""How often the store is claimed anew: it may have been wiped."""

TAILS_PER_CALL = 500
"""Symbols asked about at a time."""

BRIDGED = 2
"""append_klines' answer for a record before which a hole was declared."""


class RedisSink:
    """The `Sink` of Redis and its kin."""

    def __init__(
        self, address: StoreAddress, calls: CallBuilder, counters: Counters, *, source: str, expected_bytes: int = 0,
        channels: Collection[Channel] = (),
    ) -> None:  # fmt: skip
        """`source` is the REST base URL of the exchange; `expected_bytes` what the store is going to need.

        Rights of their own are asked for `channels`, and for more from `begin_channels` on.
        """
        self._address = address
        self._calls = calls
        self._counters = counters
        self._source = source
        self._keys = calls.keys
        self._expected_bytes = expected_bytes
        self._channels = set(channels)
        self._connection: StoreConnection | None = None
        numbered = [name for name, channel in CHANNELS.items() if channel.has_gaps]
        for channel, reason in product(numbered, get_args(GapReason)):
            # What begins with its first count looks to Prometheus as if it had never grown.
            self._counters.add("data_collector_gaps_total", 0, channel=channel, reason=reason)
            self._counters.add("data_collector_gap_records_total", 0, channel=channel, reason=reason)
        self._claimed_s = 0.0
        self._behind: dict[Key, Behind] = {}
        """What the batch under way could not be given to, because the store lacks what comes before."""
        self._bridged: set[str] = set()
        """Symbols whose trades are tried again in this round: those that follow in the same batch wait for them."""
        self.ahead: dict[str, tuple[int, int]] = {}
        """Symbols of which the store holds later trade ids than the exchange sends: its tail, and the id that came."""
        self.overtaken: set[str] = set()
        """Symbols of which we wrote what the store had: from another collector, or from us before a retry."""
        self.broken_keys: dict[str, str] = {}
        """Key to the server's error, for health: somebody else uses a key of ours for something else."""

    async def open(self) -> None:
        """Connect and make the store ready. Raises `SinkUnavailable`, or `Misconfigured` where waiting is no help."""
        connection = await StoreConnection.connect(self._address)
        try:
            await check_store(
                connection, self._address, source=self._source, keys=self._keys, expected_bytes=self._expected_bytes
            )
            await load_functions(connection)
            await check_rights(connection, self._keys.prefix, "collector", *with_rights(self._channels))
        except (SinkUnavailable, Misconfigured):
            connection.close()
            raise
        self._connection = connection
        self._counters.set("data_collector_store_up", 1)

    async def close(self) -> None:
        """Drop the connection."""
        if self._connection is not None:
            self._connection.close()

    async def write(self, batch: Batch) -> list[Behind]:
        """Store all of it; what is there already stays as it is. Raises `SinkUnavailable`: write it again then.

        Returns what the store lacks, of each symbol that it lacks something of.
        """
        connection = await self.connected()
        await self._claim(connection)
        self._behind.clear()
        calls = list(self._calls.calls(batch))
        for _ in range(ROUNDS_MAX):
            self._bridged.clear()
            replies = await connection.execute([call.command for call in calls])
            calls = [again for call, reply in zip(calls, replies, strict=True) if (again := self._settle(call, reply))]
            if not calls:
                return list(self._behind.values())
        raise SinkUnavailable("Other writers keep moving the store's tail; trying again.")

    async def tails(self, symbols: Sequence[str]) -> dict[str, TradeTail | None]:
        """What the store has of each symbol; see the protocol."""
        connection = await self.connected()
        tails: dict[str, TradeTail | None] = {}
        for start in range(0, len(symbols), TAILS_PER_CALL):
            part = symbols[start : start + TAILS_PER_CALL]
            asked: list[Command] = [("XINFO", "STREAM", self._keys.key("trades", name)) for name in part]
            answers = await connection.execute([*asked, *(("GET", self._keys.epoch(name)) for name in part)])
            for symbol, reply, epoch in zip(part, answers, answers[len(part) :], strict=False):
                if isinstance(reply, list):
                    tails[symbol] = _trade_tail(reply, epoch)
                elif isinstance(reply, ReplyError) and reply.kind == WRONG_TYPE:
                    tails[symbol] = None
                elif isinstance(reply, ReplyError) and "no such key" not in str(reply):
                    raise SinkUnavailable(f"The store at {self._address.place} does not tell its tails: {reply}")
        return tails

    async def epoch_orders(self, symbols: Sequence[str]) -> dict[str, int]:
        """Symbols of which an operator wants this epoch to end; not to be called beside `write`.

        Raises `SinkUnavailable`.
        """
        connection = await self.connected()
        replies = await connection.execute([("GET", self._keys.epoch_order(symbol)) for symbol in symbols])
        found = zip(symbols, map(str, replies), strict=True)
        return {symbol: int(epoch) for symbol, epoch in found if epoch.isdecimal()}

    async def end_of_epoch(self, symbol: str, epoch: int) -> EpochEnd:
        """What the store tells of an epoch that is over; not to be called beside `write`. Raises `SinkUnavailable`."""
        return await end_of_epoch(await self.connected(), self._keys, symbol, epoch)

    async def begin_channels(self, channels: Collection[Channel]) -> None:
        """They are written from now on. Raises `Misconfigured` where rights are missing, and `SinkUnavailable`."""
        await check_rights(await self.connected(), self._keys.prefix, *with_rights(channels))
        self._channels.update(channels)

    async def groups(self, streams: Sequence[str]) -> list[GroupPlace]:
        """Where the groups of these streams stand; not to be called beside `write`. Raises `SinkUnavailable`."""
        return await group_places(await self.connected(), streams)

    async def kline_cursors(self, symbols: Sequence[str], intervals: Sequence[str]) -> dict[Key, int]:
        """The open time that the store must get next, of each symbol and interval that it has closed klines of.

        Raises `SinkUnavailable`. To be called before the first `write` of a collection, not beside one.
        """
        connection = await self.connected()
        replies = await connection.execute([("HMGET", self._keys.cursors(symbol), *intervals) for symbol in symbols])
        cursors: dict[Key, int] = {}
        for symbol, reply in zip(symbols, replies, strict=True):
            # A key of another type is told when something is to be written.
            states = reply if isinstance(reply, list) else []
            for interval, state in zip(intervals, states, strict=False):
                due, *_ = str(state or "-1").split(" ")
                if int(due) >= 0:
                    cursors[Key("kline", symbol, interval)] = int(due)
        return cursors

    async def connected(self) -> StoreConnection:
        """The connection, made anew if it is lost; not to be used beside `write`. Raises `SinkUnavailable`."""
        if self._connection is None or not self._connection.is_open:
            self._counters.set("data_collector_store_up", 0)
            await self.open()
            self._counters.add("data_collector_store_reconnects_total")
        assert self._connection is not None, "open() has connected"
        return self._connection

    async def _claim(self, connection: StoreConnection) -> None:
        now = time.monotonic()
        if now - self._claimed_s >= CLAIM_S:
            self._claimed_s = now
            await claim_store(connection, self._address, source=self._source, keys=self._keys)

    def _settle(self, call: Call, reply: object) -> Call | None:
        """Count what was stored; return the call to make instead when something is missing before it."""
        if isinstance(reply, ReplyError):
            self._fail(call, reply)
            return None
        if self.broken_keys:
            for key in _used_keys(call):
                self.broken_keys.pop(str(key), None)
        subject = call.subject
        match subject:
            case TradeRun():
                return self._settle_trades(call, subject, reply)
            case NewestUpdate():
                self._count(CHANNEL_OF[type(subject.record)], int(reply == 1), 1)
            case RevisedKline():
                self._counters.add("data_collector_records_late_total", channel="kline")
            case PastKline():
                pass
            case KlinePart():
                return self._settle_klines(call, subject, reply)
            case SidePart():
                return self._settle_side(subject, reply)
            case _:
                assert_never(subject)
        return None

    def _settle_trades(self, call: Call, run: TradeRun, reply: object) -> Call | None:
        assert isinstance(reply, list), "append_trades answers with an array"
        symbol = run.symbol
        if reply[0] == "GAP":
            return self._settle_gap(call, run, int(reply[1]), int(reply[2]))
        outcome, tail, added, bridged, *foreign = reply
        if outcome == "FOREIGN":
            self._note_hidden(run, int(tail))
            return None
        if int(added) < run.count:
            self.overtaken.add(symbol)
        newest_id = run.first_id + run.count - 1
        if outcome == "DUP" and int(tail) - newest_id > AHEAD_MAX:
            self.ahead[symbol] = (int(tail), newest_id)
        else:
            self.ahead.pop(symbol, None)
        for key_name in foreign:
            self._note_foreign(str(key_name))
        self._count("trade", int(added), run.count)
        if bridged:
            self._declare("trade", call.gaps[0])
        if run.oldest_ns and run.newest_ns and run.count:
            now_ns = time.time_ns()
            self._counters.observe_between(
                "data_collector_received_to_stored_seconds",
                (now_ns - run.newest_ns) / 1e9, (now_ns - run.oldest_ns) / 1e9, run.count,
            )  # fmt: skip
        return None

    def _settle_gap(self, call: Call, run: TradeRun, tail: int, epoch: int) -> Call | None:
        """The run does not follow the store's tail, or is of another epoch."""
        symbol, key = run.symbol, Key("trade", run.symbol)
        if symbol in self._bridged:
            # The run before it in this batch closes the hole.
            return call
        if run.gaps and epoch == run.epoch and tail >= run.start_id and key not in self._behind:
            # Another writer moved the tail into what this run explains.
            self._bridged.add(symbol)
            return self._calls.trades(run, tail=tail)
        self._behind.setdefault(key, Behind(key, None if tail < 0 else tail + 1, epoch))
        return None

    def _note_hidden(self, run: TradeRun, tail: int) -> None:
        self.broken_keys[self._keys.key("trades", run.symbol)] = (
            f"somebody else's entry with id {tail} is the newest, or was, and hides trades before it. Delete the key: "
            "it is filled again"
        )
        self._counters.add("data_collector_store_errors_total", kind="FOREIGN")
        key = Key("trade", run.symbol)
        self._behind.setdefault(key, Behind(key, run.first_id, run.epoch, blocked=True))

    def _settle_klines(self, call: Call, part: KlinePart, reply: object) -> Call | None:
        assert isinstance(reply, list), "append_klines answers with an array"
        due: dict[str, int] = {}
        again: list[KlineUpdate] = []
        for update, gaps, outcome in zip(part.updates, call.gaps, reply, strict=True):
            if isinstance(outcome, str):
                interval = update.kline.interval
                key = Key("kline", update.kline.symbol, interval)
                if interval not in due:
                    due[interval] = int(outcome)
                    if not _explains(update, int(outcome)):
                        self._behind.setdefault(key, Behind(key, _due_or_none(int(outcome))))
                if key not in self._behind:
                    again.append(update)
                continue
            self._count("kline", int(outcome > 0), 1)
            if outcome == BRIDGED:
                self._declare("kline", gaps)
        return self._calls.klines(again, due=due) if again else None

    def _settle_side(self, part: SidePart, reply: object) -> Call | None:
        assert isinstance(reply, list), "append_once answers with an array"
        if reply[0] == "GAP":
            return self._calls.side(part.entries, go_on=True)
        _, added, foreign = reply
        if foreign:
            self._note_foreign(str(foreign))
        for entry in part.entries[len(part.entries) - int(added) :]:
            self._count(entry.kind, 1, 1)
        return None

    def _count(self, channel: str, stored: int, offered: int) -> None:
        if stored:
            self._counters.add("data_collector_records_stored_total", stored, channel=channel)
        if offered > stored:
            self._counters.add("data_collector_records_known_total", offered - stored, channel=channel)

    def _declare(self, channel: str, gaps: list[Gap]) -> None:
        for gap in gaps:
            self._counters.add("data_collector_gaps_total", channel=channel, reason=gap.reason)
            self._counters.add("data_collector_gap_records_total", gap.count, channel=channel, reason=gap.reason)

    def _note_foreign(self, key: str) -> None:
        self._counters.add("data_collector_store_errors_total", kind=WRONG_TYPE)
        self.broken_keys[key] = f"{WRONG_TYPE} (somebody else uses it)"

    def _fail(self, call: Call, error: ReplyError) -> None:
        self._counters.add("data_collector_store_errors_total", kind=error.kind if error.kind in KINDS else "other")
        if error.kind == WRONG_TYPE:
            # The functions name the key: "WRONGTYPE latest:BTCUSDT is a string …".
            self.broken_keys[str(error).split(" ")[1]] = str(error)
            channel, count = _offered(call)
            self._counters.add("data_collector_records_unstorable_total", count, channel=channel)
            return
        # A promoted replica may lack the functions; opening again loads them. Whatever else the server says, the same
        # batch is written again after a pause, because stored records are known by their ids.
        assert self._connection is not None, "a reply came over it"
        self._connection.close()
        raise SinkUnavailable(f"The store at {self._address.place} refuses to write: {error}")


def _trade_tail(reply: list[object], epoch: object) -> TradeTail:
    """Of XINFO STREAM: names and values in turn; ids are `ms-trade id`. `epoch` is what its key holds, if it does."""
    info = dict(zip(reply[::2], reply[1::2], strict=True))
    last, first, newest = entry_id(info["last-generated-id"]), info["first-entry"], info["last-entry"]
    first_epoch, last_epoch = epoch_of_entry(first), epoch_of_entry(newest)
    if isinstance(epoch, str) and epoch.isdecimal():
        last_epoch = int(epoch)
    if not isinstance(first, list):
        first_id = last.number + 1
    else:
        first_id = entry_id(first[0]).number if first_epoch == last_epoch else 0
    stored_id = entry_id(newest[0]).number if isinstance(newest, list) else -1
    return TradeTail(first_id, last.number, last_epoch, last.ms, stored_id)


def _due_or_none(due_ms: int) -> int | None:
    """append_klines says -1 when it has nothing of a series."""
    return due_ms if due_ms >= 0 else None


def _explains(update: KlineUpdate, due_ms: int) -> bool:
    """Whether its gaps reach back to what the store must get next."""
    return bool(update.gaps) and 0 <= update.gaps[0].first <= due_ms < update.kline.open_ms


def _used_keys(call: Call) -> tuple[str | bytes | int, ...]:
    """Keys that a call which succeeded has found to be ours."""
    subject, command = call.subject, call.command
    match subject:
        case TradeRun():
            used = (*command[3:5], command[7])
            return used + (command[5:6] if any(call.gaps) else ()) + (command[6:7] if subject.refused else ())
        case KlinePart():
            return command[3:5]
        case NewestUpdate():
            return command[3 : 3 + int(command[2])]
        case SidePart():
            return command[4 : 4 + len(subject.entries)]
        case RevisedKline() | PastKline():
            return command[3:4]


def _offered(call: Call) -> tuple[str, int]:
    """Channel and number of the records in a call."""
    match call.subject:
        case TradeRun():
            return "trade", call.subject.count
        case KlinePart():
            return "kline", len(call.subject.updates)
        case NewestUpdate():
            return CHANNEL_OF[type(call.subject.record)], 1
        case SidePart():
            return "quarantine", len(call.subject.entries)
        case RevisedKline():
            return "late", 1
        case PastKline():
            return "kline", 1
