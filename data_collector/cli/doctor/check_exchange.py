"""What `doctor` asks the exchange: is it there, what time has it, does it know the symbols, do streams open."""

from __future__ import annotations

import asyncio
import time

from data_collector.cli.doctor.check_streams import check_streams, network_cure
from data_collector.cli.doctor.finding import Finding
from data_collector.model.errors import VenueRefused, VenueUnreachable
from data_collector.model.venue import TRADING, ExchangeApi, Venue
from data_collector.observe.escaping import escaped
from data_collector.settings import Settings
from data_collector.settings.fields import variable_of

OFFSET_WARN_MS = 1000.0
OFFSET_FAIL_MS = 60_000.0
"""A record that is more than this ahead of our clock is taken for a fault."""

NAMES_SHOWN = 10


async def check_exchange(settings: Settings, venue: Venue) -> list[Finding]:
    """All findings about the exchange; REST and streams are asked side by side."""
    rest = venue.open_rest(settings.rest_url, use_proxy=settings.use_proxy, api_key=settings.rest_key)
    try:
        found, streams = await asyncio.gather(_check_rest(settings, venue, rest), check_streams(settings, venue))
    finally:
        await rest.close()
    return [*found, streams]


async def _check_rest(settings: Settings, venue: Venue, rest: ExchangeApi) -> list[Finding]:
    try:
        asked_ms = time.time() * 1000
        theirs_ms = await rest.server_time_ms()
        answered_ms = time.time() * 1000
    except (VenueUnreachable, VenueRefused) as error:
        return [Finding("exchange", "fail", escaped(str(error)), network_cure(settings))]
    round_trip_ms = answered_ms - asked_ms
    reached = Finding("exchange", "ok", f"{settings.rest_url} answers in {round_trip_ms:.0f} ms")
    clock = _judge_clock(theirs_ms - (asked_ms + answered_ms) / 2, round_trip_ms)
    return [reached, clock, *await _check_symbols(settings, venue, rest)]


def _judge_clock(offset_ms: float, round_trip_ms: float) -> Finding:
    seen = (
        f"this clock is {abs(offset_ms):.0f} ms {'behind' if offset_ms > 0 else 'ahead'}, ±{round_trip_ms / 2:.0f} ms"
    )
    if abs(offset_ms) - round_trip_ms / 2 > OFFSET_FAIL_MS:
        return Finding("clock", "fail", seen, "Set the clock; timedatectl set-ntp true keeps it right.")
    if abs(offset_ms) - round_trip_ms / 2 > OFFSET_WARN_MS:
        return Finding("clock", "warn", seen, "Latencies will be wrong: timedatectl set-ntp true keeps a clock right.")
    return Finding("clock", "ok", seen)


async def _check_symbols(settings: Settings, venue: Venue, rest: ExchangeApi) -> list[Finding]:
    findings = []
    unknown_intervals = [interval for interval in settings.intervals if interval not in venue.intervals]
    if unknown_intervals:
        seen = f"{venue.name} has no interval {_listed(unknown_intervals)}"
        findings.append(Finding("intervals", "fail", seen, f"Choose INTERVALS from {', '.join(venue.intervals)}."))
    try:
        listed = await rest.symbols()
    except (VenueUnreachable, VenueRefused) as error:
        return [*findings, Finding("symbols", "fail", escaped(str(error)), network_cure(settings))]
    unknown = [symbol for symbol in settings.symbols if symbol not in listed]
    resting = [symbol for symbol in settings.symbols if symbol in listed and listed[symbol].status != TRADING]
    if unknown:
        seen = f"the exchange does not have {_listed(unknown)}"
        findings.append(Finding("symbols", "fail", seen, f"Correct {variable_of('symbols', venue.name)}."))
    if resting:
        seen = f"not trading now: {_listed(resting)}"
        findings.append(Finding("symbols", "warn", seen, "They are waited for; nothing to do."))
    if not unknown and not resting:
        findings.append(Finding("symbols", "ok", f"all {len(settings.symbols)} are known and trade"))
    known = [symbol for symbol in settings.symbols if symbol in listed]
    if known and "trade" in settings.channels:
        findings += await _check_old_trades(settings, venue, known[0], rest)
    return findings


async def _check_old_trades(settings: Settings, venue: Venue, symbol: str, rest: ExchangeApi) -> list[Finding]:
    """Trades by their ids are what gaps are healed with; nothing is said where they are given."""
    try:
        await rest.trades(symbol, 0, limit=1)
    except (VenueUnreachable, VenueRefused) as error:
        seen = f"trades are not given by their ids: {escaped(str(error))}"
        cure = network_cure(settings) if rest.key_wanted is None else _key_cure(venue)
        return [Finding("old trades", "warn", seen, cure)]
    return []


def _key_cure(venue: Venue) -> str:
    return (
        f"Set {variable_of('api_key', venue.name)} to a key of this exchange, which needs no rights. Without one only "
        f"the newest {venue.reach.trades_per_answer:,} trades can be brought again; older ones that are missing are "
        "declared lost."
    )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more
