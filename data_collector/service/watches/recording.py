"""The recording of what the exchange says, where RECORD asks for one."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from data_collector import __version__
from data_collector.model.status import Snapshot
from data_collector.model.store_url import parse_store_url
from data_collector.model.venue import ExchangeApi, RestOptions, Venue
from data_collector.observe.counters import Counters
from data_collector.recording.lines import Head
from data_collector.recording.masking import Mask
from data_collector.recording.recorder import Recorder
from data_collector.service.part import Part, PartHealth, Spawn
from data_collector.settings import SECRETS, Settings


class Recording(Part):
    """Does nothing without RECORD. A disk that refuses is told, and hurts nothing else."""

    awaited = "the recording to reach the disk"

    def __init__(self, settings: Settings, venue: Venue, counters: Counters) -> None:
        self._folder = settings.record
        self.recorder: Recorder | None = None
        """What everybody shows it what they hear."""
        if settings.record is not None:
            self.recorder = Recorder(
                recording_folder(settings.record, venue.name), counters, _head(settings, venue),
                Mask(secrets_of(settings)), bytes_max=settings.record_bytes_max,
            )  # fmt: skip

    def open_rest(self, settings: Settings, venue: Venue, counters: Counters) -> ExchangeApi:
        """The exchange's REST side, whose answers are kept too."""
        options = RestOptions(use_proxy=settings.use_proxy, counters=counters, api_key=settings.rest_key)
        if self.recorder is not None:
            options["note"] = self.recorder.answer
        return venue.open_rest(settings.rest_url, **options)

    def start(self, spawn: Spawn) -> None:
        """See `Part`."""
        if self.recorder is not None:
            spawn("recording", self.recorder.run)

    def report(self, snapshot: Snapshot) -> PartHealth:
        """Whether the disk takes it."""
        if self.recorder is None:
            return PartHealth()
        self.recorder.learn(snapshot.symbols)
        if self.recorder.refusal is None:
            return PartHealth()
        reason = (
            f"the recording stands still: {self._folder} cannot be written ({self.recorder.refusal}), and"
            f" {self.recorder.left_out:,} lines are left out; make room or make it writable and it goes on by itself,"
            " or unset RECORD. Nothing else is touched"
        )
        return PartHealth([reason])

    async def close(self) -> None:
        """Write what is left."""
        if self.recorder is not None:
            await self.recorder.close()


def recording_folder(folder: Path, exchange: str) -> Path:
    """Of several exchanges each has a folder of its own."""
    return folder / exchange.replace(":", ".").replace("/", ".")


def secrets_of(settings: Settings) -> list[str]:
    """The keys, tokens and passwords that this process knows."""
    told = [getattr(settings, name) for name in SECRETS]
    found = [each.get_secret_value() for each in told if each is not None]
    if settings.redis_url is not None:
        found.append(parse_store_url(settings.redis_url.get_secret_value()).password or "")
    if settings.database_url is not None:
        found.append(urlsplit(settings.database_url.get_secret_value()).password or "")
    return found


def _head(settings: Settings, venue: Venue) -> Head:
    return Head(
        exchange=venue.name, version=__version__, symbols=settings.symbols, intervals=settings.intervals,
        channels=settings.channels,
    )  # fmt: skip
