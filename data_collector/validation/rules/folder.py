"""Where suites come from: the shipped ones, with a user's `SUITES_DIR/{kind}.json` laid over them.

A rule there replaces the shipped rule of the same id, or is added; the others follow upgrades. A file that is wrong is
refused as a whole, and the rules that were in force before stay so.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from data_collector.model.errors import SuiteRefused
from data_collector.validation.rules.columns import KINDS, Kind
from data_collector.validation.rules.suite import (
    DOCUMENT_BYTES_MAX,
    Suite,
    difference,
    merged,
    read_suite,
    shipped_suite,
)

_NAMES: Final = tuple(f"{kind}.json" for kind in KINDS)

Stamp = tuple[tuple[str, int, int, int], ...]
"""Name, inode, change time and size of each JSON file of a folder: equal stamps, equal files."""


class LoadedRules(Struct, frozen=True):
    """What a folder, or a validation service, has now."""

    suites: Mapping[Kind, Suite]
    """Of a folder: of the kinds whose file is right or missing."""
    faults: Mapping[str, str]
    """What is offered and cannot be used, by its file name or kind, to the sentence that says what is wrong with it."""


class RulesFolder:
    """The folder of a user's rules. Methods block for the time of a few small files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path_of(self, kind: Kind) -> Path:
        """The file of a kind's rules."""
        return self._folder / f"{kind}.json"

    def stamp(self) -> Stamp:
        """Changes when a file does."""
        try:
            entries = sorted(entry for entry in os.listdir(self._folder) if _is_suite_file(entry))  # noqa: PTH208 (names)
        except OSError:
            return ()
        found = []
        for name in entries:
            try:
                status = (self._folder / name).stat()
            except OSError:
                found.append((name, -1, -1, -1))
            else:
                found.append((name, status.st_ino, status.st_mtime_ns, status.st_size))
        return tuple(found)

    def load(self) -> LoadedRules:
        """Read everything."""
        suites: dict[Kind, Suite] = {}
        faults = {
            name: f"{self._folder / name} is none of {', '.join(_NAMES)}: rename it"
            for name, *_ in self.stamp()
            if name not in _NAMES
        }
        for kind in KINDS:
            try:
                suites[kind] = self.load_kind(kind)
            except SuiteRefused as error:
                faults[f"{kind}.json"] = str(error)
        return LoadedRules(suites, faults)

    def load_kind(self, kind: Kind) -> Suite:
        """The rules of one kind. Raises `SuiteRefused`."""
        path = self.path_of(kind)
        shipped = shipped_suite(kind)
        content = _content(path)
        if content is None:
            return shipped
        return merged(shipped, read_suite(kind, content, origin=str(path)), origin=str(path))

    def save(self, kind: Kind, user: Suite) -> Suite:
        """Keep what of a user's suite is not shipped, in place of what the folder had; returns what is in force then.

        Raises `SuiteRefused` for what cannot be laid over the shipped rules, and `OSError`.
        """
        suite = merged(shipped_suite(kind), user)
        kept = difference(shipped_suite(kind), user)
        content = msgspec.json.format(msgspec.json.encode(kept.document()), indent=2)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Renamed into place, so that a reader never sees half of it.
        partial = self._folder / f".{kind}.json.{os.getpid()}"
        with partial.open("wb") as file:
            file.write(content + b"\n")
            file.flush()
            os.fsync(file.fileno())
        partial.rename(self.path_of(kind))
        return suite


def _is_suite_file(name: str) -> bool:
    return name.endswith(".json") and not name.startswith(".")


def _content(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(DOCUMENT_BYTES_MAX + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SuiteRefused(str(path), [f"it cannot be read ({error.strerror})"]) from error
