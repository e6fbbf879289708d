"""A user's suite file, laid over the shipped rules as SUITES_DIR would lay it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from msgspec import Struct

from data_collector.model.errors import SuiteRefused
from data_collector.observe.escaping import escaped
from data_collector.validation.rules.columns import KINDS, Kind
from data_collector.validation.rules.suite import DOCUMENT_BYTES_MAX, Suite, merged, read_suite, shipped_suite

KindOption = Annotated[Kind | None, typer.Option("--kind", "-k", help="What the rules are about.")]


class SuiteFile(Struct, frozen=True):
    """A file that was read."""

    kind: Kind
    user: Suite
    suite: Suite
    """The shipped rules with the user's laid over them."""


class _Named(Struct):
    name: object = None


def read_suite_file(path: Path, kind: Kind | None) -> SuiteFile:
    """The rules of a file; `kind` where neither the document nor the file's name tells. Raises `SuiteRefused`."""
    origin = str(path)
    content = _content(path)
    known = kind or _kind_of(path, content)
    if known is None:
        reason = f'"name" is none of {", ".join(KINDS)} and neither is the file\'s name: give --kind'
        raise SuiteRefused(origin, [reason])
    user = read_suite(known, content, origin=origin)
    return SuiteFile(known, user, merged(shipped_suite(known), user, origin=origin))


def refusal_lines(refused: SuiteRefused) -> list[str]:
    """One line per fault, fit for a terminal."""
    return [escaped(f"{refused.origin}: {fault}") for fault in refused.faults]


def counted(number: int, noun: str) -> str:
    """`1 rule`, `2 rules`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(DOCUMENT_BYTES_MAX + 1)
    except OSError as error:
        raise SuiteRefused(str(path), [f"it cannot be read ({error.strerror})"]) from error


def _kind_of(path: Path, content: bytes) -> Kind | None:
    try:
        named = msgspec.json.decode(content, type=_Named).name
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        # Whoever reads it as a suite says what is wrong.
        return next((kind for kind in KINDS if path.stem == kind), KINDS[0])
    by_name = next((kind for kind in KINDS if kind == named), None)
    return by_name or next((kind for kind in KINDS if kind == path.stem), None)
