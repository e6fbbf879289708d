"""What can be subscribed to, and what a change of it would do, worked out without doing it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from typing import TypeVar

from msgspec import Struct

from data_collector.model.channels import CHANNELS
from data_collector.model.errors import Misconfigured
from data_collector.model.keys import Channel, Key
from data_collector.model.subscriptions import Change, ConnectionChange, DesiredSubscriptions, Present, Subscriptions
from data_collector.model.venue import TRADING, Cost, SymbolRules, Venue
from data_collector.settings import Settings, expected_store_bytes, load_settings, texts
from data_collector.settings.fields import variable_of
from data_collector.venues.discovery import find_venue

MISSED_NOTE = "Trades that were missed since the store's newest one of a new symbol come on top: {cost} per {trades:,}."


class GroupPlan(Struct):
    """One group of streams that share their connections: what it is given and relieved of."""

    lines: list[str]
    kept: int
    added: list[Key]
    removed: list[Key]
    is_new: bool = False


def check_venue(settings: Settings, venue: Venue) -> None:
    """Intervals and channels that the exchange does not have. Raises `Misconfigured` with all of them."""
    faults: list[str] = []
    _check_intervals("INTERVALS", settings.intervals, venue, faults)
    _check_channels("CHANNELS", settings.channels, venue, faults)
    if faults:
        raise Misconfigured("\n".join(faults))


def settings_of_each(names: Sequence[str], environ: Mapping[str, str] | None = None) -> dict[str, Settings]:
    """Of each exchange; of several each collects what it has of the intervals and channels, which are for all.

    `notices` of several tell that alone: of one among several, the others would be about variables of the others.
    Raises `Misconfigured` for what none of them has, for one that is left with nothing, and as `load_settings`.
    """
    found = {name: load_settings(environ, exchange=name) for name in names}
    venues = {name: find_venue(name) for name in names}
    if len(found) == 1:
        return found
    found = {name: settings.model_copy(update={"notices": ()}) for name, settings in found.items()}
    for field in ("intervals", "channels"):
        had = {name: getattr(venue, field) for name, venue in venues.items()}
        if nowhere := [one for one in getattr(found[names[0]], field) if not any(one in each for each in had.values())]:
            raise Misconfigured(f"{field.upper()}: none of {', '.join(names)} has {', '.join(nowhere)}.")
        for name, settings in found.items():
            wanted = getattr(settings, field)
            kept = tuple(one for one in wanted if one in had[name])
            if not kept:
                raise Misconfigured(f"{field.upper()}: {name} has none of {', '.join(wanted)}.")
            if kept != wanted:
                lacks = ", ".join(one for one in wanted if one not in kept)
                notice = f"{field.upper()}: {name} has no {lacks}, which is collected of the others alone."
                found[name] = settings.model_copy(update={field: kept, "notices": (*settings.notices, notice)})
    return found


def unknown_symbols(wanted: Sequence[str], listed: Mapping[str, SymbolRules]) -> list[str]:
    """Those that the exchange does not list."""
    return [symbol for symbol in wanted if symbol not in listed]


def unknown_sentence(unknown: Sequence[str], listed: Mapping[str, SymbolRules], venue: Venue) -> str:
    """All of them at once, each with what may have been meant."""
    suggestions = []
    for symbol in unknown:
        close = get_close_matches(symbol, listed, n=1, cutoff=0.6)
        suggestions.append(f"{symbol} (did you mean {close[0]}?)" if close else symbol)
    name, example = variable_of("symbols", venue.name), venue.default_symbols[0]
    listing = ", ".join(suggestions)
    return f"{name}: {venue.name} does not list {listing}. Names are the exchange's own, such as {example}."


def resting_symbols(wanted: Sequence[str], listed: Mapping[str, SymbolRules]) -> dict[str, str]:
    """Those that are listed and do not trade now, with their state."""
    return {symbol: listed[symbol].status for symbol in wanted if symbol in listed and listed[symbol].status != TRADING}


def wanted_of(present: Subscriptions, desired: DesiredSubscriptions, venue: Venue, faults: list[str]) -> Subscriptions:
    """What would be subscribed; everything that cannot be goes into `faults`."""
    symbols = _parsed("symbols", desired.symbols, partial(texts.symbols, venue=venue), faults)
    intervals = _parsed("intervals", desired.intervals, texts.intervals, faults)
    words = _parsed("channels", desired.channels, texts.channels, faults)
    _check_intervals("intervals", intervals or (), venue, faults)
    _check_channels("channels", words or (), venue, faults)
    channels: list[Channel] = [channel for channel in CHANNELS if channel in (words or ())]
    return Subscriptions(
        present.symbols if symbols is None else symbols,
        present.intervals if intervals is None else intervals,
        present.channels if words is None else venue.completed(channels),
    )


def listing_faults(wanted: Subscriptions, listed: Mapping[str, SymbolRules], venue: Venue) -> list[str]:
    """Symbols that the exchange does not list."""
    unknown = unknown_symbols(wanted.symbols, listed)
    return [unknown_sentence(unknown, listed, venue)] if unknown else []


def resting_notes(wanted: Subscriptions, listed: Mapping[str, SymbolRules]) -> list[str]:
    """Symbols that are waited for."""
    resting = resting_symbols(wanted.symbols, listed)
    return [f"{symbol} does not trade now ({status}); it is waited for." for symbol, status in resting.items()]


def plan_groups(
    groups: Sequence[tuple[Sequence[str], Sequence[Key]]], wanted: Sequence[Key], venue: Venue, *, lines_per_stream: int
) -> list[GroupPlan]:
    """Streams stay where they are; new ones go where there is room, and then to connections of their own."""
    wanted = [key for key in wanted if venue.has_stream(key)]
    wanted_keys = set(wanted)
    plans = [
        GroupPlan(list(lines), sum(key in wanted_keys for key in keys), [], [k for k in keys if k not in wanted_keys])
        for lines, keys in groups
    ]
    present = {key for _, keys in groups for key in keys}
    size = venue.limits.streams_per_connection
    waiting = [key for key in wanted if key not in present]
    for plan in plans:
        room = size - plan.kept
        plan.added, waiting = waiting[:room], waiting[room:]
    number = max((group_number(plan.lines[0]) for plan in plans), default=0)
    for start in range(0, len(waiting), size):
        number += 1
        names = line_names(number, lines_per_stream)
        plans.append(GroupPlan(names, 0, waiting[start : start + size], [], is_new=True))
    return plans


def line_names(number: int, lines_per_stream: int) -> list[str]:
    """Of a group's connections."""
    return [str(number)] if lines_per_stream == 1 else [f"{number}A", f"{number}B"]


def group_number(line: str) -> int:
    """`2` of `2` and of `2A`."""
    return int(line.rstrip("AB"))


def change_of(
    plans: Sequence[GroupPlan], before: Subscriptions, wanted: Subscriptions, venue: Venue, settings: Settings
) -> Change:
    """The whole of it, for people and programs."""
    name = venue.codec.stream_name
    touched = [each for plan in plans if plan.added or plan.removed for each in _connection_changes(plan, venue)]
    new_symbols = set(wanted.symbols) - set(before.symbols)
    new_series = [key for key in set(wanted.every_key()) - set(before.every_key()) if key.channel == "kline"]
    return Change(
        symbols=list(wanted.symbols),
        intervals=list(wanted.intervals),
        channels=list(wanted.channels),
        added=[name(key) for plan in plans for key in plan.added],
        removed=[name(key) for plan in plans for key in plan.removed],
        unchanged=sum(plan.kept for plan in plans),
        connections=touched,
        connections_untouched=sum(len(plan.lines) for plan in plans if not plan.added and not plan.removed),
        control_messages=sum(each.control_messages for each in touched),
        seconds=max((each.seconds for each in touched), default=0.0),
        store_bytes_before=store_bytes(settings, before),
        store_bytes=store_bytes(settings, wanted),
        rest_weight=first_fill_weight(
            venue.cost, symbols=len(wanted.symbols), new_symbols=len(new_symbols), new_series=len(new_series)
        ),
        notes=[_missed_note(venue)] if new_symbols and "trade" in wanted.channels else [],
    )


def first_fill_weight(cost: Cost, *, symbols: int, new_symbols: int, new_series: int) -> int:
    """What follows a change of subscriptions: the symbol list and the statistics of all `symbols` if some are new, and
    the past of each new kline series. Trades that were missed of a symbol which the store knows come on top.
    """
    return (cost.listing(symbols) if new_symbols else 0) + new_series * cost.newest_klines


def store_bytes(settings: Settings, subscriptions: Subscriptions) -> int:
    """Of a full store."""
    chosen = {"symbols": subscriptions.symbols, "intervals": subscriptions.intervals}
    return expected_store_bytes(settings.model_copy(update={**chosen, "channels": subscriptions.channels}))


def groups_of(present: Present, venue: Venue) -> list[tuple[list[str], list[Key]]]:
    """What a running collector told, as keys. Streams that are not of its subscriptions are left out."""
    streams = filter(venue.has_stream, subscriptions_of(present).every_key())
    keys = {venue.codec.stream_name(key): key for key in streams}
    return [(group.lines, [keys[name] for name in group.streams if name in keys]) for group in present.groups]


def subscriptions_of(present: Present) -> Subscriptions:
    """The part of it that a wish is about."""
    channels: list[Channel] = [channel for channel in CHANNELS if channel in present.channels]
    return Subscriptions(tuple(present.symbols), tuple(present.intervals), tuple(channels))


def _check_intervals(name: str, intervals: Sequence[str], venue: Venue, faults: list[str]) -> None:
    strange = [interval for interval in intervals if interval not in venue.intervals]
    if strange:
        have = ", ".join(venue.intervals)
        faults.append(f"{name}: {venue.name} has no {', '.join(strange)}; it has {have} (case matters).")


def _check_channels(name: str, channels: Sequence[str], venue: Venue, faults: list[str]) -> None:
    strange = [channel for channel in channels if channel not in venue.channels]
    if strange:
        faults.append(f"{name}: {venue.name} has no {', '.join(strange)}; it has {', '.join(venue.channels)}.")


def _missed_note(venue: Venue) -> str:
    return MISSED_NOTE.format(cost=venue.cost.told(venue.cost.trades), trades=venue.reach.trades_per_answer)


Parsed = TypeVar("Parsed")


def _parsed(name: str, words: Sequence[str] | None, parse: Callable[[str], Parsed], faults: list[str]) -> Parsed | None:
    if words is None:
        return None
    try:
        return parse(",".join(words))
    except ValueError as error:
        faults.append(f"{name}: {error}.")
        return None


def _connection_changes(plan: GroupPlan, venue: Venue) -> list[ConnectionChange]:
    limits = venue.limits
    asks = venue.codec.survey(1) is not None
    messages = asks + sum(
        len(venue.codec.requests([venue.codec.stream_name(key) for key in keys], 1, adds=adds))
        for keys, adds in ((plan.added, True), (plan.removed, False))
    )
    ends = not plan.kept and not plan.added
    if ends:
        messages = 0
    # The window slides: as many as the limit go out at once.
    seconds = float(max(0, messages - 1) // limits.control_messages_per_s)
    return [
        ConnectionChange(
            line, plan.is_new, len(plan.added), len(plan.removed), plan.kept + len(plan.added), messages, seconds
        )
        for line in plan.lines
    ]
