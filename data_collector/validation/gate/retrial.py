"""Judges refused records anew by the rules in force now. What `quarantine:` holds of a record is enough for a row.

An entry has the record in `data`, and in `columns` its kind and what rules see beside the record's keys. Whatever an
entry lacks is null to the rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec
from msgspec import Struct

from data_collector.model.channels import CHANNELS
from data_collector.validation.gate.compiler import CompiledSuite
from data_collector.validation.gate.gate import ORDER_RULES
from data_collector.validation.gate.rows import ROW_TYPES, values_of_row
from data_collector.validation.rules.columns import Kind, Value

Unfitness = Literal["raw_frame", "unreadable", "other_symbol", Kind]
"""Why an entry can never be replayed: it is no record; its numbers or times cannot be written as a record; its record
is about another symbol than its stream; it is of a kind of which the newest counts, and was stale a second later."""

_UNREADABLE: Final = (msgspec.DecodeError, RecursionError, UnicodeError)


class Passing(Struct, frozen=True):
    """A record that breaks no critical rule now."""

    record: Mapping[str, Value]
    """Its keys, to look at: numbers are floats here."""
    warnings: tuple[str, ...]

    @property
    def is_kline(self) -> bool:
        """Else it is a trade."""
        return "interval" in self.record


class StillRefused(Struct, frozen=True):
    """A record that breaks critical rules now too."""

    rules: tuple[str, ...]


class Unfit(Struct, frozen=True):
    """What is no record that a replay could move."""

    reason: Unfitness


class _Why(Struct):
    rule: str


class _Columns(Struct):
    kind: str | None = None


class _Keys(Struct):
    """Of all records, those by which kinds are told apart."""

    symbol: str
    timestamp: str | None = None
    interval: str | None = None
    trade_id: int | None = None
    price_change_percent: str | None = None


def refused_for(entry: Mapping[str, str]) -> tuple[str, ...]:
    """The rules for which an entry was quarantined."""
    try:
        return tuple(why.rule for why in msgspec.json.decode(entry.get("why", ""), type=list[_Why]))
    except _UNREADABLE:
        return ()


def judge_anew(
    symbol: str, entry: Mapping[str, str], suites: Mapping[Kind, CompiledSuite], *, pardoned: str | None = None
) -> Passing | StillRefused | Unfit:
    """The verdict on an entry of `quarantine:{symbol}`.

    Rules about what came before a record cannot be asked again, so what was refused for one stays refused, unless it
    is the `pardoned` one.
    """
    text, columns = entry.get("data", ""), entry.get("columns", "{}")
    kind = _kind(text, columns)
    if isinstance(kind, Unfit):
        return kind
    row = _row(kind, text, columns)
    if row is None:
        return Unfit("unreadable" if "columns" in entry else "raw_frame")
    record: dict[str, Value] = msgspec.structs.asdict(row)
    if record["symbol"] != symbol:
        return Unfit("other_symbol")
    if record["timestamp"] is None:
        return Unfit("unreadable")
    verdict = suites[kind].verdict_of(values_of_row(kind, row))
    order = tuple(rule for rule in refused_for(entry) if rule in ORDER_RULES and rule != pardoned)
    critical = order + (verdict.critical if verdict else ())
    return StillRefused(critical) if critical else Passing(record, verdict.warnings if verdict else ())


def _kind(text: str, columns: str) -> Literal["kline", "trade"] | Unfit:
    try:
        keys = msgspec.json.decode(text, type=_Keys)
        kind = msgspec.json.decode(columns, type=_Columns).kind
    except _UNREADABLE:
        return Unfit("raw_frame")
    for name, channel in CHANNELS.items():
        if kind == name and not channel.has_gaps:
            return Unfit(name)
    if kind is None and keys.price_change_percent:
        return Unfit("ticker")
    # Entries of earlier versions do not tell their kind.
    if kind == "kline" or (kind is None and keys.timestamp and keys.interval):
        return "kline"
    if kind == "trade" or (kind is None and keys.timestamp and keys.trade_id is not None):
        return "trade"
    return Unfit("raw_frame")


def _row(kind: Kind, text: str, columns: str) -> Struct | None:
    """The record's keys, and where it has none what stands beside it."""
    try:
        row = msgspec.json.decode(text, type=ROW_TYPES[kind])
        beside = msgspec.json.decode(columns, type=ROW_TYPES[kind])
    except _UNREADABLE:
        return None
    known = {name: value for name, value in msgspec.structs.asdict(beside).items() if value is not None}
    missing = {name: value for name, value in known.items() if getattr(row, name) is None}
    return msgspec.structs.replace(row, **missing)
