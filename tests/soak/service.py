"""One HTTP process that holds a collector for each of several exchanges, and those collectors as seats."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from data_collector.embedded.peer import free_port
from data_collector.model.status import Sample
from data_collector.model.venue import Venue
from tests.integration.processes import ROOT, Exchange, is_running, variables
from tests.soak.counters import Counters, resident_bytes

POLL_S = 1.0
STOP_TIMEOUT_S = 60.0
ANSWER_TIMEOUT_S = 30.0
GONE_POLL_S = 0.02
TOO_MANY = 429


class Service:
    """The process; it comes and goes, its folder and its port stay."""

    def __init__(self, folder: Path, seen: Exchange, **settings: str) -> None:
        folder.mkdir()
        self.folder = folder
        self.starts = 0
        self.ends: list[int] = []
        """Exit codes of processes that ended without being asked to."""
        self.port = free_port()
        self._url = f"http://127.0.0.1:{self.port}"
        self._environment = variables(folder, seen, **settings | {"port": str(self.port)})
        self._process: subprocess.Popen[bytes] | None = None
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """Start a process if none is running."""
        async with self._starting:
            if self._process is None or self._process.poll() is not None:
                self.starts += 1
                with (self.folder / f"service-{self.starts}.log").open("w") as log:
                    self._process = await asyncio.to_thread(
                        subprocess.Popen, [sys.executable, "-m", "data_collector", "run"], cwd=ROOT,
                        env=self._environment, stdout=log, stderr=log,
                    )  # fmt: skip

    async def watch(self) -> None:
        """Start anew what has ended by itself, as an operator's supervisor would."""
        while True:
            await asyncio.sleep(POLL_S)
            if self._process is not None and (code := self._process.poll()) is not None:
                self.ends.append(code)
                await self.start()

    async def kill(self) -> None:
        """kill -9."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            await asyncio.to_thread(process.wait)

    async def terminate(self) -> None:
        """SIGTERM, and wait for the end."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            self.ends.append(-signal.SIGTERM)

    async def reasons(self, exchange: str = "") -> list[str]:
        """What `/health` says is wrong; nothing where it is healthy. Raises `OSError` when it does not answer."""
        answer = json.loads(await self.get(f"/health?exchange={exchange}" if exchange else "/health"))
        return [] if answer["status"] == "healthy" else [str(answer["status"]), *map(str, answer["reasons"])]

    async def control(self, exchange: str, action: str) -> None:
        """Raises `OSError` when it cannot be done."""
        body = json.dumps({"action": action, "exchange": exchange}).encode()
        await asyncio.to_thread(self._ask, "/control", body)

    async def get(self, path: str) -> str:
        """What is answered, whatever the status, but for one that says to come later. Raises `OSError`."""
        return await asyncio.to_thread(self._ask, path)

    def _ask(self, path: str, body: bytes | None = None) -> str:
        request = urllib.request.Request(  # noqa: S310 - our own address
            f"{self._url}{path}", body, {"Content-Type": "application/json"}
        )
        try:
            answer = urllib.request.urlopen(request, timeout=ANSWER_TIMEOUT_S)  # noqa: S310 - our own address
        except urllib.error.HTTPError as refusal:
            # Who strikes has the address that we ask from.
            if body is not None or refusal.code == TOO_MANY:
                raise
            answer = refusal
        with answer:
            text: bytes = answer.read()
        return text.decode()


class ServedCollector:
    """A `Collector` that the service starts, and starts again."""

    def __init__(self, service: Service, venue: Venue) -> None:
        self.name = venue.name
        self.spool = service.folder / venue.folder / "spool"
        self.peak_bytes = 0
        self.starts = 0
        self.ends: list[int] = []
        self.is_stopped = False
        """By an operator, us."""
        self._service = service
        self._record = service.folder / venue.folder / "collector.json"
        self._counters = Counters()
        self._pid: int | None = None

    @property
    def pid(self) -> int | None:
        """Of the process that is there now."""
        try:
            pid = json.loads(self._record.read_text(encoding="utf-8"))["pid"]
        except (OSError, ValueError):
            return None
        assert isinstance(pid, int)
        return pid if is_running(pid) else None

    async def start(self) -> None:
        """The service does, in its own time; what an operator stopped is started."""
        await self._service.start()
        if self.is_stopped:
            await self._service.control(self.name, "start")
            self.is_stopped = False

    async def watch(self) -> None:
        """Sample memory and counters, until cancelled."""
        while True:
            pid = self.pid
            if pid is not None:
                self.peak_bytes = max(self.peak_bytes, resident_bytes(pid))
                if pid != self._pid:
                    self._counters.bury()
                    self.starts, self._pid = self.starts + 1, pid
                await self._look()
            await asyncio.sleep(POLL_S)

    async def kill(self) -> None:
        """kill -9."""
        await self._end(signal.SIGKILL)

    async def terminate(self) -> None:
        """SIGTERM, and wait for the end."""
        await self._end(signal.SIGTERM)

    def hold(self) -> None:
        """SIGSTOP."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def counters(self) -> dict[str, float]:
        """What all its processes counted."""
        return self._counters.totals()

    async def _look(self) -> None:
        try:
            text = await self._service.get(f"/metrics/prometheus?exchange={self.name}")
        except OSError:
            return  # It, or the service, was killed while it was asked.
        families = text_string_to_metric_families(text)
        self._counters.note(
            Sample(each.name, each.value, each.labels) for family in families for each in family.samples
        )

    async def _end(self, number: signal.Signals) -> None:
        pid = self._signal(number)
        if pid is not None:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                while is_running(pid):  # noqa: ASYNC110 - another process's child
                    await asyncio.sleep(GONE_POLL_S)

    def _signal(self, number: signal.Signals) -> int | None:
        pid = self.pid
        if pid is not None:
            os.kill(pid, number)
        return pid
