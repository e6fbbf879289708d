"""Our keys as lines of JSON, read out of a store that is being written to.

What belongs together is copied as it was at one moment: where each stream of a symbol ends, and its state (epoch, what
each series of klines must get next, newest price), are read in one transaction, and the streams up to those ends after
it. They only grow, so the state never says more than the streams hold. Klines under keys of their own are read last,
because one that is older than the state would stay as it is for ever.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

import msgspec
from msgspec import Struct, field

from data_collector.model.errors import Misconfigured, SinkUnavailable
from data_collector.sinks.redis.connection import Command, ReplyError, StoreConnection
from data_collector.sinks.redis.copies.lines import (
    KLINE,
    NUMBER_MAX,
    ORIGIN,
    SOURCE,
    STATE,
    STREAMS,
    TYPES,
    Begin,
    End,
    Fields,
    Owner,
    StreamHeld,
    SumOfEntries,
    Value,
    encoded,
    owner_of,
    text_of,
)
from data_collector.sinks.redis.entries import entry_id

ENTRIES_PER_PAGE = 500
"""Quarantined frames may have some hundred KiB each."""

KEYS_PER_PAGE = 1000
RESTARTS_MAX = 5
"""Of a stream that is trimmed beyond what has been read of it."""

SYMBOLS_MAX = 100_000
"""Exchanges have some thousands."""


class Lines(Protocol):
    """Where lines go."""

    async def write(self, lines: bytes) -> None:
        """Behind all before."""

    def mark(self) -> object:
        """Where it is now."""

    async def rewind(self, mark: object) -> None:
        """Throw away what was written since."""


class SymbolHeld(Struct, kw_only=True):
    """What a copy holds of a symbol."""

    exchange: str
    symbol: str
    epoch: str | None = None
    """Of the newest trades; None where no key tells it."""
    streams: dict[str, StreamHeld] = field(default_factory=dict)
    """By kind of key."""


class KeyCopier:
    """Reads the keys of exchanges. Methods raise `SinkUnavailable`, and `Misconfigured` where the store refuses."""

    def __init__(self, connection: StoreConnection, prefixes: Mapping[str, str], lines: Lines) -> None:
        """`connection` keeps bytes that are no text (`errors="surrogateescape"`); `prefixes` are those of exchanges."""
        self._connection = connection
        self._prefixes = prefixes
        self._lines = lines
        self.foreign: list[str] = []
        """Keys that have a name of ours, and hold what is none of ours."""

    async def owners(self) -> list[Owner]:
        """Whose keys there are, in order; an exchange has an owner without a symbol where its source is told."""
        found: set[Owner] = set()
        async for page in scanned(self._connection):
            known = [owner_of(name, self._prefixes) for name in page]
            found |= {each[0] for each in known if each is not None and each[1] not in (KLINE, ORIGIN)}
            if len(found) > SYMBOLS_MAX:
                raise Misconfigured(f"The store holds keys of more than {SYMBOLS_MAX:,} symbols: is it all ours?")
        return sorted(found)

    async def copy_source(self, exchange: str) -> str | None:
        """What an exchange's keys were filled from."""
        key = f"{self._prefixes[exchange]}{SOURCE}"
        (reply,) = await self._asked([("GET", key)])
        if not isinstance(reply, str):
            return None
        await self._lines.write(encoded(Value(key, text_of(reply))))
        return reply

    async def copy_symbol(self, owner: Owner) -> SymbolHeld:
        """Streams and state of a symbol."""
        prefix = self._prefixes[owner.exchange]
        names = {kind: f"{prefix}{kind}:{owner.symbol}" for kind in (*STREAMS, *STATE)}
        held = SymbolHeld(exchange=owner.exchange, symbol=owner.symbol)
        quarantine = _StreamCopy(self._connection, self._lines, STREAMS[0], names[STREAMS[0]])
        await quarantine.begin()
        commands: list[Command] = [("XINFO", "STREAM", names[kind]) for kind in STREAMS]
        commands += [("XINFO", "GROUPS", names[kind]) for kind in STREAMS]
        commands += [("GET" if TYPES[kind] == "string" else "HGETALL", names[kind]) for kind in STATE]
        replies = await self._at_once(commands)
        await self._end_stream(held, quarantine, replies[0], replies[len(STREAMS)])
        for place, kind in enumerate(STREAMS[1:], start=1):
            copy = _StreamCopy(self._connection, self._lines, kind, names[kind])
            await self._end_stream(held, copy, replies[place], replies[len(STREAMS) + place])
        for kind, reply in zip(STATE, replies[2 * len(STREAMS) :], strict=True):
            await self._copy_state(held, kind, names[kind], reply)
        return held

    async def copy_klines(self) -> int:
        """Every kline that has a key of its own, with what stands beside it; how many."""
        count = 0
        async for page in scanned(self._connection):
            known = [(name, owner_of(name, self._prefixes)) for name in page]
            klines = [(name, found[0]) for name, found in known if found is not None and found[1] == KLINE]
            count += await self._copy_page(klines)
        return count

    async def _copy_page(self, klines: Sequence[tuple[str, Owner]]) -> int:
        commands: list[Command] = []
        pairs = []
        for name, owner in klines:
            origin = f"{self._prefixes[owner.exchange]}{ORIGIN}:{owner.symbol}"
            pairs.append((name, origin))
            commands += [("MGET", name, origin), ("PEXPIRETIME", name), ("PEXPIRETIME", origin)]
        replies = iter(await self._asked(commands))
        lines: list[bytes] = []
        count = 0
        for pair, values, *times in zip(pairs, replies, replies, replies, strict=True):
            found = values if isinstance(values, list) else []
            if not found or found[0] is None:
                # It has expired meanwhile, or is none of ours.
                continue
            count += 1
            for name, value, expires in zip(pair, found, times, strict=True):
                if isinstance(value, str) and isinstance(expires, int) and expires != GONE:
                    lines.append(encoded(Value(name, text_of(value), expires if expires >= 0 else None)))
        await self._lines.write(b"".join(lines))
        return count

    async def _copy_state(self, held: SymbolHeld, kind: str, name: str, reply: object) -> None:
        if isinstance(reply, ReplyError):
            self.foreign.append(name)
        elif isinstance(reply, str):
            if kind == "collector:epoch":
                held.epoch = reply[:32]
            await self._lines.write(encoded(Value(name, text_of(reply))))
        elif isinstance(reply, list) and reply:
            await self._lines.write(encoded(Fields(name, [text_of(str(each)) for each in reply])))

    async def _end_stream(self, held: SymbolHeld, copy: _StreamCopy, facts: object, groups: object) -> None:
        if isinstance(facts, ReplyError):
            await copy.forget()
            if facts.kind == "WRONGTYPE":
                self.foreign.append(copy.key)
            return
        told = _facts(facts)
        places = await self._group_places(copy.key, groups)
        held.streams[copy.kind] = await copy.finish(End(told["last"], int(told["added"]), told["deleted"], places))

    async def _group_places(self, key: str, groups: object) -> list[tuple[str, str]]:
        found = []
        for group in groups if isinstance(groups, list) else []:
            told = dict(zip(map(str, group[::2]), group[1::2], strict=False))
            name, place = str(told["name"]), str(told["last-delivered-id"])
            (pending,) = await self._asked([("XPENDING", key, name)])
            first = pending[1] if isinstance(pending, list) and len(pending) > 1 else None
            if first is not None and entry_id(first) <= entry_id(place):
                place = before(str(first))
            found.append((name, place))
        return found

    async def _at_once(self, commands: Sequence[Command]) -> list[object]:
        *_, replies = await self._asked([("MULTI",), *commands, ("EXEC",)])
        if not isinstance(replies, list) or len(replies) != len(commands):
            self._connection.distrust(f"EXEC was answered with {str(replies)[:40]!r}")
        return replies

    async def _asked(self, commands: Sequence[Command]) -> list[object]:
        return await asked(self._connection, commands)


GONE = -2
"""What PEXPIRETIME answers for a key that is not there."""


class _StreamCopy:
    """One stream on its way into lines."""

    def __init__(self, connection: StoreConnection, lines: Lines, kind: str, key: str) -> None:
        self._connection = connection
        self._lines = lines
        self.kind = kind
        self.key = key
        self._mark = lines.mark()
        self._sum = SumOfEntries(kind)
        self._read: str | None = None
        """The last entry; None before the first page."""

    async def begin(self) -> None:
        """Copy all that there is now."""
        (found,) = await asked(self._connection, [("TYPE", self.key)])
        if found == "stream":
            await self._copy_to("+")

    async def finish(self, end: End) -> StreamHeld:
        """Copy what is up to the end, and tell the sum."""
        await self._copy_to(end.last)
        if self._read is None:
            await self._lines.write(encoded(Begin(self.key)))
        await self._lines.write(encoded(end))
        return self._sum.end()

    async def forget(self) -> None:
        """It is not there any more."""
        if self._read is not None:
            await self._lines.rewind(self._mark)

    async def _copy_to(self, last: str) -> None:
        for _ in range(RESTARTS_MAX):
            if await self._copied_to(last):
                return
            await self._lines.rewind(self._mark)
            self._sum, self._read = SumOfEntries(self.kind), None
        raise SinkUnavailable(
            f"The store throws entries of {self.key} away faster than they are read: try again, or raise its setting "
            "(docs/settings.md)."
        )

    async def _copied_to(self, last: str) -> bool:
        """False where the stream was trimmed beyond what had been read: a hole would look like lost records."""
        while True:
            start = "-" if self._read is None else f"({self._read}"
            page, oldest = await asked(
                self._connection,
                [
                    ("XRANGE", self.key, start, last, "COUNT", ENTRIES_PER_PAGE),
                    ("XRANGE", self.key, "-", "+", "COUNT", 1),
                ],
            )
            first = _entries(oldest, self.key)
            if self._read is not None and (not first or entry_id(first[0][0]) > entry_id(self._read)):
                return False
            entries = _entries(page, self.key)
            if entries and self._read is None:
                await self._lines.write(encoded(Begin(self.key)))
            lines = []
            for number, values in entries:
                entry = [number, *map(text_of, values)]
                lines.append(encoded(entry))
                self._sum.add(entry, lines[-1])
                self._read = number
            await self._lines.write(b"".join(lines))
            if len(entries) < ENTRIES_PER_PAGE:
                return True


def before(number: str) -> str:
    """The greatest id below one."""
    ms, place = entry_id(number)
    if place:
        return f"{ms}-{place - 1}"
    return f"{ms - 1}-{NUMBER_MAX}" if ms else "0-0"


async def scanned(connection: StoreConnection) -> AsyncIterator[list[str]]:
    """The names of all keys, in pages; one may come twice. Raises as `KeyCopier`."""
    cursor = "0"
    while True:
        (reply,) = await asked(connection, [("SCAN", cursor, "COUNT", KEYS_PER_PAGE)])
        cursor, names = msgspec.convert(reply, tuple[str, list[str]])
        # A name that is no text is none of ours.
        yield [name for name in names if name.isprintable()]
        if cursor == "0":
            return


async def asked(connection: StoreConnection, commands: Sequence[Command]) -> list[object]:
    """All replies; of reads that a key's type or absence refuses, the refusal is one. Raises as `KeyCopier`."""
    replies = await connection.execute(commands)
    for command, reply in zip(commands, replies, strict=True):
        if isinstance(reply, ReplyError) and reply.kind in {"NOPERM", "NOAUTH", "EXECABORT"}:
            raise Misconfigured(f"The store refuses {command[0]!s}: {reply} A backup reads with it.")
        if isinstance(reply, ReplyError) and reply.kind not in {"WRONGTYPE", "ERR"}:
            raise SinkUnavailable(f"The store refuses {command[0]!s} now: {reply}")
    return replies


def _entries(reply: object, key: str) -> list[tuple[str, list[str]]]:
    """Ids with names and values in turn. Raises `SinkUnavailable`."""
    try:
        return msgspec.convert(reply, list[tuple[str, list[str]]])
    except msgspec.ValidationError as error:
        raise SinkUnavailable(f"What the store has read of {key} are no entries of a stream: {reply!s:.80}") from error


def _facts(reply: object) -> dict[str, str]:
    """What XINFO STREAM tells."""
    pairs = reply if isinstance(reply, list) else []
    told = {str(name): str(value) for name, value in zip(pairs[::2], pairs[1::2], strict=False)}
    try:
        return {
            "last": told["last-generated-id"],
            "added": told["entries-added"],
            "deleted": told["max-deleted-entry-id"],
        }
    except KeyError as error:
        raise Misconfigured(
            f"The store's XINFO STREAM does not tell {error}: Redis 7 or Valkey 7.2 is the oldest that works."
        ) from None
