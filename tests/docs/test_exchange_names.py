"""Nobody names an exchange but its own folder: what only one has is told by its `Venue`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from data_collector.venues.discovery import venue_names
from tests.docs.tree import ROOT, project_files, read

MIGRATIONS = "data_collector/sinks/postgres/migrations"

ALLOWED = {
    "collector.py": 3,
    "data_collector/model/keys.py": 1,
    f"{MIGRATIONS}/0001_candles_and_trades.sql": 2,
    f"{MIGRATIONS}/0002_gaps_and_cursors.sql": 2,
    f"{MIGRATIONS}/0003_tickers.sql": 1,
    f"{MIGRATIONS}/0005_epochs.sql": 1,
    f"{MIGRATIONS}/0006_quarantine.sql": 1,
    f"{MIGRATIONS}/0009_exchange_of_the_session.sql": 1,
}
"""How often each names one: the class that users subclass, the exchange that is meant where none is named, and steps
that databases have taken. It may only shrink: take away from it, and put nothing in."""


def test_no_file_outside_its_folder_names_an_exchange() -> None:
    names = re.compile("|".join(venue_names()), re.IGNORECASE)
    found = {name: len(names.findall(text)) for name, text in texts()}

    assert {name: count for name, count in found.items() if count} == ALLOWED


def texts() -> Iterator[tuple[str, str]]:
    """The package without the folders of exchanges, the shims, what is deployed, and the rules of imports."""
    folders = tuple(ROOT / "data_collector" / "venues" / name for name in venue_names())
    for path in project_files(".py", ".sql", ".lua", ".json", ".html", ".js", ".yml", ".yaml"):
        if is_ours(path) and not any(path.is_relative_to(folder) for folder in folders):
            yield str(path.relative_to(ROOT)), read(path)
    yield "the import rules of pyproject.toml", read("pyproject.toml").partition("[tool.importlinter]")[2]


def is_ours(path: Path) -> bool:
    """Whether the rule is about this file: tests of what is deployed name whom they like."""
    first, *more = path.relative_to(ROOT).parts
    return first in {"data_collector", "deploy", "api.py", "collector.py"} and "tests" not in more
