"""One HTTP process before the collectors of several exchanges: what becomes of one that neither ends nor answers."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_collector.model.status import Snapshot
from tests.contract.http_service import SERVE_IMPATIENT, HttpService, running_several
from tests.integration.processes import is_running
from tests.integration.waiting import until

NAMES = ("binance", "coinbase", "kraken")


@pytest.fixture
def several(tmp_path: Path) -> Iterator[HttpService]:
    snapshots = {
        name: Snapshot(condition="healthy", ready=True, collector_running=True, exchange=name) for name in NAMES
    }
    with running_several(
        tmp_path, snapshots, SERVE_IMPATIENT, REDIS_URL="redis://127.0.0.1:1/0", VAR_DIR=str(tmp_path)
    ) as service:
        until(lambda: service.get("/health").status == 200)
        yield service


def pid_of(service: HttpService, name: str) -> int:
    return int((service.folder / name / "pid").read_text())


def reasons(service: HttpService, name: str = "") -> str:
    return str(service.get(f"/health?exchange={name}" if name else "/health").json["reasons"])


def test_one_that_hangs_is_told_and_killed_and_the_others_are_served(several: HttpService) -> None:
    before = {name: pid_of(several, name) for name in NAMES}
    os.kill(before["coinbase"], signal.SIGSTOP)

    until(lambda: several.get("/health").status == 503)
    assert "coinbase: The collector process has not answered" in reasons(several)
    assert several.get("/health/live").status == 200
    for name in ("binance", "kraken"):
        assert several.get(f"/health?exchange={name}").status == 200, name
        assert several.control({"action": "stop", "exchange": name}).status == 200
        assert several.control({"action": "start", "exchange": name}).status == 200

    until(lambda: "coinbase: The collector process did not answer for 4 s and was killed." in reasons(several))
    until(lambda: several.get("/health").status == 200)
    assert not is_running(before["coinbase"])
    assert {name: pid_of(several, name) == before[name] for name in NAMES} == dict.fromkeys(NAMES, True) | {
        "coinbase": False
    }


def test_one_that_hangs_for_a_moment_goes_on(several: HttpService) -> None:
    pid = pid_of(several, "kraken")
    os.kill(pid, signal.SIGSTOP)

    until(lambda: "kraken: The collector process has not answered" in reasons(several))
    os.kill(pid, signal.SIGCONT)

    until(lambda: several.get("/health").status == 200)
    assert pid_of(several, "kraken") == pid
