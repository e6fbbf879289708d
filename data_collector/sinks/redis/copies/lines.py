"""What a copy of our keys is made of: lines of JSON, and the sums over the entries of a stream."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec
from msgspec import Struct

from data_collector.sinks.redis.entries import entry_id

KeyType = Literal["stream", "string", "hash"]

TYPES: Final[Mapping[str, KeyType]] = {
    "quarantine": "stream", "trades": "stream", "stream": "stream", "quotes": "stream", "gaps": "stream",
    "late": "stream", "latest": "hash", "quote": "hash", "kline": "string", "collector:source": "string",
    "collector:epoch": "string", "collector:klines": "hash", "collector:origin": "string",
}  # fmt: skip
"""What is copied of an exchange, by what a key's name begins with. What a writer notes for itself (`collector:writer:`)
and orders that are being waited for (`collector:epoch_order:`) mean nothing to another process."""

SOURCE: Final = "collector:source"
KLINE: Final = "kline"
ORIGIN: Final = "collector:origin"

STREAMS: Final = tuple(kind for kind, found in TYPES.items() if found == "stream")
"""Quarantine first: what is replayed out of it meanwhile is then in the copy of one of both."""

STATE: Final = tuple(kind for kind, found in TYPES.items() if found != "stream" and kind not in (KLINE, ORIGIN, SOURCE))

NUMBER_MAX = 2**64 - 1
"""Behind the dash of an entry's id."""

LINE_BYTES_MAX = 64 * 1024 * 1024
"""A quarantined frame as JSON; frames have bounds of their own, far below."""


class Raw(Struct, tag="raw", tag_field="is", frozen=True):
    """Bytes that are no UTF-8."""

    content: bytes


Text = str | Raw


class Begin(Struct, tag="stream", tag_field="is"):
    """Entries of this stream follow, each as its id, names and values."""

    key: str


class End(Struct, tag="end", tag_field="is"):
    """Of the stream that was begun."""

    last: str
    """The last id that was ever given."""
    added: int
    """How many entries it ever got."""
    deleted: str
    """The greatest id that was taken out one by one."""
    groups: list[tuple[str, str]]
    """Consumer groups, and behind which entry each goes on: before the first that it has not acknowledged."""


class Value(Struct, tag="string", tag_field="is"):
    """A key that holds a text."""

    key: str
    value: Text
    expires_ms: int | None = None
    """When it goes, in ms since 1970 UTC."""


class Fields(Struct, tag="hash", tag_field="is"):
    """A key that holds names and values, in turn."""

    key: str
    fields: list[Text]


Line = Begin | End | Value | Fields | list[Text]

_decoder: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)


class StreamHeld(Struct, kw_only=True):
    """What a copy holds of a stream."""

    entries: int = 0
    first: str | None = None
    """Ids of the first and the last entry."""
    last: str | None = None
    missing: int = 0
    """Of trades: ids between the first and the last of an epoch that are not there. `gaps:` says why."""
    sha256: str = ""
    """Of the entries' lines."""


class Owner(Struct, frozen=True, order=True):
    """Whose keys they are."""

    exchange: str
    symbol: str


def encoded(line: Line) -> bytes:
    """As one line of a file."""
    return msgspec.json.encode(line) + b"\n"


def decoded(line: bytes) -> Line:
    """Raises `msgspec.MsgspecError`, or `RecursionError`."""
    return _decoder.decode(line)


def text_of(text: str) -> Text:
    """A reply's text, in which bytes that are no UTF-8 stand as lone surrogates."""
    if text.isascii():
        return text
    raw = text.encode(errors="surrogateescape")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return Raw(raw)


def owner_of(name: str, prefixes: Mapping[str, str]) -> tuple[Owner, str] | None:
    """Whose a key is and of which of `TYPES`; None for what is not copied. `prefixes` are those of exchanges."""
    for exchange, prefix in sorted(prefixes.items(), key=lambda pair: -len(pair[1])):
        if name.startswith(prefix):
            kind, _, symbol = name.removeprefix(prefix).partition(":")
            if kind == "collector":
                own, _, symbol = symbol.partition(":")
                kind = f"collector:{own}"
            if kind in TYPES and (symbol != "") != (kind == SOURCE):
                return Owner(exchange, symbol), kind
            return None
    return None


class SumOfEntries:
    """Counts and digests the entries of one stream."""

    def __init__(self, kind: str) -> None:
        self._is_of_trades = kind == "trades"
        self._digest = hashlib.sha256()
        self._before = (-1, "")
        self.held = StreamHeld()

    def add(self, entry: Sequence[Text], line: bytes) -> None:
        """The next one."""
        number = str(entry[0])
        self._digest.update(line)
        held = self.held
        held.entries, held.first, held.last = held.entries + 1, held.first or number, number
        if self._is_of_trades:
            trade_id, epoch = (
                entry_id(number).number,
                str(dict(zip(entry[1::2], entry[2::2], strict=False)).get("epoch")),
            )
            id_before, epoch_before = self._before
            if held.entries > 1 and epoch == epoch_before:
                held.missing += max(0, trade_id - id_before - 1)
            self._before = (trade_id, epoch)

    def end(self) -> StreamHeld:
        """All of them."""
        self.held.sha256 = self._digest.hexdigest()
        return self.held
