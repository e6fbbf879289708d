"""`data-collector simulate --recording`: what RECORD has kept, as an exchange that one can connect to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from msgspec import structs

from data_collector.model.errors import Misconfigured
from data_collector.recording.lines import Head
from data_collector.recording.reading import ExchangeRecording, find_recordings
from data_collector.settings.fields import variable_of
from data_collector.simulator.playback.playback import Playback, Recorded
from data_collector.simulator.settings import SimulatorSettings
from data_collector.venues.discovery import find_speaker, find_venue


def playback_of(folder: Path, settings: SimulatorSettings, exchanges: Sequence[str] | None) -> Playback:
    """What is in a folder; of `exchanges` alone where they are named. Raises `Misconfigured`."""
    found = {}
    for recording in find_recordings(folder):
        name = recording.head().exchange
        if name in found:
            raise Misconfigured(f"{folder} holds several recordings of {name}: name the folder of one.")
        found[name] = recording
    wanted = list(dict.fromkeys(exchanges or found))
    if missing := [name for name in wanted if name not in found]:
        raise Misconfigured(f"{folder} holds nothing of {', '.join(missing)}, but of {', '.join(found)}.")
    # What an exchange would refuse was not refused then.
    settings = structs.replace(settings, enforce_limits=False)
    return Playback(settings, [_recorded(name, found[name]) for name in wanted])


def _recorded(name: str, recording: ExchangeRecording) -> Recorded:
    return Recorded(recording, find_speaker(name), find_venue(name).codec)


def tell_recording(playback: Playback) -> None:
    """Where it is, and how the collector gets to it."""
    print("A recording is waiting for a collector:")
    for each in playback.exchanges:
        found = each.contents
        missing = f", {found.left_out:,} lines are missing" if found.left_out else ""
        print(
            f"  {each.name}: {_time(found.first_ns)} to {_time(found.last_ns)}, {found.frames:,} frames,"
            f" {len(found.answers):,} answers{missing}"
        )
    print("Point the collector at it, with a store of its own, with:")
    print(f"  export EXCHANGES={','.join(playback.addresses)}")
    for each in playback.exchanges:
        print(f"  export {variable_of('symbols', each.name)}={','.join(each.contents.symbols)}")
        print(f"  export {variable_of('ws_url', each.name)}={each.addresses.ws_url}")
        print(f"  export {variable_of('rest_url', each.name)}={each.addresses.rest_url}")
    for line in _collected(playback.exchanges[0].contents.head):
        print(line)
    print(f"How far it is: {playback.rest_url}/simulator/state  End: Ctrl-C", flush=True)


def tell_end(playback: Playback) -> None:
    """What came of it."""
    sent = sum(each.frames_sent for each in playback.exchanges)
    unheard = sum(each.unheard for each in playback.exchanges)
    lost = f"; {unheard:,} frames were for nobody, because no client asked for their streams" if unheard else ""
    print(f"The recording is over: {sent:,} frames sent{lost}. It stays connected until Ctrl-C.", flush=True)


def _collected(head: Head) -> list[str]:
    # Of an exchange that has no klines of its own they are made of trades, whose channel was added.
    return [f"  export INTERVALS={','.join(head.intervals)}", f"  export CHANNELS={','.join(head.channels)}"]


def _time(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S")
