"""Suites of the past: what a collector judged before an edit or a restart can still be audited by its own rules."""

from __future__ import annotations

import hashlib
import os
import re
from functools import cache
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from data_collector.validation.rules.columns import KINDS, Kind
from data_collector.validation.rules.suite import Suite, shipped_suite

SUITES_KEPT: Final = 50
FILE_BYTES_MAX: Final = 1024 * 1024
"""A suite in force is at most the shipped rules and a user's document of 256 KiB."""

_NAME = re.compile(r"([0-9a-f]{16})\.json")


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
