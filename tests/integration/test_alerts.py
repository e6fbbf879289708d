"""Alerts by the real library to a real receiver: begun, ended, grouped, bounded, and told later when it was down."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from data_collector.alerting.courier import Errand, Outcome, deliver
from data_collector.alerting.errand import send
from data_collector.api.alerting import Alerting, Series
from data_collector.model.status import Snapshot
from data_collector.settings import load_settings
from tests.contract.http_service import running
from tests.integration.receiver import Receiver, receiving

# The library's own, while it loads its plugins.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

Line = tuple[str, Mapping[str, str], float]

STORE_UP: Line = ("data_collector_store_up", {}, 1.0)
STORE_DOWN: Line = ("data_collector_store_up", {}, 0.0)
SPOOL_FULL: Line = ("data_collector_spool_full", {}, 1.0)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as listening:
        yield listening


async def without_process(errand: Errand, limit_s: float) -> list[Outcome]:
    """As the courier does it, which takes a second to load what is loaded here once."""
    async with asyncio.timeout(limit_s):
        return await asyncio.to_thread(deliver, errand)


class Scene:
    """The part of the service, with metrics and a time of our own."""

    def __init__(self, folder: Path, *receivers: str, **more: str) -> None:
        self._environment = {"VAR_DIR": str(folder), "ALERT_URLS": " ".join(receivers), **more}
        self.now_s = 1_800_000_000.0
        self.restart()

    def restart(self) -> None:
        self.alerting = Alerting(load_settings(self._environment, None), lambda: self.now_s, without_process)

    async def pass_by(self, seconds: int, *page: Line) -> None:
        async def series() -> Series:
            return iter(page)

        self.alerting.series = series
        for _ in range(seconds // 15):
            self.now_s += 15
            await self.alerting.look()
            await self.alerting.finish()


def kept(folder: Path) -> str:
    """What lies on disk."""
    return "".join(path.read_text() for path in folder.rglob("*.json"))


async def test_what_begins_together_is_one_message_and_its_end_is_told(tmp_path: Path, receiver: Receiver) -> None:
    scene = Scene(tmp_path, receiver.url, ALERT_RUNBOOK_URL="https://host.example/runbook")

    await scene.pass_by(120, STORE_DOWN, SPOOL_FULL)
    await scene.pass_by(60, STORE_UP, SPOOL_FULL)

    begun, ended = receiver.messages
    assert begun.title.endswith(": 2 begun")
    assert begun.type == "failure"
    assert "BEGUN critical CollectorStoreDown: The store of " in begun.message
    assert "https://host.example/runbook#collectorstoredown" in begun.message
    assert "CollectorSpoolRefused" in begun.message
    assert ended.title.endswith(": 1 ended")
    assert "ENDED CollectorStoreDown" in ended.message
    assert "CollectorSpoolRefused" not in ended.message


async def test_what_the_bound_holds_back_is_told_with_its_count(tmp_path: Path, receiver: Receiver) -> None:
    scene = Scene(tmp_path, receiver.url, ALERT_HOURLY_MAX="1")

    await scene.pass_by(120, STORE_DOWN)
    for _ in range(3):
        await scene.pass_by(90, STORE_UP)
        await scene.pass_by(90, STORE_DOWN)
    assert len(receiver.messages) == 1
    samples = {each.labels.get("outcome"): each.value for each in scene.alerting.samples()}
    await scene.pass_by(3600, STORE_UP)

    assert (samples["sent"], samples["held"]) == (1, 1)
    assert len(receiver.messages) == 2
    assert "ENDED CollectorStoreDown" in receiver.messages[1].message
    assert "7 changes were held back, because ALERT_HOURLY_MAX is 1." in receiver.messages[1].message


async def test_receiver_that_was_down_is_told_later_and_the_other_at_once(
    tmp_path: Path, receiver: Receiver, capfd: pytest.CaptureFixture[str]
) -> None:
    with receiving() as other:
        receiver.is_up = False
        scene = Scene(tmp_path, receiver.url, other.url)

        await scene.pass_by(90, STORE_DOWN)
        told, failing = len(other.messages), scene.alerting.reasons
        scene.restart()
        receiver.is_up = True
        await scene.pass_by(90, STORE_DOWN)

    assert told == len(other.messages) == 1
    assert failing[0].startswith("alerts: receiver 1 (json) of ALERT_URLS takes nothing, 1 alerts wait for it: ")
    assert len(receiver.messages) == 1
    assert "BEGUN critical CollectorStoreDown" in receiver.messages[0].message
    assert scene.alerting.reasons == []
    everything = "".join((*failing, *capfd.readouterr(), kept(tmp_path)))
    assert "CollectorStoreDown" in everything
    assert "canary" not in everything


async def test_restart_tells_nothing_twice_and_forgets_no_end(tmp_path: Path, receiver: Receiver) -> None:
    scene = Scene(tmp_path, receiver.url)
    await scene.pass_by(90, STORE_DOWN)

    scene.restart()
    # Before the collector speaks, nothing is known.
    await scene.pass_by(60)
    await scene.pass_by(120, STORE_DOWN)
    begun = len(receiver.messages)
    scene.restart()
    await scene.pass_by(180, STORE_UP)

    assert begun == 1
    assert ["ENDED CollectorStoreDown" in each.message for each in receiver.messages] == [False, True]


async def test_end_that_nobody_wanted_is_told_before_it(tmp_path: Path, receiver: Receiver) -> None:
    scene = Scene(tmp_path, receiver.url)
    await scene.pass_by(15, STORE_UP)

    await scene.alerting.close("The collector process has ended with exit code 70.")
    scene.restart()
    await scene.alerting.close("The collector process has ended with exit code 70.")
    scene.restart()
    await scene.pass_by(180, STORE_UP)

    down, up = receiver.messages
    assert "BEGUN critical CollectorDown" in down.message
    assert "exit code 70" in down.message
    assert "ENDED CollectorDown" in up.message


def test_service_whose_collector_is_killed_says_so_before_it_ends(receiver: Receiver, tmp_path: Path) -> None:
    snapshot = Snapshot(condition="healthy", collector_running=True, exchange="binance", reasons=[])

    with running(tmp_path, snapshot, ALERT_URLS=receiver.url, VAR_DIR=str(tmp_path)) as service:
        metrics = service.get("/metrics/prometheus").body.decode()
        os.kill(service.collector_pid(), signal.SIGKILL)
        assert receiver.came.wait(60)
        service.process.wait(60)

    (told,) = receiver.messages
    assert "BEGUN critical CollectorDown" in told.message
    assert "The collector process has ended with exit code 137" in told.message
    assert 'data_collector_alerts_firing{severity="critical"} 0.0' in metrics
    assert "canary" not in (tmp_path / "stderr").read_text() + metrics + kept(tmp_path)


async def test_each_receiver_is_told_of_by_number_and_kind_and_never_by_its_address(receiver: Receiver) -> None:
    urls = [receiver.url, "json://watchman:canarypassword@127.0.0.1:9/canarytoken", "tgram://canarytoken", "canary://x"]

    outcomes = await send(Errand(urls, "Test", "A test."))

    assert [each.receiver for each in outcomes] == ["1 (json)", "2 (json)", "3 (tgram)", "4 (canary)"]
    assert [each.reason is None for each in outcomes] == [True, False, False, False]
    assert outcomes[2].reason == outcomes[3].reason == "the address is none that apprise can read"
    assert "canary" not in "".join(each.reason or "" for each in outcomes)
    assert receiver.messages[0].message == "A test."


async def test_command_tells_who_has_taken_the_test_and_a_wrong_address_stops_the_start(
    receiver: Receiver, tmp_path: Path
) -> None:
    environment = {**os.environ, "ALERT_URLS": f"{receiver.url} json://watchman:canarypassword@127.0.0.1:9/canarytoken"}
    command = [sys.executable, "-m", "data_collector"]

    sent = await asyncio.to_thread(run, [*command, "alerts", "test"], environment)
    environment |= {"ALERT_URLS": f"{receiver.url} canary://canarytoken", "VAR_DIR": str(tmp_path), "PORT": "0"}
    started = await asyncio.to_thread(run, [*command, "run"], environment)

    assert (sent.returncode, started.returncode) == (1, 78)
    assert [line.partition(":")[0] for line in sent.stdout.splitlines()] == [
        "ok    receiver 1 (json) has taken it",
        "fail  receiver 2 (json) has not",
    ]
    assert started.stderr.startswith("ALERT_URLS: receiver 2 (canary): the address is none that apprise can read.")
    assert "canarypassword" not in sent.stdout + sent.stderr + started.stdout + started.stderr
    assert [each.message for each in receiver.messages] == ["This is a test: alerts arrive."]


def run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
