"""Keeps the gate up to date: with the files in `SUITES_DIR`, or with a validation service.

A suite that is wrong is told and never put in force; the one before stays. Swapping gates takes a moment on the event
loop, between two messages, so none is lost or judged by half a suite.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Final, Protocol

import msgspec
import structlog
from msgspec import Struct, field

from data_collector.model.errors import SuiteRefused, Transient
from data_collector.validation.auditing.ports import UNREADABLE, ServicePort, WorkerPort
from data_collector.validation.gate.compiler import CompiledSuite, compile_suite
from data_collector.validation.gate.gate import CompiledGate, gate_of
from data_collector.validation.rules.columns import KINDS, Kind
from data_collector.validation.rules.folder import LoadedRules, RulesFolder
from data_collector.validation.rules.suite import Suite, check_guards, read_suite, shipped_suite

FOLDER_POLL_S: Final = 1.0
SERVICE_POLL_S: Final = 1.0

FAULTS_MAX: Final = 8
FAULT_CHARACTERS_MAX: Final = 2048
"""Of what a service tells of its files so much is told again."""


class SuiteSource(Protocol):
    """Where suites come from."""

    poll_s: float

    def first(self) -> LoadedRules:
        """What gates from the start: whatever is at hand without waiting. Blocks for a moment."""

    async def changed(self, known: Mapping[Kind, str]) -> LoadedRules | None:
        """What is offered now, given the digests in force; None when that is what it was. Raises `Transient`."""

    async def refused_because(self, suite: Suite) -> list[str] | None:
        """What else speaks against a suite that could be read; None when that cannot be found out now."""


class FolderSource:
    """`SUITES_DIR`, laid over the shipped suites."""

    poll_s = FOLDER_POLL_S

    def __init__(self, folder: Path, worker: WorkerPort | None) -> None:
        self._folder = RulesFolder(folder)
        self._worker = worker
        self._stamp: object = None

    def first(self) -> LoadedRules:
        """See `SuiteSource`."""
        return self._folder.load()

    async def changed(self, known: Mapping[Kind, str]) -> LoadedRules | None:
        """See `SuiteSource`."""
        stamp = await asyncio.to_thread(self._folder.stamp)
        if stamp == self._stamp:
            return None
        self._stamp = stamp
        return await asyncio.to_thread(self.first)

    async def refused_because(self, suite: Suite) -> list[str] | None:
        """Great Expectations itself loads and runs it, where it is at hand."""
        if self._worker is None or suite.digest == shipped_suite(suite.kind).digest:
            return []
        try:
            return await self._worker.check(suite.kind, suite.encoded())
        except Transient as error:
            structlog.get_logger().warning("suite_unchecked", kind=suite.kind, reason=str(error))
            return None


class _Listed(Struct):
    digest: str


class _Listing(Struct):
    suites: dict[Kind, _Listed]
    faults: dict[str, str] = field(default_factory=dict)
    """File of its `SUITES_DIR` to why it is refused."""


class ServiceSource:
    """A validation service; what it had last is kept in a file for a start without it."""

    poll_s = SERVICE_POLL_S

    def __init__(self, url: str, port: ServicePort, kept: Path | None) -> None:
        """`kept` None: for a command, which asks once."""
        self._url = url
        self._port = port
        self._kept = kept

    def first(self) -> LoadedRules:
        """See `SuiteSource`."""
        suites: dict[Kind, Suite] = {}
        if self._kept is None:
            return LoadedRules(suites, {})
        for kind in KINDS:
            try:
                suites[kind] = self._read(kind, (self._kept / f"{kind}.json").read_bytes())
            except (OSError, SuiteRefused):
                # The shipped one gates until the service has answered.
                continue
        return LoadedRules(suites, {})

    async def changed(self, known: Mapping[Kind, str]) -> LoadedRules:
        """See `SuiteSource`."""
        try:
            listing = msgspec.json.decode(await self._port.get("/suites"), type=_Listing)
        except UNREADABLE as error:
            raise Transient(f"{self._url}/suites answered with something else ({error})") from error
        suites: dict[Kind, Suite] = {}
        faults = self._told(listing.faults)
        for kind, listed in listing.suites.items():
            if listed.digest == known[kind]:
                continue
            content = await self._port.get(f"/suites/{kind}")
            try:
                suites[kind] = self._read(kind, content)
            except SuiteRefused as error:
                faults[kind] = str(error)
            else:
                await asyncio.to_thread(self._keep, kind, content)
        return LoadedRules(suites, faults)

    async def refused_because(self, suite: Suite) -> list[str] | None:
        """The service has had it checked."""
        return []

    def _told(self, faults: Mapping[str, str]) -> dict[str, str]:
        """What it refuses itself, where people look who never ask it."""
        return {
            name: f"{self._url}: {fault[:FAULT_CHARACTERS_MAX]}" for name, fault in islice(faults.items(), FAULTS_MAX)
        }

    def _read(self, kind: Kind, content: bytes) -> Suite:
        origin = f"the {kind} suite of {self._url}"
        suite = read_suite(kind, content, source="shipped", origin=origin)
        check_guards(shipped_suite(kind), suite, origin=origin)
        return suite

    def _keep(self, kind: Kind, content: bytes) -> None:
        if self._kept is None:
            return
        try:
            self._kept.mkdir(mode=0o700, parents=True, exist_ok=True)
            partial = self._kept / f".{kind}.{os.getpid()}"
            partial.write_bytes(content)
            partial.rename(self._kept / f"{kind}.json")
        except OSError as error:
            # It gates all the same; only a start without the service would not know it.
            structlog.get_logger().warning("suite_not_kept", kind=kind, reason=str(error))


class SuiteKeeper:
    """One eternal task; the gate in force is `gate`."""

    def __init__(self, source: SuiteSource, install: Callable[[CompiledGate], None]) -> None:
        """`install` puts a gate in force; it is called on the event loop."""
        self._source = source
        self._install = install
        offered = source.first()
        self.faults: dict[str, str] = dict(offered.faults)
        """Why something that is offered is not in force."""
        self.down_reason: str | None = None
        """Why the source cannot be asked."""
        self._asked_s: float | None = None
        self.gate = gate_of({kind: offered.suites.get(kind, shipped_suite(kind)) for kind in KINDS})
        self._unchecked: set[Kind] = {kind for kind in KINDS if kind in offered.suites}
        for fault in self.faults.values():
            structlog.get_logger().error("suite_refused", reason=fault)

    @property
    def silent_s(self) -> float:
        """How long the source has owed an answer; 0 while it owes none."""
        return 0.0 if self._asked_s is None else time.monotonic() - self._asked_s

    async def run(self) -> None:
        """Look for changes; never returns."""
        while True:
            self._asked_s = time.monotonic()
            try:
                offered = await self._source.changed({kind: self.gate.suites[kind].digest for kind in KINDS})
            except Transient as error:
                self._note_down(str(error))
                self._asked_s = None
            else:
                self._note_up()
                self._asked_s = None
                if offered is None and self._unchecked:
                    in_force = {kind: self.gate.suites[kind].suite for kind in self._unchecked}
                    offered = LoadedRules(in_force, self.faults)
                if offered is not None:
                    await self._take(offered)
            await asyncio.sleep(self._source.poll_s)

    async def _take(self, offered: LoadedRules) -> None:
        faults = dict(offered.faults)
        changed: dict[Kind, CompiledSuite] = {}
        for kind, suite in offered.suites.items():
            is_new = suite.digest != self.gate.suites[kind].digest
            if not is_new and kind not in self._unchecked:
                continue
            found = await self._source.refused_because(suite)
            self._unchecked.discard(kind)
            if found is None:
                self._unchecked.add(kind)
            if found:
                faults[kind] = str(SuiteRefused(f"the {kind} suite", found))
                if is_new:
                    continue
                # It gates already: nobody could be asked when it came.
                changed[kind] = compile_suite(shipped_suite(kind))
            elif is_new:
                changed[kind] = await asyncio.to_thread(compile_suite, suite)
        for name in faults.keys() - {name for name, fault in self.faults.items() if faults.get(name) == fault}:
            structlog.get_logger().error("suite_refused", reason=faults[name])
        self.faults = faults
        if changed:
            self.gate = CompiledGate(self.gate.suites | changed)
            self._install(self.gate)
            digests = {kind: compiled.digest for kind, compiled in changed.items()}
            structlog.get_logger().info("suites_changed", **digests)

    def _note_down(self, reason: str) -> None:
        if self.down_reason is None:
            structlog.get_logger().warning("suites_unreachable", reason=reason)
        self.down_reason = reason

    def _note_up(self) -> None:
        if self.down_reason is not None:
            structlog.get_logger().info("suites_reachable")
        self.down_reason = None
