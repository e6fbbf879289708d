"""What the store knows of its symbols: which there are, and the newest price and statistics of one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from data_collector.client.errors import StoreAway, UnknownSymbol, WrongStore
from data_collector.client.reading.entries import text_of
from data_collector.client.reading.questions import Plan, ask_store
from data_collector.client.records import Latest, time_of
from data_collector.client.terms.series import EXCHANGE
from data_collector.model.keys import KeyKind, StoreKeys
from data_collector.model.records import known_rules

SCANNED = 10_000
"""Keys looked at in one exchange."""

TOLD_MAX = 10
"""Symbols that a sentence names."""

KINDS: Final[Sequence[KeyKind]] = ("latest", "stream", "trades")
"""A symbol has one of these, whatever is collected of it."""

_TIMES: Final = ("open_time", "close_time")


def known_symbols(keys: StoreKeys) -> Plan[list[str]]:
    """Those of which there is anything, in the order of the alphabet."""
    scanned = yield from _scanned(f"{keys.prefix}[lst]*:*")
    begins = [keys.key(kind, "") for kind in KINDS]
    return sorted({key.removeprefix(begin) for key in scanned for begin in begins if key.startswith(begin)})


def check_known(keys: StoreKeys, exchange: str, symbol: str) -> Plan[None]:
    """Raise `UnknownSymbol`, or `WrongStore` where the store is of another exchange."""
    there = yield from ask_store("EXISTS", *(keys.key(kind, symbol) for kind in KINDS))
    if there:
        return
    known = yield from known_symbols(keys)
    if not known:
        others = {key.partition(":")[0] for key in (yield from _scanned("*:latest:*"))}
        others |= {EXCHANGE} if (yield from _scanned("latest:*")) else set()
        if others:
            raise WrongStore(
                f"The store holds nothing of {exchange}, but of {_listed(others)}: give the client exchange= one of "
                "these, or the address of another store."
            )
    told = f"it has {_listed(known)}" if known else "it is empty; is the collector running on it?"
    raise UnknownSymbol(f"The store has nothing of {symbol}: {told}.")


class Called(Struct, frozen=True):
    """How people call both sides: nothing of a login."""

    store: str
    api: str
    """Empty where there is none."""


class Joined:
    """Whether what the HTTP side tells may be joined with the store: both are filled from one exchange.

    Who asks only one of them need not know.
    """

    def __init__(self, keys: StoreKeys, called: Called) -> None:
        self._source_key = keys.own("source")
        self._called = called
        self._told: str | None = None
        """What the HTTP side is filled from; None before it was asked, and of one that does not tell."""
        self._same: str | None = None
        """With which the store agrees."""
        self._is_joined = False

    def begin(self) -> Plan[None]:
        """The store is read from now on. Raises `WrongStore`."""
        self._is_joined = True
        yield from self._check()

    def note(self, source: str | None) -> Plan[None]:
        """What an answer of the HTTP side tells. Raises `WrongStore`."""
        self._told = source
        yield from self._check()

    def _check(self) -> Plan[None]:
        if not self._is_joined or self._told in (None, self._same):
            return
        present = yield from ask_store("GET", self._source_key)
        if present is None:
            # An empty store, which the next record claims.
            return
        if text_of(present) != self._told:
            raise WrongStore(
                f"The store {self._called.store} is filled from {text_of(present)}, and the collector at "
                f"{self._called.api} (DATA_COLLECTOR_API) collects from {self._told}: name both of one collector, or "
                'do without history with api="".'
            )
        self._same = self._told


def newest(keys: StoreKeys, exchange: str, symbol: str) -> Plan[Latest]:
    """What `latest:` says. Raises `UnknownSymbol` and `WrongStore`."""
    reply = yield from ask_store("HGETALL", keys.key("latest", symbol))
    if isinstance(reply, list):
        reply = dict(zip(reply[::2], reply[1::2], strict=True))
    if not isinstance(reply, Mapping):
        raise StoreAway(f"The store's answer is none that a hash gives: {str(reply)[:100]}")
    fields = {text_of(name): text_of(value) for name, value in reply.items()}
    if not fields:
        yield from check_known(keys, exchange, symbol)
    told: dict[str, object] = {name: value for name, value in fields.items() if value != "" and name in _NAMES}
    told |= {name: time_of(int(fields[name])) for name in _TIMES if fields.get(name, "").isdecimal()}
    nothing = dict.fromkeys(("price", "volume", "timestamp"))
    warnings = known_rules(fields.get("warnings", "").split(","))
    return msgspec.convert({**nothing, **told, "symbol": symbol, "warnings": warnings}, Latest, strict=False)


def _scanned(pattern: str) -> Plan[list[str]]:
    found: list[str] = []
    cursor = "0"
    while True:
        reply = yield from ask_store("SCAN", cursor, "MATCH", pattern, "COUNT", SCANNED)
        if not isinstance(reply, list | tuple):
            raise StoreAway(f"The store's answer is none that a scan gives: {str(reply)[:100]}")
        cursor = text_of(reply[0])
        found += [text_of(key) for key in reply[1]]
        if cursor == "0":
            return found


def _listed(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = f" and {len(ordered) - TOLD_MAX} more" if len(ordered) > TOLD_MAX else ""
    return ", ".join(ordered[:TOLD_MAX]) + more


_NAMES: Final = frozenset(Latest.__struct_fields__)
