"""The folders of the package and the page that explains them (docs/architecture.md) are the same."""

from __future__ import annotations

import re
from pathlib import Path

from tests.docs.tree import ROOT, read

MODULES_MAX = 16
"""Side by side; more is more than one story (docs/decisions/0015-rooms.md)."""


def test_page_lists_every_folder_of_modules_and_no_other() -> None:
    """But for exchanges: none of them needs a change of another file."""
    folders = {path.parent.relative_to(ROOT / "data_collector").as_posix() for path in modules()}

    assert {path for path in folders if not path.startswith("venues/")} - {".", "sinks/postgres/migrations"} == listed()


def test_no_folder_holds_more_modules_than_a_reader_knows() -> None:
    folders = [path.parent for path in modules() if path.name != "__init__.py"]

    assert {str(folder) for folder in folders if folders.count(folder) > MODULES_MAX} == set()


def modules() -> list[Path]:
    return sorted((ROOT / "data_collector").rglob("*.py"))


def listed() -> set[str]:
    """Paths of the folders in the page's tree, by their indentation."""
    tree = read(ROOT / "docs/architecture.md").partition("data_collector/\n")[2].partition("tests/")[0]
    found: set[str] = set()
    parents: list[str] = []
    for indent, names in re.findall(r"^( +)((?:[\w_]+/?, )*[\w_]+/?)", tree, re.MULTILINE):
        depth = len(indent) // 2 - 1
        for name in names.split(", "):
            if name.endswith("/"):
                parents[depth:] = [name.removesuffix("/")]
                found.add("/".join(parents))
    return found - {"api/pages"}
