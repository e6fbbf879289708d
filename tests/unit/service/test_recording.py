"""The part that records: told when the disk refuses, and without effect where nothing asks for it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from data_collector.model.status import Snapshot
from data_collector.observe.counters import Counters
from data_collector.service.watches.recording import Recording, recording_folder, secrets_of
from data_collector.settings import Settings, load_settings
from data_collector.venues.binance.venue import VENUE
from tests.integration.waiting import until_async


def settings(**variables: str) -> Settings:
    return load_settings(variables, None)


async def test_disk_that_refuses_is_told_with_the_cure(tmp_path: Path) -> None:
    (tmp_path / "binance").write_text("in the way")
    counters, snapshot = Counters(), Snapshot(symbols=["BTCUSDT"])
    recording = Recording(settings(RECORD=str(tmp_path), SYMBOLS="BTCUSDT"), VENUE, counters)
    recorder = recording.recorder
    assert recorder is not None
    assert recording.report(snapshot).reasons == ()
    running = asyncio.create_task(recorder.run())
    recorder.answer("/x", {}, 200, {}, b"{}", 1)
    await until_async(lambda: recording.report(snapshot).reasons)
    await until_async(lambda: _counted(counters, "data_collector_recording_left_out_total"))

    health = recording.report(snapshot)
    assert health.ready
    assert not health.is_losing
    (reason,) = health.reasons
    assert f"{tmp_path} cannot be written (File exists), and 2 lines are left out; make room or make it" in reason
    assert _counted(counters, "data_collector_recording_down") == 1
    running.cancel()
    await recording.close()


def test_nothing_is_recorded_unless_it_is_asked_for() -> None:
    assert Recording(settings(), VENUE, Counters()).recorder is None


def test_every_secret_is_known_also_the_password_within_a_url() -> None:
    given = settings(
        REDIS_URL="redis://who:canary1@store:6379/0", DATABASE_URL="postgresql://who:canary4@there/candles",
        BINANCE_API_KEY="canary2", CONTROL_TOKEN="canary3",
    )  # fmt: skip

    assert {"canary1", "canary2", "canary3", "canary4"} <= set(secrets_of(given))


def test_exchanges_have_folders_of_their_own() -> None:
    assert recording_folder(Path("there"), "kraken") == Path("there/kraken")
    assert recording_folder(Path("there"), "mine:a/b") == Path("there/mine.a.b")


def _counted(counters: Counters, name: str) -> float:
    return sum(sample.value for sample in counters.samples() if sample.name == name)
