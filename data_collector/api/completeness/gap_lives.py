"""Gaps as people read them: what the store declares and what the collector remembers, told in plain words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import unquote

from msgspec import Struct

from data_collector.api.completeness.gap_answers import GapAnswer, GapEventAnswer, GapStory
from data_collector.api.store_reading import StoreReading, newest_entries
from data_collector.model.keys import Key, StoreKeys
from data_collector.model.status import GapEvent, GapLife, GapsStatus
from data_collector.model.wire import number_told
from data_collector.pipeline.gaps.ledger import gap_id
from data_collector.sinks.redis.entries import begun, declared_of, declared_pages
from data_collector.sinks.redis.stored_records import DeclaredGap

_ID = re.compile(
    r"(?P<symbol>.+)-(?:trade-(?P<number>\d{1,19})(?:-epoch-(?P<epoch>\d{1,9}))?"
    r"|(?P<interval>\d+[smhdwM])-(?P<open>[\dT:-]{19}))"
)

WHY_GIVEN_UP = {
    "lost": "they existed and could not be had",
    "refused": "validation refused them, and quarantine: keeps them",
    "absent": "the exchange itself has none",
    "skipped": "they passed while the collector was not running",
}

CAME_FROM = {
    "ws": "on a stream after all",
    "rest": "from the exchange's REST side",
    "spool": "from our own memory and spool",
    "built": "out of our trades, or of their ids, which prove that nothing was traded",
}

TRIED = {
    "twin_awaited": "Waited for another line to bring it.",
    "rest_asked": "Asked the exchange's REST side.",
    "rest_failed": "The exchange's REST side did not give it.",
}


class Named(Struct, frozen=True):
    """What an id says."""

    key: Key
    first: int
    epoch: int = 0


def named_by(text: str) -> Named | None:
    """What an id names; None for a text that is none."""
    found = _ID.fullmatch(unquote(text))
    if found is None:
        return None
    if found["number"] is not None:
        return Named(Key("trade", found["symbol"]), int(found["number"]), int(found["epoch"] or 0))
    try:
        opened = datetime.fromisoformat(found["open"]).replace(tzinfo=UTC)
    except ValueError:
        return None
    return Named(Key("kline", found["symbol"], found["interval"]), round(opened.timestamp() * 1000))


async def newest_gaps(
    store: StoreReading, store_url: str, keys: StoreKeys, symbols: Sequence[str], known: GapsStatus, limit: int
) -> list[GapAnswer]:
    """The newest gaps of all `symbols`, open ones first. Raises `SinkUnavailable`."""
    streams = {symbol: keys.key("gaps", symbol) for symbol in symbols}
    async with store.turn(store_url) as connection:
        entries = await newest_entries(connection, streams, limit)
        found = [each for each in map(declared_of, entries) if each is not None]
        declared = await begun(connection, keys, found)
    wanted = set(symbols)
    lives = [life for life in (*known.open, *known.closed) if life.key.symbol in wanted]
    gaps = [_gap_of_life(life, [found for found in declared if _lies_in(found, life)]) for life in lives]
    gaps += [_gap_of_declared(found) for found in declared if not any(_lies_in(found, life) for life in lives)]
    return newest_of(gaps, limit)


def newest_of(gaps: Iterable[GapAnswer], limit: int) -> list[GapAnswer]:
    """The newest of these, open ones first."""
    found = sorted(gaps, key=lambda gap: gap.closed_at or gap.recorded_at or gap.opened_at or "", reverse=True)
    return sorted(found, key=lambda gap: gap.state != "open")[:limit]


async def story_of(
    store: StoreReading, store_url: str, keys: StoreKeys, named: Named, known: GapsStatus
) -> GapStory | None:
    """The life of one gap; None when neither the store nor the collector knows it. Raises `SinkUnavailable`."""
    wanted = gap_id(named.key, named.first, named.epoch)
    life = next((life for life in (*known.open, *known.closed) if life.id == wanted), None)
    found: list[DeclaredGap] = []
    async with store.turn(store_url) as connection:
        async for page in declared_pages(connection, keys.key("gaps", named.key.symbol), named.key.symbol):
            found += [gap for gap in page if (_id_of(gap) == wanted if life is None else _lies_in(gap, life))]
            if life is None and found:
                break
        found = await begun(connection, keys, found)
    if life is not None:
        return _story_of_life(life, found)
    return _story_of_declared(found[0]) if found else None


def _story_of_life(life: GapLife, declared: Sequence[DeclaredGap]) -> GapStory:
    events = [_event(life, event) for event in life.events]
    events += [_declaration(found) for found in declared]
    events.sort(key=lambda event: event.at)
    gap = _gap_of_life(life, declared)
    return GapStory(gap, _summary(life), events, life.events_left_out)


def _story_of_declared(found: DeclaredGap) -> GapStory:
    key, gap = found.key, found.gap
    summary = (
        f"{_counted(key, gap.count)} {_range_text(key, gap.first, gap.last)} "
        f"passed over as {gap.reason}: {WHY_GIVEN_UP[gap.reason]}. "
        "The collector does not remember more of it; it may have been started since."
    )
    return GapStory(_gap_of_declared(found), summary, [_declaration(found)])


def _summary(life: GapLife) -> str:
    begin = f"{_counted(life.key, life.count)} {_range_text(life.key, life.first, life.last)} missing"
    parts = [f"{count:,} came {CAME_FROM.get(source, source)}" for source, count in life.healed.items()]
    parts += [f"{count:,} passed over as {reason}" for reason, count in life.given_up.items()]
    outcome = f"; {', '.join(parts)}" if parts else ""
    if life.closed_at_s is None:
        return f"{begin}{outcome}. Still waited for: {life.missing:,}."
    return f"{begin}{outcome}. Over after {life.closed_at_s - life.opened_at_s:.3f} s."


def _event(life: GapLife, event: GapEvent) -> GapEventAnswer:
    until = None if event.until_s is None else _iso(event.until_s)
    return GapEventAnswer(_iso(event.at_s), event.what, _words(life, event), event.times, until)


def _words(life: GapLife, event: GapEvent) -> str:
    where = _range_text(life.key, event.first, event.last)
    match event.what:
        case "opened":
            return f"Seen: {_counted(life.key, event.count)} {where} missing."
        case "grown":
            return f"It has grown: {where} missing too."
        case "healed":
            return f"{_counted(life.key, event.count)} came {CAME_FROM.get(event.by, event.by)}."
        case "given_up":
            why = WHY_GIVEN_UP.get(event.by, event.by)
            text = f"{_counted(life.key, event.count)} {where} passed over as {event.by}: {why}."
            return text + _broken(life.rules) if event.by == "refused" else text
        case tried:
            return TRIED.get(tried, f"{tried.replace('_', ' ').capitalize()}.")


def _declaration(found: DeclaredGap) -> GapEventAnswer:
    text = (
        f"Recorded in gaps:{found.key.symbol}: {_counted(found.key, found.gap.count)} "
        f"{_range_text(found.key, found.gap.first, found.gap.last)} {found.gap.reason}."
    )
    return GapEventAnswer(found.recorded_at, "recorded", text + _broken(found.gap.rules))


def _broken(rules: Sequence[str]) -> str:
    return f" Broken rules: {', '.join(rules)}." if rules else ""


def _gap_of_life(life: GapLife, declared: Iterable[DeclaredGap]) -> GapAnswer:
    of_store = list(declared)
    if life.closed_at_s is None:
        state: Literal["open", "healed", "given_up"] = "open"
    else:
        state = "given_up" if life.given_up else "healed"
    return GapAnswer(
        life.id, life.key.symbol, _channel(life.key), life.key.interval, number_told(life.key, life.first),
        number_told(life.key, life.last), life.count, state, life.missing, life.healed, life.given_up,
        sorted({*life.rules, *(rule for found in of_store for rule in found.gap.rules)}),
        _iso(life.opened_at_s), None if life.closed_at_s is None else _iso(life.closed_at_s),
        max((found.recorded_at for found in of_store), default=None), life.epoch,
    )  # fmt: skip


def _gap_of_declared(found: DeclaredGap) -> GapAnswer:
    key, gap = found.key, found.gap
    return GapAnswer(
        _id_of(found), key.symbol, _channel(key), key.interval, number_told(key, gap.first), number_told(key, gap.last),
        gap.count, "declared", 0, {}, {gap.reason: gap.count}, list(gap.rules), None, None, found.recorded_at,
        found.epoch,
    )  # fmt: skip


def _channel(key: Key) -> Literal["trade", "kline"]:
    return "trade" if key.interval is None else "kline"


def _id_of(found: DeclaredGap) -> str:
    """The id of the gap that this range was the beginning of."""
    return gap_id(found.key, found.gap.first, found.epoch)


def _lies_in(found: DeclaredGap, life: GapLife) -> bool:
    is_of = (found.key, found.epoch) == (life.key, life.epoch)
    return is_of and life.first <= found.gap.first and found.gap.last <= life.last


def _counted(key: Key, count: int) -> str:
    return f"{count:,} {key.unit}{'' if count == 1 else 's'}"


def _range_text(key: Key, first: int, last: int) -> str:
    low, high = number_told(key, first), number_told(key, last)
    return f"({low})" if first == last else f"({low} to {high})"


def _iso(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds")
