"""How far a reader has come, by meaning: trade ids and open times. Ids of entries are hints where to go on reading.

A text such as
`{"v":1,"source":"https://api.exchange.example","trades:BTCUSDT":[0,4778244032,"1795984117359-4778244032"],"stream:BTCUSDT":{"1m":"2026-11-29T20:29:00+00:00","@":"1795984145770-0"}}`
so that a store which was emptied and filled again, or a stream that was trimmed, neither doubles nor loses a record.
The source says of which market they are; positions that were told before there was one lack it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

import msgspec
from msgspec import Struct

from data_collector.client.errors import WrongQuestion
from data_collector.client.records import ms_of
from data_collector.model.wire import open_time_text

VERSION = 1

START = "0-0"
"""The hint that lies before every entry."""

_ENTRY_ID = re.compile(r"\d{1,20}-\d{1,20}", re.ASCII)
_HINT = "@"
_SOURCE = "source"


class TradesPlace(Struct, frozen=True):
    """Of `trades:`."""

    epoch: int = 0
    last: int | None = None
    """The newest trade id that was delivered or told as missing; None before the first one."""
    hint: str = START


class KlinesPlace(Struct, frozen=True):
    """Of `stream:`."""

    last_ms: Mapping[str, int] = {}
    """By interval, the newest open time that was delivered or told as missing."""
    hint: str = START

    @property
    def from_ms(self) -> int:
        """Of an interval without such a time."""
        return entry_number(self.hint)[0]


class LatePlace(Struct, frozen=True):
    """Of `late:`, in which only the ids of entries tell what is new."""

    hint: str = START


Place = TradesPlace | KlinesPlace | LatePlace


class Position(Struct, frozen=True):
    """A reader's place in all that it reads."""

    places: Mapping[str, Place] = {}
    """By key of the store."""
    source: str | None = None
    """What the store was filled from; None where nobody has told."""


def entry_number(entry_id: str) -> tuple[int, int]:
    """By which ids of entries are compared."""
    ms, _, number = entry_id.partition("-")
    return int(ms), int(number or 0)


def position_text(position: Position) -> str:
    """For people to keep."""
    told: dict[str, object] = {"v": VERSION}
    if position.source is not None:
        told[_SOURCE] = position.source
    for key, place in position.places.items():
        match place:
            case TradesPlace(epoch, last, hint):
                told[key] = [epoch, last, hint]
            case KlinesPlace(last_ms, hint):
                told[key] = {interval: open_time_text(ms) for interval, ms in last_ms.items()} | {_HINT: hint}
            case LatePlace(hint):
                told[key] = hint
    return msgspec.json.encode(told).decode()


def position_of(text: str | None) -> Position:
    """`position_text` undone; no text is no place yet. Raises `WrongQuestion`."""
    if not text:
        return Position()
    try:
        told = msgspec.json.decode(text, type=dict[str, int | str | tuple[int, int | None, str] | dict[str, str]])
        version, source = told.pop("v", None), told.pop(_SOURCE, None)
        places = {key: _place(value) for key, value in told.items()}
        position = Position(places, None if source is None else str(source))
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
        # A time without a zone is of the wrong type.
        raise WrongQuestion(f"position is no position that a live stream has told: {error}.") from None
    if version != VERSION:
        raise WrongQuestion(f"position is of version {version}, and this client reads version {VERSION}.")
    return position


def _place(value: int | str | tuple[int, int | None, str] | dict[str, str]) -> Place:
    if isinstance(value, tuple):
        return TradesPlace(value[0], value[1], _hint(value[2]))
    if isinstance(value, dict):
        times = {interval: datetime.fromisoformat(text) for interval, text in value.items() if interval != _HINT}
        return KlinesPlace({interval: ms_of(time) for interval, time in times.items()}, _hint(value.get(_HINT, START)))
    return LatePlace(_hint(str(value)))


def _hint(text: str) -> str:
    if not _ENTRY_ID.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is no id of an entry")
    return text
