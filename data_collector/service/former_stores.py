"""Folders in which an embedded store has been before: another one begins empty, and looks like lost data."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from data_collector.embedded.valkey import KEPT
from data_collector.observe.logs import Log
from data_collector.venues.discovery import find_venue, venue_names


def known_folders(var_dir: Path) -> list[Path]:
    """Those of all exchanges, whether there is anything or not."""
    return [var_dir / find_venue(name).folder for name in venue_names()]


def with_store(folders: Iterable[Path]) -> list[Path]:
    """Those in which one has written."""
    return [folder for folder in folders if (folder / KEPT).is_dir()]


def tell_left_behind(own: Path, log: Log) -> None:
    """Of the stores that nobody reads, when ours is the one in `own`; a demo is beside them all. Blocks."""
    folders = known_folders(own.parent)
    others = [folder for folder in with_store(folders) if folder != own]
    if own in folders and others:
        what = "goes on" if with_store([own]) else "begins empty"
        names = " and ".join(str(folder) for folder in others)
        log.warning(
            "notice",
            text=f"The store in {own} {what}. {names} has a store of former days, which is not read: collect that "
            "exchange too (EXCHANGES), or give another VAR_DIR.",
        )
