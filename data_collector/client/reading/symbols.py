"""What the store knows of its symbols: which there are, and the newest price and statistics of one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from data_collector.client.errors import StoreAway, UnknownSeries, UnknownSymbol, WrongStore
from data_collector.client.reading.entries import NO_RECORD, entries_of, kline_of, text_of
from data_collector.client.reading.questions import (
    ApiAnswer,
    ApiRequest,
    Plan,
    StoreCommand,
    ask_clock,
    ask_store,
)
from data_collector.client.records import Latest, time_of
from data_collector.client.terms.series import EXCHANGE, TRADES, name_of
from data_collector.model.calendar import INTERVALS
from data_collector.model.keys import Key, KeyKind, StoreKeys
from data_collector.model.records import known_rules

SCANNED = 10_000
"""Keys looked at in one exchange."""

MEET_AGAIN_S = 60.0
"""An HTTP side that did not answer is asked again."""

TOLD_MAX = 10
"""Symbols that a sentence names."""

KINDS: Final[Sequence[KeyKind]] = ("latest", "stream", "trades")
"""A symbol has one of these, whatever is collected of it."""

NEWEST_ENTRIES = 1000
"""Of candles, open and closed, among which each interval that is collected is looked for."""

TICKER: Final = "ticker"

_TIMES: Final = ("open_time", "close_time")


class Called(Struct, frozen=True):
    """How people call both sides: nothing of a login."""

    store: str
    api: str
    """Empty where there is none."""
    hint: str = ""
    """Where the store was looked for, when nobody has named one."""
    is_api_named: bool = True

    @property
    def are_compared(self) -> bool:
        """Whether who reads the store alone wants to know of the HTTP side: not of one at the usual place, which may be
        anybody's, beside a store that was named.
        """
        return self.api != "" and (self.is_api_named or self.hint != "")


def exchange_of(keys: StoreKeys) -> str:
    """Whose keys these are."""
    return keys.prefix.rstrip(":") or EXCHANGE


def known_symbols(keys: StoreKeys) -> Plan[list[str]]:
    """Those of which there is anything, in the order of the alphabet."""
    scanned = yield from _scanned(f"{keys.prefix}[lst]*:*")
    begins = [keys.key(kind, "") for kind in KINDS]
    return sorted({key.removeprefix(begin) for key in scanned for begin in begins if key.startswith(begin)})


def check_known(keys: StoreKeys, called: Called, exchange: str, symbol: str) -> Plan[None]:
    """Raise `UnknownSymbol`, or `WrongStore` where the store is of another exchange."""
    there = yield from ask_store("EXISTS", *(keys.key(kind, symbol) for kind in KINDS))
    if there:
        return
    known = yield from known_symbols(keys)
    first, more = (yield from _scanned("latest:*")), (yield from _scanned("*:latest:*"))
    elsewhere = [_whose(key) for key in (*first, *more)]
    others = {whose for whose, _ in elsewhere} - {exchange}
    if others and not known:
        raise WrongStore(
            f"The store holds nothing of {exchange}, but of {_listed(others)}: give the client exchange= one of "
            "these, or the address of another store."
        )
    meant = [f"{whose}:{name}" for whose, name in elsewhere if name == symbol and whose != exchange]
    if meant:
        raise UnknownSymbol(f"The store has nothing of {symbol} at {exchange}, but of {_listed(meant)}.")
    empty = f"it is empty; {f'{called.hint}.' if called.hint else 'is the collector running on it?'}"
    told = f"it has {_listed(known)}." if known else empty
    raise UnknownSymbol(f"The store has nothing of {symbol}: {told}", is_empty=not known)


class Subscribed(Struct):
    """What a collector says that it collects."""

    symbols: list[str]
    intervals: list[str]
    channels: list[str]

    def names(self, symbol: str) -> set[str]:
        """Of its series, without the symbol."""
        if symbol not in self.symbols:
            return set()
        trades = {TRADES} if "trade" in self.channels else set()
        return {*(self.intervals if "kline" in self.channels else ()), *trades}


def subscribed(keys: StoreKeys, called: Called) -> Plan[Subscribed | None]:
    """None where nobody tells, or a collector that collects from elsewhere than the store's."""
    if not called.api:
        return None
    answer = yield ApiRequest("/subscriptions", {"exchange": exchange_of(keys)}, is_optional=True)
    assert isinstance(answer, ApiAnswer), "that is what a request is answered by"
    if answer.headers.get("x-filled-from", "") != text_of((yield from ask_store("GET", keys.own("source")))):
        return None
    try:
        return msgspec.json.decode(answer.body, type=Subscribed) if answer.status == 200 else None
    except (msgspec.MsgspecError, RecursionError):
        return None


def _stored_names(keys: StoreKeys, symbol: str) -> Plan[set[str]]:
    """Series of which the store has had anything that was closed, without the symbol."""
    trades = yield from ask_store("EXISTS", keys.key("trades", symbol))
    return {*(yield from _hash(keys.cursors(symbol))), *([TRADES] if trades else [])}


def _flowing_names(keys: StoreKeys, symbol: str, since_ms: int = 0) -> Plan[set[str]]:
    """Series of which an entry has come since a time, as far as the newest entries reach back."""
    stream, trades = keys.key("stream", symbol), keys.key("trades", symbol)
    entries = entries_of((yield from ask_store("XREVRANGE", stream, "+", since_ms, "COUNT", NEWEST_ENTRIES)))
    newest = entries_of((yield from ask_store("XREVRANGE", trades, "+", since_ms, "COUNT", 1)))
    intervals = {kline.interval for kline in map(kline_of, entries) if kline is not None}
    return intervals | ({TRADES} if newest else set())


def check_collected(keys: StoreKeys, called: Called, series: Sequence[Key], *, is_stored: bool) -> Plan[None]:
    """Raise `UnknownSeries` for what the store has nothing of, and the collector says that it does not collect.

    `is_stored` stands for series that are looked for in what is stored: there the store's word is enough.
    """
    lacking: list[tuple[Key, set[str]]] = []
    for symbol, keys_of in _by_symbol(series).items():
        held = yield from _stored_names(keys, symbol)
        if any(not _names(key) & held for key in keys_of):
            held |= yield from _flowing_names(keys, symbol)
        lacking += [(key, held) for key in keys_of if not _names(key) & held]
    told = (yield from subscribed(keys, called)) if lacking else None
    for key, held in lacking:
        if told is not None and not _names(key) & told.names(key.symbol):
            raise UnknownSeries(_not_collected(called, key, told))
        if told is None and is_stored and held:
            raise UnknownSeries(
                f"Nothing of {_name(key)} is stored; of {key.symbol} there is {_named(held)}: {_cure(key)}"
            )


def silent(
    keys: StoreKeys, called: Called, series: Sequence[Key], since_ms: int, overdue: Collection[Key]
) -> Plan[dict[Key, str]]:
    """Sentences about what nobody collects, as far as is known. A kline key without interval is that of all candles."""
    quiet: list[tuple[Key, set[str]]] = []
    for symbol, keys_of in _by_symbol(series).items():
        flowing = yield from _flowing_names(keys, symbol, since_ms + 1)
        quiet += [(key, flowing) for key in keys_of if key in overdue or not _names(key) & flowing]
    told = (yield from subscribed(keys, called)) if quiet else None
    sentences: dict[Key, str] = {}
    for key, flowing in quiet:
        if told is not None:
            if not _names(key) & told.names(key.symbol):
                sentences[key] = _not_collected(called, key, told)
        elif key in overdue:
            sentences[key] = f"No more candles of {_name(key)} came, while those of others did: {_cure(key)}"
        elif flowing and not _names(key) & (yield from _stored_names(keys, key.symbol)):
            came = f"{_named(flowing)} of {key.symbol}"
            sentences[key] = f"Nothing of {_name(key)} came, while {came} did: {_cure(key)}"
    return sentences


def _not_collected(called: Called, key: Key, told: Subscribed) -> str:
    names = told.names(key.symbol)
    present = f"of {key.symbol} it collects {_named(names)}" if names else f"it collects {_listed(told.symbols)}"
    return f"The collector at {called.api} does not collect {_name(key)}; {present}: {_cure(key)}"


def _by_symbol(series: Sequence[Key]) -> dict[str, list[Key]]:
    """Where every interval is named, which stands for whatever there is, one key stands for the candles."""
    found: dict[str, list[Key]] = {}
    for key in series:
        found.setdefault(key.symbol, []).append(key)
    for symbol, keys in found.items():
        if {key.interval for key in keys} >= set(INTERVALS):
            found[symbol] = [Key("kline", symbol), *(key for key in keys if key.interval is None)]
    return found


def _is_any(key: Key) -> bool:
    """Whether it stands for all candles of a symbol."""
    return key.channel == "kline" and key.interval is None


def _names(key: Key) -> set[str]:
    """One of these is enough."""
    return set(INTERVALS) if _is_any(key) else {name_of(key)}


def _name(key: Key) -> str:
    return f"candles of {key.symbol}" if _is_any(key) else f"{key.symbol}:{name_of(key)}"


def _cure(key: Key) -> str:
    """Of what nobody collects."""
    if key.interval is None:
        return f"is {key.channel} missing in the collector's CHANNELS?"
    return f"is {key.interval} missing in the collector's INTERVALS?"


def _named(names: Collection[str]) -> str:
    """Intervals from the shortest on, and trades."""
    return ", ".join(name for name in (*INTERVALS, TRADES) if name in names)


class Sides(Struct):
    """What a client has found out about the HTTP side and the store, for all that it reads."""

    compared: set[str] = msgspec.field(default_factory=set)
    """What the HTTP side has told, and the store was asked about; it may have been away."""
    asks_at_s: float | None = 0.0
    """When the HTTP side is asked what it collects from, by who reads the store alone; None: it has told."""


class Joined:
    """Whether what one programme reads is of one market: the store, the HTTP side, and where it goes on from."""

    def __init__(self, keys: StoreKeys, called: Called, sides: Sides, source: str | None = None) -> None:
        """`source` is what a position is of."""
        self._source_key = keys.own("source")
        self.exchange = exchange_of(keys)
        """Which the HTTP side is asked about: it may collect from several."""
        self._called = called
        self._sides = sides
        self._source = source
        """Of the position, or what the store was filled from when it was read."""
        self._told: str | None = None
        """What the HTTP side collects from; None before it was asked, and of one that does not tell."""
        self._is_store_read = False

    @property
    def source(self) -> str | None:
        """Of the market; None where nobody has told."""
        return self._source or self._told

    def begin(self) -> Plan[None]:
        """The store is read from now on. Raises `WrongStore`."""
        self._is_store_read = True
        yield from self.look()

    def look(self) -> Plan[None]:
        """Whether the store is still filled from there; one without a record is not yet. Raises `WrongStore`."""
        present = yield StoreCommand(("GET", self._source_key), is_optional=not self._is_store_read)
        if present is None:
            return
        source = text_of(present)
        if self._source not in (None, source):
            raise WrongStore(_moved(self._source, f"the store {self._called.store} is filled from {source}"))
        self._source = source
        if self._told not in (None, source):
            raise WrongStore(
                f"The store {self._called.store} is filled from {source}, and the collector at "
                f"{self._called.api} (DATA_COLLECTOR_API) collects from {self._told}: name both of one collector, as "
                "its screen tells them (`export REDIS_URL=… DATA_COLLECTOR_API=…`), or do without history with "
                'api="".'
            )

    def note(self, told: str | None, exchange: str | None) -> Plan[None]:
        """What an answer of the HTTP side tells: from where it collects, and of which exchange. Raises `WrongStore`."""
        if exchange not in (None, self.exchange):
            names = " or ".join(map(repr, str(exchange).split(", ")))
            raise WrongStore(
                f"The collector at {self._called.api} (DATA_COLLECTOR_API) collects {exchange}, and the client was "
                f"asked for {self.exchange}: give it exchange={names}, or the api= of another collector."
            )
        if told in (None, self._told):
            return
        before, self._told = self._told, told
        if self._is_store_read or told not in self._sides.compared:
            yield from self.look()
            self._sides.compared.add(str(told))
        for known in (self._source, before):
            if known not in (None, told):
                raise WrongStore(_moved(known, f"the collector at {self._called.api} collects from {told}"))

    def meet(self) -> Plan[None]:
        """Ask the HTTP side, where nothing else is asked of it: once, when it answers. Raises `WrongStore`."""
        if not self._called.are_compared or self._sides.asks_at_s is None:
            return
        now_s = yield from ask_clock()
        if now_s < self._sides.asks_at_s:
            return
        answer = yield ApiRequest("/subscriptions", {"exchange": self.exchange}, is_optional=True)
        assert isinstance(answer, ApiAnswer), "that is what a request is answered by"
        told = answer.headers.get("x-filled-from")
        yield from self.note(told, answer.headers.get("x-exchange"))
        self._sides.asks_at_s = now_s + MEET_AGAIN_S if told is None else None


def _moved(source: str | None, present: str) -> str:
    return (
        f"What was read until now is of {source}, and {present}: the records of one market do not go on in another. "
        "Begin anew without the position (delete what keeps it), or name the store and the collector that it is of."
    )


def newest(keys: StoreKeys, called: Called, exchange: str, symbol: str) -> Plan[Latest]:
    """What `latest:` says. Raises `StoreAway` where there is no price yet, `UnknownSymbol`, `UnknownSeries` where none
    is collected, and `WrongStore`.
    """
    fields = yield from _hash(keys.key("latest", symbol))
    if not fields:
        yield from check_known(keys, called, exchange, symbol)
    told: dict[str, object] = {name: value for name, value in fields.items() if value != "" and name in _NAMES}
    nothing = dict.fromkeys(("price", "volume", "timestamp"))
    warnings = known_rules(fields.get("warnings", "").split(","))
    try:
        told |= {name: time_of(int(fields[name])) for name in _TIMES if fields.get(name, "").isdecimal()}
        latest = msgspec.convert({**nothing, **told, "symbol": symbol, "warnings": warnings}, Latest, strict=False)
    except NO_RECORD as error:
        raise StoreAway(f"latest:{symbol} holds what no collector has written ({error}).") from None
    if latest.price is None:
        collected = yield from subscribed(keys, called)
        is_collected = collected is None or (symbol in collected.symbols and TICKER in collected.channels)
        refused = StoreAway if is_collected else UnknownSeries
        raise refused(
            f"The store has no price of {symbol}: the first one comes with the exchange's ticker; is {TICKER} missing "
            "in the collector's CHANNELS?"
        )
    return latest


def _hash(key: str) -> Plan[dict[str, str]]:
    reply = yield from ask_store("HGETALL", key)
    if isinstance(reply, list):
        reply = dict(zip(reply[::2], reply[1::2], strict=True))
    if not isinstance(reply, Mapping):
        raise StoreAway(f"The store's answer is none that a hash gives: {str(reply)[:100]}")
    return {text_of(name): text_of(value) for name, value in reply.items()}


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


def _whose(key: str) -> tuple[str, str]:
    """The exchange and the symbol of a key `latest:`."""
    prefix, _, symbol = key.partition("latest:")
    return prefix.rstrip(":") or EXCHANGE, symbol


def _listed(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = f" and {len(ordered) - TOLD_MAX} more" if len(ordered) > TOLD_MAX else ""
    return ", ".join(ordered[:TOLD_MAX]) + more


_NAMES: Final = frozenset(Latest.__struct_fields__)
