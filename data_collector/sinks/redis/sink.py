"""Writes batches into a Redis-compatible store, exactly once (docs/semantics.md).

Life cycle: the service calls `open` at start (and after every `SinkUnavailable`, by way of `write`, which reconnects
by itself), the pump calls `write` with one batch after the other, `close` ends it. One batch is under way at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
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
from data_collector.sinks.redis.former_epochs import end_of_epoch
from data_collector.sinks.redis.functions import TRADES_END, check_rights, load_functions, with_rights
from data_collector.sinks.redis.groups import GroupPlace, group_places
from data_collector.sinks.redis.not_ours import WRONG_TYPE, NotOurs, is_of_its_keys, offered, used_keys
from data_collector.sinks.redis.replies import due_or_none, explains, is_refused, trade_tail
from data_collector.sinks.redis.stored_records import due_open_ms, epoch_number
from data_collector.sinks.redis.suitability import check_store, claim_store, unsuited

ROUNDS_MAX = 8
"""A hole takes two rounds; each further one means that another writer moved the tail in between."""

KINDS = frozenset({
    "BUSY", "CLUSTERDOWN", "ERR", "FOREIGN", "LOADING", "MASTERDOWN", "MISCONF", "MOVED", "NOAUTH", "NOPERM",
    "NOREPLICAS", "OOM", "READONLY", "TRYAGAIN", WRONG_TYPE,
})  # fmt: skip
"""Labels of the error metric; any other first word counts as `other`."""

AHEAD_MAX = 100_000
"""A second collector is ahead by less; a store that is ahead by more was filled from another market."""

CLAIM_S = 5.0
"""How often the store is claimed anew, and looked at: it may have been wiped, or set otherwise."""

TAILS_PER_CALL = 500
"""Symbols asked about at a time."""

UNCLOSED = 3
"""An open kline was stored, and more than the one before it has not closed: that says nothing of the state."""

BRIDGED = 2
"""append_klines' answer for a record before which a hole was declared."""

STRANGE_STATE = -1
"""append_klines' answer for a record of an interval whose state somebody else has written."""


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
        self.unsuited: str | None = None
        """For health too: somebody has changed a setting of the store since it was opened."""
        self.broken_keys = NotOurs(calls.keys)
        """For health: somebody else uses a key of ours, or wrote into it."""
        self.sides: Callable[[], Sequence[str]] = tuple
        """Keys of the streams beside the records; they are looked at, since nothing may be written to them for days."""

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

    @property
    def silent_s(self) -> float:
        """How long the store has owed an answer."""
        return 0.0 if self._connection is None else self._connection.silent_s

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
            try:
                settled = [self._settle(call, reply) for call, reply in zip(calls, replies, strict=True)]
            except (TypeError, ValueError, IndexError) as error:
                # Other than ours have it: what was stored is found out by writing it again.
                connection.distrust(f"a function was answered with something else: {error}")
            calls = [again for again in settled if again]
            if not calls:
                return list(self._behind.values())
        raise SinkUnavailable("Other writers keep moving the store's tail; trying again.")

    async def tails(self, symbols: Sequence[str]) -> dict[str, TradeTail | None]:
        """What the store has of each symbol; see the protocol."""
        connection = await self.connected()
        keys, tails = self._keys, dict[str, TradeTail | None]()
        for start in range(0, len(symbols), TAILS_PER_CALL):
            part = symbols[start : start + TAILS_PER_CALL]
            asked: list[Command] = [
                (
                    "FCALL", TRADES_END, 3, keys.key("trades", name), keys.key("gaps", name), keys.epoch(name),
                    self._address.database,
                )
                for name in part
            ]  # fmt: skip
            for symbol, reply in zip(part, await connection.execute(asked), strict=True):
                if isinstance(reply, ReplyError):
                    if not is_of_its_keys(reply):
                        raise SinkUnavailable(f"The store at {self._address.place} does not tell its tails: {reply}")
                    self.broken_keys.note(keys.key("trades", symbol), reply)
                    tails[symbol] = None
                    continue
                if not isinstance(reply, list):
                    connection.distrust(f"a function was answered with {str(reply)[:40]!r}")
                if reply[:1] == ["FOREIGN"]:
                    self.broken_keys.note_stranger(symbol, str(reply[-1]))
                    tails[symbol] = None
                    continue
                self.broken_keys.forget((keys.key("trades", symbol), keys.epoch(symbol)))
                if reply:
                    try:
                        tails[symbol] = trade_tail(reply)
                    except ValueError as error:
                        connection.distrust(f"a function was answered with something else: {error}")
        return tails

    async def epoch_orders(self, symbols: Sequence[str]) -> dict[str, int]:
        """Symbols of which an operator wants this epoch to end; not to be called beside `write`.

        Raises `SinkUnavailable`.
        """
        connection = await self.connected()
        replies = await connection.execute([("GET", self._keys.epoch_order(symbol)) for symbol in symbols])
        found = zip(symbols, map(epoch_number, replies), strict=True)
        return {symbol: epoch for symbol, epoch in found if epoch is not None}

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

    async def kline_cursors(self, symbols: Sequence[str], intervals: Sequence[str], now_ms: int) -> dict[Key, int]:
        """The open time that the store must get next, of each symbol and interval that it has closed klines of.

        `now_ms` is the exchange's time, as far as it is known. Raises `SinkUnavailable`. To be called before the first
        `write` of a collection, not beside one.
        """
        connection = await self.connected()
        replies = await connection.execute([("HMGET", self._keys.cursors(symbol), *intervals) for symbol in symbols])
        cursors: dict[Key, int] = {}
        for symbol, reply in zip(symbols, replies, strict=True):
            # A key of another type is told when something is to be written.
            states = reply if isinstance(reply, list) else []
            for interval, state in zip(intervals, states, strict=False):
                if state is None:
                    continue
                due_ms = due_open_ms(state, now_ms)
                if due_ms is None or (due_ms >= 0 and not self._calls.calendar.is_open_time(interval, due_ms)):
                    self.broken_keys.note_state(symbol, interval)
                elif due_ms >= 0:
                    cursors[Key("kline", symbol, interval)] = due_ms
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
            self.unsuited = await unsuited(connection, self._address, expected_bytes=self._expected_bytes)
            for key in await self.broken_keys.look(connection, self.sides()):
                self._note_foreign(key)

    def _settle(self, call: Call, reply: object) -> Call | None:
        """Count what was stored; return the call to make instead when something is missing before it."""
        if isinstance(reply, ReplyError):
            self._fail(call, reply)
            return None
        subject = call.subject
        if self.broken_keys:
            refused = isinstance(subject, TradeRun) and is_refused(reply)
            # What is refused was not found to be ours, but for the epoch, which is looked at first.
            self.broken_keys.forget(call.command[7:8] if refused else used_keys(call))
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
        if not isinstance(reply, list):
            raise TypeError("append_trades answers with an array")
        symbol = run.symbol
        if reply[0] == "GAP":
            return self._settle_gap(call, run, int(reply[1]), int(reply[2]))
        if reply[0] == "FOREIGN":
            self._counters.add("data_collector_store_errors_total", kind="FOREIGN")
            self.broken_keys.note_stranger(symbol, str(reply[1]))
            self._block(run)
            return None
        outcome, tail, added, bridged, *foreign = reply
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

    def _block(self, run: TradeRun) -> None:
        """Nothing of the symbol can be stored."""
        key = Key("trade", run.symbol)
        self._behind.setdefault(key, Behind(key, run.first_id, run.epoch, blocked=True))

    def _settle_klines(self, call: Call, part: KlinePart, reply: object) -> Call | None:
        if not isinstance(reply, list):
            raise TypeError("append_klines answers with an array")
        due: dict[str, int] = {}
        again: list[KlineUpdate] = []
        for update, gaps, outcome in zip(part.updates, call.gaps, reply, strict=True):
            if isinstance(outcome, str):
                interval = update.kline.interval
                key = Key("kline", update.kline.symbol, interval)
                if interval not in due:
                    due[interval] = int(outcome)
                    if not explains(update, int(outcome)):
                        self._behind.setdefault(key, Behind(key, due_or_none(int(outcome))))
                if key not in self._behind:
                    again.append(update)
                continue
            if outcome == STRANGE_STATE:
                self._counters.add("data_collector_records_unstorable_total", channel="kline")
                self.broken_keys.note_state(update.kline.symbol, update.kline.interval)
                continue
            if self.broken_keys and outcome != UNCLOSED:
                self.broken_keys.forget_state(update.kline.symbol, update.kline.interval)
            self._count("kline", int(outcome > 0), 1)
            if outcome == BRIDGED:
                self._declare("kline", gaps)
        return self._calls.klines(again, due=due) if again else None

    def _settle_side(self, part: SidePart, reply: object) -> Call | None:
        if not isinstance(reply, list):
            raise TypeError("append_once answers with an array")
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
        self.broken_keys.note_side(key)

    def _fail(self, call: Call, error: ReplyError) -> None:
        self._counters.add("data_collector_store_errors_total", kind=error.kind if error.kind in KINDS else "other")
        if is_of_its_keys(error):
            self.broken_keys.note(str(call.command[3]), error)
            if isinstance(call.subject, TradeRun):
                self._block(call.subject)
                return
            channel, count = offered(call)
            self._counters.add("data_collector_records_unstorable_total", count, channel=channel)
            return
        # A promoted replica may lack the functions; opening again loads them. Whatever else the server says, the same
        # batch is written again after a pause, because stored records are known by their ids.
        assert self._connection is not None, "a reply came over it"
        self._connection.close()
        raise SinkUnavailable(f"The store at {self._address.place} refuses to write: {error}")
