"""The suites in force: read at start, watched for edits by hand, replaced by PUT. Those who change them take turns.

Suites of the past are kept: what a collector judged before an edit or a restart can still be audited by its own rules.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct

from data_collector.model.errors import SuiteRefused
from data_collector.observe.logs import get_log
from data_collector.validation.gate.compiler import CompiledSuite, compile_suite
from data_collector.validation.rules.columns import KINDS, Kind
from data_collector.validation.rules.folder import LoadedRules, RulesFolder, Stamp
from data_collector.validation.rules.suite import Suite, difference, merged, read_suite, shipped_suite

LOOK_S: Final = 1.0
"""An edit by hand comes into force within two of these."""

Source = Literal["file", "put"]

Check = Callable[[Suite], Awaitable[list[str] | None]]
"""Real Great Expectations' opinion of a suite: its faults; None when it cannot be asked now."""

_log = get_log()

SUITES_KEPT: Final = 50
FILE_BYTES_MAX: Final = 1024 * 1024
"""A suite in force is at most the shipped rules and a user's document of 256 KiB."""

_NAME = re.compile(r"([0-9a-f]{16})\.json")


class Stale(Exception):
    """The suite is another one by now than the client thinks."""


class Accepted(Struct, frozen=True):
    """A suite that was PUT and is in force."""

    suite: Suite
    kept: list[str]
    """Ids of the rules that are stored as the user's."""
    checked: bool
    """Whether real Great Expectations has loaded it."""


class Rulebook:
    """Compiled suites by kind. A file that is wrong leaves what was in force before, and a fault that tells of it."""

    def __init__(
        self, folder: RulesFolder, past: PastSuites, *, check: Check, on_change: Callable[[Kind, Source], None]
    ) -> None:
        self._folder = folder
        self._past = past
        self._check = check
        self._on_change = on_change
        self._turn = asyncio.Lock()
        self._stamp: Stamp | None = None
        self._unchecked: set[Kind] = set()
        self._file_faults: Mapping[str, str] = {}
        self._gx_faults: dict[str, str] = {}
        self._compiled: dict[Kind, CompiledSuite] = {}

    @property
    def faults(self) -> dict[str, str]:
        """File name to the sentence that says why it is not in force."""
        return {**self._gx_faults, **self._file_faults}

    def in_force(self, kind: Kind) -> CompiledSuite:
        """What records of a kind are judged by."""
        return self._compiled[kind]

    def document(self, digest: str) -> bytes | None:
        """The suite of a digest that is or was in force."""
        return self._past.document(digest)

    async def load(self) -> None:
        """At start. Where a file is refused, the last suite that was in force goes on, or the shipped one."""
        await asyncio.to_thread(self._past.load)
        self._stamp = await asyncio.to_thread(self._folder.stamp)
        loaded = await asyncio.to_thread(self._folder.load)
        self._tell_faults(loaded.faults)
        for kind in KINDS:
            suite = loaded.suites.get(kind)
            if suite is None:
                suite = await asyncio.to_thread(self._last_known, kind)
            await self._put_in_force(await asyncio.to_thread(compile_suite, suite))
            self._unchecked.add(kind)

    async def watch(self) -> None:
        """Look for edits by hand, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            async with self._turn:
                await self._refresh()
                await self._check_late()

    async def put(self, kind: Kind, content: bytes, *, expected: Callable[[str], bool]) -> Accepted:
        """Keep and use a user's suite. Raises `SuiteRefused`, `OSError`, and `Stale` if `expected(digest)` is false."""
        async with self._turn:
            await self._refresh()
            if not expected(self._compiled[kind].digest):
                raise Stale
            user = await asyncio.to_thread(read_suite, kind, content)
            suite = merged(shipped_suite(kind), user)
            compiled = await asyncio.to_thread(compile_suite, suite)
            faults = await self._check(suite)
            if faults:
                raise SuiteRefused(f"the {kind} suite", faults)
            await asyncio.to_thread(self._folder.save, kind, user)
            # What it wrote is known; another file that changed meanwhile is read by the next look.
            loaded = await asyncio.to_thread(self._folder.load)
            self._tell_faults(loaded.faults)
            await self._use(kind, compiled, source="put", checked=faults is not None)
            kept = [rule.id for rule in difference(shipped_suite(kind), user).rules]
            return Accepted(suite, kept, faults is not None)

    async def _refresh(self) -> None:
        """Read the folder again if a file of it has changed."""
        stamp = await asyncio.to_thread(self._folder.stamp)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        loaded: LoadedRules = await asyncio.to_thread(self._folder.load)
        for kind, suite in loaded.suites.items():
            if suite.digest == self._compiled[kind].digest:
                self._gx_faults.pop(f"{kind}.json", None)
                continue
            faults = await self._check(suite)
            if faults:
                self._refuse(kind, faults)
                continue
            compiled = await asyncio.to_thread(compile_suite, suite)
            await self._use(kind, compiled, source="file", checked=faults is not None)
        # Last, so that who sees a fault gone finds the mended suite in force.
        self._tell_faults(loaded.faults)

    async def _check_late(self) -> None:
        """What came into force while the worker was not up. It stays in force: the gate can do it, the audit cannot.

        One of them at a look: an edit by hand must not wait for all that a busy worker is asked.
        """
        if not self._unchecked:
            return
        kind = min(self._unchecked)
        faults = await self._check(self._compiled[kind].suite)
        if faults is None:
            return
        self._unchecked.discard(kind)
        if faults:
            self._refuse(kind, faults)

    async def _use(self, kind: Kind, compiled: CompiledSuite, *, source: Source, checked: bool) -> None:
        self._gx_faults.pop(f"{kind}.json", None)
        self._unchecked.discard(kind)
        if not checked:
            self._unchecked.add(kind)
        if compiled.digest == self._compiled[kind].digest:
            return
        await self._put_in_force(compiled)
        self._on_change(kind, source)
        _log.info("suite_in_force", kind=kind, digest=compiled.digest, source=source, rules=len(compiled.suite.rules))

    async def _put_in_force(self, compiled: CompiledSuite) -> None:
        self._compiled[compiled.suite.kind] = compiled
        try:
            await asyncio.to_thread(self._past.keep, compiled.suite)
        except OSError as error:
            _log.error("suite_history_not_written", digest=compiled.digest, reason=str(error))

    def _last_known(self, kind: Kind) -> Suite:
        """What was in force before this start, under the shipped rules of this version."""
        shipped = shipped_suite(kind)
        document = self._past.newest(kind)
        if document is None:
            return shipped
        try:
            return merged(shipped, read_suite(kind, document))
        except SuiteRefused:
            return shipped

    def _refuse(self, kind: Kind, faults: list[str]) -> None:
        refusal = SuiteRefused(str(self._folder.path_of(kind)), [f"Great Expectations: {fault}" for fault in faults])
        self._gx_faults[f"{kind}.json"] = str(refusal)
        _log.error("suite_refused", file=f"{kind}.json", reason=str(refusal))

    def _tell_faults(self, faults: Mapping[str, str]) -> None:
        """Each fault is logged once."""
        for name, sentence in faults.items():
            if self._file_faults.get(name) != sentence:
                _log.error("suite_refused", file=name, reason=sentence)
        for name in self._file_faults.keys() - faults.keys():
            _log.info("suite_mended", file=name)
        self._file_faults = faults


class PastSuites:
    """The newest `SUITES_KEPT` suites that were in force, in memory and as `{digest}.json` files; older ones go.

    `load` and `keep` block for the time of small files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._documents: dict[str, bytes] = {}

    def load(self) -> None:
        """Read what earlier runs left; a file that is not what its name says is passed over."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = []
        for path in self._folder.iterdir():
            name = _NAME.fullmatch(path.name)
            if name is not None:
                found.append((path.stat().st_mtime_ns, name[1], path))
        for _, digest, path in sorted(found):
            with path.open("rb") as file:
                content = file.read(FILE_BYTES_MAX)
            if hashlib.sha256(content).hexdigest()[:16] == digest:
                self._documents[digest] = content

    def keep(self, suite: Suite) -> None:
        """A suite has come into force. Raises `OSError` when it cannot be written; it is known all the same."""
        digest = suite.digest
        # Anew at the end: the order is that of coming into force.
        self._documents.pop(digest, None)
        self._documents[digest] = suite.encoded()
        oldest = list(self._documents)[:-SUITES_KEPT]
        for each in oldest:
            del self._documents[each]
        partial = self._folder / f".{digest}.{os.getpid()}"
        partial.write_bytes(self._documents[digest])
        partial.rename(self._path_of(digest))
        for each in oldest:
            self._path_of(each).unlink(missing_ok=True)

    def document(self, digest: str) -> bytes | None:
        """The suite of a digest: one that was in force here, or is shipped and gates a collector that finds nobody."""
        return self._documents.get(digest) or _shipped_documents().get(digest)

    def newest(self, kind: Kind) -> bytes | None:
        """The suite of a kind that was the last one in force."""
        for document in reversed(self._documents.values()):
            if msgspec.json.decode(document, type=_Named).name == kind:
                return document
        return None

    def _path_of(self, digest: str) -> Path:
        return self._folder / f"{digest}.json"


@cache
def _shipped_documents() -> dict[str, bytes]:
    suites = [shipped_suite(kind) for kind in KINDS]
    return {suite.digest: suite.encoded() for suite in suites}


class _Named(Struct):
    name: str
