"""`data-collector plan`: what a change of subscriptions would do, without doing it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

import aiohttp
import msgspec
import typer
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from data_collector.cli.chosen_exchange import chosen_settings
from data_collector.cli.surroundings.found_exchange import api_and_exchange
from data_collector.model.errors import Misconfigured, VenueRefused, VenueUnreachable
from data_collector.model.keys import Key
from data_collector.model.subscriptions import Change, DesiredSubscriptions, Present, Subscriptions
from data_collector.model.venue import Cost, Venue
from data_collector.observe.escaping import escaped
from data_collector.service.subscription_plan import (
    change_of,
    groups_of,
    listing_faults,
    plan_groups,
    resting_notes,
    subscriptions_of,
    wanted_of,
)
from data_collector.settings import Settings
from data_collector.settings.texts import service_url
from data_collector.time_limit import time_limit
from data_collector.venues.discovery import find_venue

ANSWER_TIMEOUT_S = 5.0
NAMES_SHOWN = 8

Groups = Sequence[tuple[Sequence[str], Sequence[Key]]]


class _Known(Struct):
    """What is subscribed, by whom it was told, and what must be said of that."""

    subscriptions: Subscriptions
    groups: Groups
    lines_per_stream: int
    notes: list[str]


def plan(
    *,
    symbols: str | None,
    intervals: str | None,
    channels: str | None,
    url: str | None,
    json: bool,
    exchange: str | None,
) -> None:
    """What it takes and does stands in `cli.arguments.live`."""
    desired = DesiredSubscriptions(_words(symbols), _words(intervals), _words(channels))
    try:
        given = None if url is None else service_url(url)
    except ValueError as error:
        raise Misconfigured(f"--url: {error}.") from None
    settings, place = api_and_exchange(chosen_settings(exchange, symbols), given)
    change = asyncio.run(_planned(settings, desired, place))
    if json:
        typer.echo(msgspec.json.encode(change).decode())
    else:
        _print(change, find_venue(settings.exchange).cost)


async def _planned(settings: Settings, desired: DesiredSubscriptions, url: str) -> Change:
    venue = find_venue(settings.exchange)
    faults: list[str] = []
    known = await _known(settings, venue, url)
    wanted = wanted_of(known.subscriptions, desired, venue, faults)
    known.notes += await _listing_notes(settings, venue, wanted, faults)
    if faults:
        raise Misconfigured("The change is impossible:\n" + "\n".join(f"  - {fault}" for fault in faults))
    plans = plan_groups(
        known.groups, list(wanted.every_key()), venue, lines_per_stream=known.lines_per_stream
    )  # fmt: skip
    change = change_of(plans, known.subscriptions, wanted, venue, settings)
    change.notes[:0] = known.notes
    return change


async def _known(settings: Settings, venue: Venue, url: str) -> _Known:
    """What the running collector tells, else what the settings say."""
    try:
        async with (
            time_limit(ANSWER_TIMEOUT_S),
            aiohttp.ClientSession() as session,
            session.get(f"{url}/subscriptions", params={"exchange": venue.name}) as answer,
        ):
            if answer.status != 200:
                return _by_settings(settings, venue, f"{url} answers HTTP {answer.status} for {venue.name}")
            present = msgspec.json.decode(await answer.read(), type=Present)
    except TimeoutError:
        return _by_settings(settings, venue, f"{url} does not answer")
    except aiohttp.ClientConnectorError:
        return _by_settings(settings, venue, f"Nothing listens at {url}, and --url names another place")
    except (aiohttp.ClientError, OSError, msgspec.DecodeError, ValueError, RecursionError) as error:
        return _by_settings(settings, venue, f"{url} cannot be asked ({escaped(str(error))})")
    if not present.groups:
        return _by_settings(settings, venue, f"{url} collects nothing now")
    groups = groups_of(present, venue)
    return _Known(subscriptions_of(present), groups, len(present.groups[0].lines), [])


def _by_settings(settings: Settings, venue: Venue, reason: str) -> _Known:
    subscriptions = Subscriptions(settings.symbols, settings.intervals, settings.channels)
    plans = plan_groups([], list(subscriptions.every_key()), venue, lines_per_stream=settings.lines_per_stream)
    groups = [(each.lines, each.added) for each in plans]
    note = f"{reason}; the plan is held against the settings."
    return _Known(subscriptions, groups, settings.lines_per_stream, [note])


async def _listing_notes(settings: Settings, venue: Venue, wanted: Subscriptions, faults: list[str]) -> list[str]:
    rest = venue.open_rest(settings.rest_url, use_proxy=settings.use_proxy, api_key=settings.rest_key)
    try:
        listed = await rest.symbols()
    except (VenueUnreachable, VenueRefused) as error:
        return [f"The symbols are unchecked: {escaped(str(error))}"]
    finally:
        await rest.close()
    faults += listing_faults(wanted, listed, venue)
    return resting_notes(wanted, listed)


def _words(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(text.split(","))


def _print(change: Change, cost: Cost) -> None:
    for note in change.notes:
        typer.echo(note, err=True)
    rows = _rows(change, cost)
    if not sys.stdout.isatty():
        for name, seen in rows:
            typer.echo(f"{name}: {seen}")
        return
    table = Table("", "what would happen", box=None, pad_edge=False)
    for name, seen in rows:
        table.add_row(name, seen)
    Console().print(table)


def _rows(change: Change, cost: Cost) -> list[tuple[str, str]]:
    rows = [
        ("streams added", _named(change.added)),
        ("streams removed", _named(change.removed)),
        ("streams unchanged", str(change.unchanged)),
        ("connections untouched", str(change.connections_untouched)),
    ]
    for each in change.connections:
        kind = "new connection" if each.is_new else "connection"
        ends = "" if each.streams else ", and it is closed"
        seen = f"{each.subscribe} subscribed, {each.unsubscribe} unsubscribed in {_counted(each.control_messages)}"
        then = "1 stream" if each.streams == 1 else f"{each.streams} streams"
        rows.append((f"{kind} {each.line}", f"{seen}, at least {each.seconds:g} s; {then} then{ends}"))
    before, after = (f"{size / 2**20:,.0f}" for size in (change.store_bytes_before, change.store_bytes))
    return [
        *rows,
        ("control messages", f"{change.control_messages}, at least {change.seconds:g} s at the message limit"),
        ("store when full", f"{after} MiB (before: {before} MiB)"),
        ("first fill by REST", f"{cost.told(change.rest_weight)} at least"),
        ("lasts", "until a restart, which begins with the settings"),
    ]


def _counted(messages: int) -> str:
    return "1 message" if messages == 1 else f"{messages} messages"


def _named(streams: list[str]) -> str:
    more = f" and {len(streams) - NAMES_SHOWN} more" if len(streams) > NAMES_SHOWN else ""
    return f"{len(streams)}" + (f" ({', '.join(streams[:NAMES_SHOWN])}{more})" if streams else "")
