"""Folders in which an embedded store has been before: another one begins empty, and looks like lost data."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from data_collector.embedded.valkey import KEPT
from data_collector.observe.logs import Log


def with_store(folders: Iterable[Path]) -> list[Path]:
    """Those in which one has written."""
    return [folder for folder in folders if (folder / KEPT).is_dir()]


def tell_left_behind(own: Path, folders: Iterable[Path], log: Log) -> None:
    """Of the stores in `folders` that nobody reads, when ours is the one in `own`. Blocks."""
    others = [folder for folder in with_store(folders) if folder != own]
    if others:
        what = "goes on" if with_store([own]) else "begins empty"
        names = " and ".join(str(folder) for folder in others)
        log.warning(
            "notice",
            text=f"The store in {own} {what}. {names} has a store of former days, which is not read: collect that "
            "exchange too (EXCHANGES), or give another VAR_DIR.",
        )
