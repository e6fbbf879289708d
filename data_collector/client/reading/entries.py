"""Entries of streams out of whatever a user's Redis client makes of them, and the records that they hold.

Clients differ by `decode_responses`, by protocol (version 3 answers with a dict and nests once more) and by library.
Anybody with a login can write into a stream: what is no record of ours is None here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeVar, get_args

import msgspec
from msgspec import Struct, structs

from data_collector.client.errors import StoreAway
from data_collector.client.records import Aware, Kline, Revision, Trade, Why, ms_of
from data_collector.model.calendar import INTERVALS, TIMES_END_MS
from data_collector.model.gaps import Gap, GapReason
from data_collector.model.records import known_origin, known_rules

Text = str | bytes

Entry = tuple[Text, Text, Mapping[str, str] | None]
"""Id, the field `data`, and the other fields where there are any."""

Record = TypeVar("Record", Kline, Trade)

NO_RECORD: Final = (msgspec.MsgspecError, ValueError, OverflowError, RecursionError)

EPOCH_DIGITS_MAX = 9
END_YEAR = 2200
"""No record is of it, nor of one behind it: what is computed of times stays within the calendar."""


class _Declared(Struct):
    """The `data` of an entry of `gaps:`."""

    channel: Literal["trade", "kline"]
    interval: str | None
    first: int | Aware
    last: int | Aware
    count: int
    reason: GapReason
    rules: tuple[str, ...] = ()


_trade_decoder: Final = msgspec.json.Decoder(Trade)
_kline_decoder: Final = msgspec.json.Decoder(Kline)
_gap_decoder: Final = msgspec.json.Decoder(_Declared)


def text_of(value: object) -> str:
    """As the server wrote it."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def streams_of(reply: object) -> list[tuple[str, list[Entry]]]:
    """What XREAD answered, by key."""
    if reply is None:
        return []
    streams = reply.items() if isinstance(reply, Mapping) else _listed(reply)
    return [(text_of(key), entries_of(entries)) for key, entries in streams]


def entries_of(reply: object) -> list[Entry]:
    """What XRANGE or XREVRANGE answered, or one stream's part of XREAD."""
    entries = _listed(reply)
    if entries and not (entries[0] and isinstance(entries[0][0], Text)):
        return entries_of(entries[0])
    return [(entry_id, *_fields(fields)) for entry_id, fields in entries if isinstance(entry_id, Text)]


def trade_of(entry: Entry, symbol: str) -> Trade | None:
    """Of a symbol's `trades:`, where the number of an entry is the trade's."""
    trade = _trade_in(entry)
    if trade is None or trade.symbol != symbol or trade.timestamp.year >= END_YEAR:
        return None
    return trade if text_of(entry[0]).endswith(f"-{trade.trade_id}") else None


def _trade_in(entry: Entry) -> Trade | None:
    try:
        trade = _trade_decoder.decode(entry[1])
        return trade if entry[2] is None else _marked(trade, entry[2], epoch=_epoch_of(entry[2]))
    except NO_RECORD:
        return None


def kline_of(entry: Entry) -> Kline | None:
    """Of `stream:`."""
    try:
        kline = _kline_decoder.decode(entry[1])
        if kline.interval not in INTERVALS or not 1970 <= kline.timestamp.year < END_YEAR:
            return None
        return kline if entry[2] is None else _marked(kline, entry[2])
    except NO_RECORD:
        return None


def revision_of(entry: Entry) -> Revision | None:
    """Of `late:`."""
    more = entry[2] or {}
    record = _trade_in(entry) or kline_of(entry)
    why = _WHYS.get(more.get("why", ""))
    return None if record is None or why is None else Revision(record, why)


def gap_of(entry: Entry) -> tuple[str | None, int, Gap] | None:
    """Of `gaps:`: interval (None: of trades), epoch and range."""
    try:
        told = _gap_decoder.decode(entry[1])
        is_kline = told.channel == "kline"
        first, last = (end if isinstance(end, int) else ms_of(end) for end in (told.first, told.last))
        are_ids = [isinstance(end, int) for end in (told.first, told.last)]
        if not 0 <= first <= last or is_kline != (told.interval is not None) or is_kline in are_ids:
            return None
        if is_kline and (last >= TIMES_END_MS or told.interval not in INTERVALS):
            return None
        if not is_kline and told.count != last - first + 1:
            return None
        gap = Gap(first, last, told.count, told.reason, known_rules(told.rules))
        return told.interval, _epoch_of(entry[2] or {}), gap
    except NO_RECORD:
        return None


_WHYS: Final[Mapping[str, Why]] = {why: why for why in get_args(Why)}


def _listed(reply: object) -> list[Sequence[object]]:
    if not isinstance(reply, list):
        raise StoreAway(f"The store's answer is none that a stream gives: {str(reply)[:100]}")
    return reply


def _fields(fields: object) -> tuple[Text, Mapping[str, str] | None]:
    if isinstance(fields, list):
        if len(fields) == 2:
            return fields[1], None
        fields = dict(zip(fields[::2], fields[1::2], strict=False))
    if not isinstance(fields, Mapping):
        return b"", None
    if len(fields) == 1:
        return next(iter(fields.values())), None
    named = {text_of(name): value for name, value in fields.items()}
    return named.pop("data", b""), {name: text_of(value) for name, value in named.items()}


def _marked(record: Record, more: Mapping[str, str], **changes: int) -> Record:
    origin = known_origin(more.get("src", "ws"), more.get("warnings", "").split(","))
    return structs.replace(record, source=origin.source, warnings=origin.warnings, **changes)


def _epoch_of(more: Mapping[str, str]) -> int:
    """Raises `ValueError` for what is no epoch."""
    return epoch_number(more.get("epoch", "0"))


def epoch_number(text: str) -> int:
    """Raises `ValueError` for what is none."""
    if not text.isascii() or not text.isdigit() or len(text) > EPOCH_DIGITS_MAX:
        raise ValueError("an epoch is a number")
    return int(text)
