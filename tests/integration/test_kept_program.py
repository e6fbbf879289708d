"""A program beside a command: one that dies is started again where it was, or its end is told."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest
from structlog.testing import capture_logs

from data_collector.cli.surroundings import kept_program
from data_collector.cli.surroundings.kept_program import Kept, beside
from tests.integration.processes import get_json, is_running
from tests.integration.waiting import until

NAME = "The exchange"


class Ports(msgspec.Struct):
    """What a program writes down."""

    pid: int


def arguments(ws_port: int = 0, rest_port: int = 0) -> list[str]:
    return ["simulate", "--ws-port", str(ws_port), "--rest-port", str(rest_port)]


def pid_in(port_file: Path) -> int:
    """Of the process that listens; 0 while there is none."""
    try:
        return msgspec.json.decode(port_file.read_bytes(), type=Ports).pid
    except OSError:
        return 0


def test_program_that_dies_is_started_again_where_it_was_with_pauses_that_grow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(kept_program, "AGAIN_FIRST_S", 0.05)
    port_file, starts = tmp_path / "ports.json", list[list[str]]()

    def again(addresses: Mapping[str, str]) -> list[str]:
        """The first time it cannot start."""
        places = [urlsplit(addresses[name]).port or 0 for name in ("ws_url", "rest_url")]
        starts.append(arguments(*places) if starts else ["no-such-command"])
        return starts[-1]

    with capture_logs() as logs, beside(NAME, arguments(), port_file, Kept(again)) as addresses:
        killed = pid_in(port_file)
        os.kill(killed, signal.SIGKILL)
        until(lambda: "program_up" in [each["event"] for each in logs], "a program that runs again")
        running = pid_in(port_file)
        assert "now_ms" in get_json(f"{addresses['rest_url']}/simulator/state")

    assert [each["restart_s"] for each in logs if each["event"] == "program_restarts"] == [0.05, 0.1]
    assert killed != running
    assert not is_running(running)
    told = re.findall(rf"{NAME}.*", capfd.readouterr().out)
    assert told == [
        f"{NAME} has ended (killed by signal 9); it is started again in 0.05 s.",
        f"{NAME} has ended (exit code 2); it is started again in 0.1 s.",
        f"{NAME} runs again.",
    ]


def test_end_of_a_program_that_cannot_go_on_is_told_with_what_to_do(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    port_file = tmp_path / "ports.json"
    with capture_logs() as logs, beside(NAME, arguments(), port_file, Kept(consequence="Begin anew.")):
        os.kill(pid_in(port_file), signal.SIGKILL)
        until(lambda: logs, "its end in the log")

        until(lambda: f"{NAME} has ended (killed by signal 9). Begin anew." in capfd.readouterr().out, "the screen")

    assert [each["event"] for each in logs] == ["program_ended"]
