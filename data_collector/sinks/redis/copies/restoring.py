"""Copied keys on their way back into a store: looked at first, put there, and read again."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, assert_never

import msgspec

from data_collector.model.errors import Misconfigured, SinkUnavailable
from data_collector.sinks.redis.connection import Command, ReplyError, StoreConnection
from data_collector.sinks.redis.copies.copying import ENTRIES_PER_PAGE, KEYS_PER_PAGE, asked, scanned
from data_collector.sinks.redis.copies.lines import (
    NUMBER_MAX,
    SOURCE,
    TYPES,
    Begin,
    End,
    Fields,
    KeyType,
    Line,
    Raw,
    StreamHeld,
    SumOfEntries,
    Text,
    Value,
    decoded,
    encoded,
    owner_of,
    text_of,
)
from data_collector.sinks.redis.entries import entry_id
from data_collector.sinks.redis.suitability import BROKEN_OFF

COMMANDS_MAX = 500
"""Under way at once."""

GROUPS_MAX = 10_000
NEVER: Final = "0-0"
_ID = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")
_EXPIRES_MS_MAX = 2**53


class LineFault(ValueError):
    """What is wrong with a line."""


class LineCheck:
    """Looks at the lines of a copy, one after the other, before any of them is put anywhere."""

    def __init__(self, prefixes: Mapping[str, str]) -> None:
        """`prefixes` are those of the exchanges that the copy may be of."""
        self._prefixes = prefixes
        self._stream: str | None = None
        self._sum = SumOfEntries("")
        self._last = NEVER
        self.streams: dict[str, StreamHeld] = {}
        """By key."""
        self.sources: dict[str, str] = {}
        """Exchange to what its keys were filled from."""

    def take(self, line: bytes) -> Line:
        """The next one. Raises `LineFault`."""
        try:
            found = decoded(line)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise LineFault(f"it is none of ours ({error})") from error
        if isinstance(found, list):
            self._take_entry(found, line)
        elif isinstance(found, End):
            self._take_end(found)
        else:
            self._take_key(found)
        return found

    def end(self) -> None:
        """There are no more. Raises `LineFault`."""
        if self._stream is not None:
            raise LineFault(f"the stream {self._stream} has no end")

    def _take_key(self, found: Begin | Value | Fields) -> None:
        if self._stream is not None:
            raise LineFault(f"{found.key} begins within {self._stream}")
        of_type: KeyType = "stream" if isinstance(found, Begin) else "hash" if isinstance(found, Fields) else "string"
        known = owner_of(found.key, self._prefixes)
        if known is None or TYPES[known[1]] != of_type:
            raise LineFault(f"{found.key!r} is no {of_type} of ours")
        if isinstance(found, Begin):
            if found.key in self.streams:
                raise LineFault(f"the stream {found.key} comes twice")
            self._stream, self._sum, self._last = found.key, SumOfEntries(known[1]), NEVER
        elif isinstance(found, Fields):
            if not found.fields or len(found.fields) % 2:
                raise LineFault(f"{found.key} has names without values")
        else:
            if found.expires_ms is not None and not 0 < found.expires_ms < _EXPIRES_MS_MAX:
                raise LineFault(f"{found.key} expires at no time")
            if known[1] == SOURCE:
                self.sources[known[0].exchange] = str(found.value)

    def _take_entry(self, entry: Sequence[Text], line: bytes) -> None:
        if self._stream is None:
            raise LineFault("an entry is in no stream")
        number = entry[0] if entry else ""
        if not isinstance(number, str) or not _is_id(number) or len(entry) < 3 or len(entry) % 2 == 0:
            raise LineFault(f"{self._stream} has what is no entry")
        if entry_id(number) <= entry_id(self._last):
            raise LineFault(f"{self._stream} has the entry {number} behind {self._last}")
        self._last = number
        self._sum.add(entry, line)

    def _take_end(self, end: End) -> None:
        if self._stream is None:
            raise LineFault("a stream ends that did not begin")
        ids = (end.last, end.deleted, *(place for _, place in end.groups))
        if not all(map(_is_id, ids)) or entry_id(end.last) < max(map(entry_id, (self._last, end.deleted))):
            raise LineFault(f"{self._stream} ends before its entries do")
        if not self._sum.held.entries <= end.added <= NUMBER_MAX // 2 or len(end.groups) > GROUPS_MAX:
            raise LineFault(f"{self._stream} cannot have had {end.added} entries")
        self.streams[self._stream] = self._sum.end()
        self._stream = None


class KeyRestorer:
    """Puts lines that were looked at into a store that has none of our keys.

    Methods raise `SinkUnavailable`, and `Misconfigured` where the store refuses.
    """

    def __init__(self, connection: StoreConnection, prefixes: Mapping[str, str], now_ms: int) -> None:
        """What has expired by `now_ms` is left out; `connection` keeps bytes that are no text."""
        self._connection = connection
        self._prefixes = prefixes
        self._now_ms = now_ms
        self._stream = ""
        self._entries = 0
        self._commands: list[Command] = []
        self.expired = 0
        """Keys that were left out."""
        self.has_begun = False

    async def is_empty(self) -> bool:
        """Whether no key of ours is there."""
        async for page in scanned(self._connection):
            if any(owner_of(name, self._prefixes) is not None for name in page):
                return False
        return True

    async def others(self) -> list[str]:
        """Addresses of collectors, and of commands of ours, that are connected; none where we may not ask."""
        mine, listed = await self._connection.execute([("CLIENT", "ID"), ("CLIENT", "LIST")])
        if not isinstance(listed, str):
            return []
        clients = [dict(pair.partition("=")[::2] for pair in line.split()) for line in listed.splitlines()]
        named = [client for client in clients if client.get("name") == "data-collector"]
        return [client.get("addr", "") for client in named if client.get("id") != str(mine)]

    async def begin(self) -> None:
        """From now on no collector takes the store for one that can be used."""
        self.has_begun = True
        commands: list[Command] = [("SET", f"{prefix}{SOURCE}", BROKEN_OFF) for prefix in self._prefixes.values()]
        await self._put(commands)

    async def finish(self, sources: Mapping[str, str]) -> None:
        """All is there."""
        commands: list[Command] = []
        for exchange, prefix in self._prefixes.items():
            key, source = f"{prefix}{SOURCE}", sources.get(exchange)
            commands.append(("DEL", key) if source is None else ("SET", key, source))
        await self._put(commands)

    async def clear(self, *, keep_sources: bool = False) -> None:
        """Throw away every key of ours, but for those that say where the others are from if so wished."""
        kept = {f"{prefix}{SOURCE}" for prefix in self._prefixes.values() if keep_sources}
        async for page in scanned(self._connection):
            ours = [name for name in page if owner_of(name, self._prefixes) is not None and name not in kept]
            if ours:
                await self._put([("UNLINK", *ours)])

    async def put(self, line: Line) -> None:
        """The next line; what it says is in the store after `flush`."""
        match line:
            case Begin():
                self._stream, self._entries = line.key, 0
            case End():
                self._end_stream(line)
            case Value():
                self._put_value(line)
            case Fields():
                self._commands.append(("HSET", line.key, *map(_argument, line.fields)))
            case list():
                self._entries += 1
                self._commands.append(("XADD", self._stream, *map(_argument, line)))
            case _:
                assert_never(line)
        if len(self._commands) >= COMMANDS_MAX:
            await self.flush()

    async def flush(self) -> None:
        """Have the store take what waits."""
        commands, self._commands = self._commands, []
        await self._put(commands)

    def _end_stream(self, end: End) -> None:
        key = self._stream
        if not self._entries and end.last != NEVER:
            # A stream of which all entries are gone goes on behind them.
            self._commands += [("XADD", key, "0-1", "x", "x"), ("XDEL", key, "0-1")]
        if self._entries or end.last != NEVER:
            deleted = ("MAXDELETEDID", end.deleted)
            self._commands.append(("XSETID", key, end.last, "ENTRIESADDED", max(end.added, 1), *deleted))
        self._commands += [("XGROUP", "CREATE", key, name, place, "MKSTREAM") for name, place in end.groups]

    def _put_value(self, value: Value) -> None:
        known = owner_of(value.key, self._prefixes)
        if known is None or known[1] == SOURCE:
            # That comes last.
            return
        if value.expires_ms is None:
            self._commands.append(("SET", value.key, _argument(value.value)))
        elif value.expires_ms > self._now_ms:
            self._commands.append(("SET", value.key, _argument(value.value), "PXAT", value.expires_ms))
        else:
            self.expired += 1

    async def _put(self, commands: Sequence[Command]) -> None:
        for command, reply in zip(commands, await self._connection.execute(commands), strict=True):
            if isinstance(reply, ReplyError):
                kind = SinkUnavailable if reply.kind in {"OOM", "LOADING", "MISCONF"} else Misconfigured
                raise kind(f"The store refuses {command[0]!s} {command[1]!s}: {reply}")


class KeyComparison:
    """Reads what was put into a store again. Methods raise as those of `KeyRestorer`."""

    def __init__(self, connection: StoreConnection, prefixes: Mapping[str, str]) -> None:
        self._connection = connection
        self._prefixes = prefixes
        self._waiting: list[Value | Fields] = []
        self.differing: list[str] = []
        """Keys that hold something else than the copy."""

    async def take(self, line: Line) -> None:
        """The next line."""
        if isinstance(line, Fields) or (isinstance(line, Value) and not self._is_source(line.key)):
            self._waiting.append(line)
        if len(self._waiting) >= KEYS_PER_PAGE:
            await self.flush()

    async def flush(self) -> None:
        """Compare what waits."""
        waiting, self._waiting = self._waiting, []
        commands: list[Command] = [("GET" if isinstance(each, Value) else "HGETALL", each.key) for each in waiting]
        commands.append(("TIME",))
        *replies, time = await asked(self._connection, commands)
        now_ms = int(str(time[0])) * 1000 + 1000 if isinstance(time, list) else 0
        for line, reply in zip(waiting, replies, strict=True):
            if isinstance(line, Fields):
                told = [text_of(str(each)) for each in reply] if isinstance(reply, list) else []
                is_equal = _pairs(told) == _pairs(line.fields)
            else:
                is_gone = reply is None and line.expires_ms is not None and line.expires_ms <= now_ms
                is_equal = is_gone or (isinstance(reply, str) and text_of(reply) == line.value)
            if not is_equal:
                self.differing.append(line.key)

    async def compare_stream(self, key: str, held: StreamHeld) -> None:
        """Against what was looked at."""
        known = owner_of(key, self._prefixes)
        total = SumOfEntries("" if known is None else known[1])
        start = "-"
        while True:
            (reply,) = await asked(self._connection, [("XRANGE", key, start, "+", "COUNT", ENTRIES_PER_PAGE)])
            page = msgspec.convert(reply, list[tuple[str, list[str]]])
            for number, values in page:
                entry = [number, *map(text_of, values)]
                total.add(entry, encoded(entry))
                start = f"({number}"
            if len(page) < ENTRIES_PER_PAGE:
                break
        if total.end() != held:
            self.differing.append(key)

    def _is_source(self, key: str) -> bool:
        known = owner_of(key, self._prefixes)
        return known is not None and known[1] == SOURCE


def _argument(text: Text) -> str | bytes:
    return text.content if isinstance(text, Raw) else text


def _pairs(fields: Sequence[Text]) -> dict[Text, Text]:
    return dict(zip(fields[::2], fields[1::2], strict=False))


def _is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None and max(entry_id(text)) <= NUMBER_MAX
