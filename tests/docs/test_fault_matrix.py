"""The fault matrix names tests that exist, and all of those that are made for it."""

from __future__ import annotations

import re

from tests.docs.tree import ROOT, project_files, read

ROWS = range(1, 65)
ROW = re.compile(r"^\| (\d+) \|.*$", re.MULTILINE)
NAMED = re.compile(r"`(test_\w+)`")
DEFINED = re.compile(r"^(?:async )?def (test_\w+)\(", re.MULTILINE)
MATRIX = read("docs/fault-matrix.md")


def defined(folder: str) -> set[str]:
    """Names of the tests below a folder."""
    files = [path for path in project_files(".py") if path.is_relative_to(ROOT / folder)]
    return {name for path in files for name in DEFINED.findall(read(path))}


def test_every_row_is_there_once() -> None:
    assert [int(number) for number in ROW.findall(MATRIX)] == list(ROWS)


def test_every_named_test_exists() -> None:
    assert set(NAMED.findall(MATRIX)) - defined("tests") == set()


def test_every_test_of_the_matrix_stands_in_its_row() -> None:
    rows = {match[1]: match[0] for match in ROW.finditer(MATRIX)}
    of_rows = {name: re.match(r"test_row_(\d+)_", name) for name in defined("tests/faults")}

    assert [name for name, row in of_rows.items() if row is None or f"`{name}`" not in rows[row[1]]] == []
