"""The HTTP side as a process of its own with a fake collector behind it, and a client that hides nothing."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from data_collector.model.status import Snapshot

Found = TypeVar("Found")

ROOT = Path(__file__).parents[2]
FAKE = Path(__file__).with_name("fake_collector.py")
DEADLINE_S = 60.0
"""For anything to happen at all; a slow machine only makes the tests slower."""

SERVE = """
import sys
from data_collector.api import create_app
from data_collector.api.app import serve_on
from data_collector.observe.logs import configure_logs
from data_collector.settings import load_settings
from data_collector.web.serving import base_url, listen
configure_logs()
settings = load_settings(env_file=None)
app = create_app(settings, collector_command=sys.argv[1:])
listener = listen(settings.host, settings.port)
print(base_url(listener), flush=True)
raise SystemExit(serve_on(listener, app))
"""

SERVE_SEVERAL = """
import sys
from msgspec.structs import replace
from data_collector.api import create_app
from data_collector.api.app import serve_on
from data_collector.api.collectors import several_of
from data_collector.observe.logs import configure_logs
from data_collector.settings import load_settings
from data_collector.web.serving import base_url, listen
configure_logs()
settings = load_settings(env_file=None)
*command, folder = sys.argv[1:]
commands = {name: [*command, f"{folder}/{name}"] for name in settings.exchanges}
app = create_app(settings, several=replace(several_of(settings), commands=commands))
listener = listen(settings.host, settings.port)
print(base_url(listener), flush=True)
raise SystemExit(serve_on(listener, app))
"""

SERVE_IMPATIENT = "from data_collector.api import collectors\ncollectors.HUNG_S = 4.0\n" + SERVE_SEVERAL

SERVE_BUSY_WRITERS = (
    "import data_collector.web.bounds as bounds\n"
    "bounds.WRITES = bounds.RateLimitItemPerSecond(10_000, namespace='writes')\n" + SERVE
)
"""For tests that write more often than people do, and are about something else."""


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: Message
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> dict[str, object]:
        content = json.loads(self.body)
        assert isinstance(content, dict)
        return content


@dataclass
class HttpService:
    """A running service."""

    process: subprocess.Popen[str]
    url: str
    folder: Path

    def get(self, path: str, **headers: str) -> Answer:
        """Names of headers are written with underscores. Who comes too often waits, as a client should."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        while (answer := self.request("GET", path, headers=given)).status == 429:
            time.sleep(int(answer.headers["Retry-After"]))
        return answer

    def control(self, body: object, **headers: str) -> Answer:
        """Post to /control as a well-behaved client, but for what `headers` say otherwise."""
        given = {"Content-Type": "application/json"} | {n.replace("_", "-"): v for n, v in headers.items()}
        return self.request("POST", "/control", headers=given, body=json.dumps(body).encode())

    def request(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """One request on a connection of its own."""
        place = urlsplit(self.url)
        connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=DEADLINE_S)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def tell(self, snapshot: Snapshot) -> None:
        """What the collector answers from now on."""
        write_snapshot(self.folder, snapshot)

    def questions(self) -> int:
        """How often the fake collector has been asked."""
        return int((self.folder / "questions").read_text())

    def collector_pid(self) -> int:
        """Of the fake collector that runs now."""
        return int((self.folder / "pid").read_text())


def write_snapshot(folder: Path, snapshot: Snapshot) -> None:
    """Replace the fake's answer in one step, because it may be reading."""
    new = folder / "snapshot.new"
    new.write_bytes(msgspec.json.encode(snapshot))
    new.replace(folder / "snapshot.json")


def environment(**settings: str) -> dict[str, str]:
    """The environment of a service with these settings and no others."""
    kept = {
        name: v for name, v in os.environ.items() if name in {"PATH", "HOME", "LANG"} or name.startswith("COVERAGE")
    }
    return {**kept, "PYTHONPATH": str(ROOT), "PORT": "0", "PYTHONUNBUFFERED": "1", **settings}


def fake_command(folder: Path) -> list[str]:
    """What is run in the collector's place."""
    return [sys.executable, str(FAKE), str(folder)]


@contextlib.contextmanager
def running(folder: Path, snapshot: Snapshot, *, script: str = SERVE, **settings: str) -> Iterator[HttpService]:
    """A service that has answered once; stopped at the end."""
    write_snapshot(folder, snapshot)
    command = [sys.executable, "-c", script, *fake_command(folder)]
    with started(command, folder, environment(**settings)) as process:
        assert process.stdout is not None
        service = HttpService(process, process.stdout.readline().strip(), folder)
        service.get("/health")
        yield service


@contextlib.contextmanager
def running_several(
    folder: Path, snapshots: Mapping[str, Snapshot], program: str = SERVE_SEVERAL, **settings: str
) -> Iterator[HttpService]:  # fmt: skip
    """The same of several exchanges, each with a fake of its own in a folder of its name."""
    for name, snapshot in snapshots.items():
        (folder / name).mkdir()
        write_snapshot(folder / name, snapshot)
    command = [sys.executable, "-c", program, *fake_command(folder)]
    variables = environment(EXCHANGES=",".join(snapshots), **settings)
    with started(command, folder, variables) as process:
        assert process.stdout is not None
        service = HttpService(process, process.stdout.readline().strip(), folder)
        service.get("/health")
        yield service


@contextlib.contextmanager
def started(command: list[str], folder: Path, variables: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process in `folder`, with its output in files there but for standard output; ended at the end."""
    with (folder / "stderr").open("w") as errors:
        process = subprocess.Popen(
            command, cwd=folder, env=dict(variables), stdout=subprocess.PIPE, stderr=errors, text=True
        )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(DEADLINE_S)
                except subprocess.TimeoutExpired:
                    process.kill()
