"""Files that are written by what declares them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def write_all(folder: Path, suffix: str, wanted: Mapping[str, str]) -> None:
    """Write them, name to content, and delete those with the suffix that are declared no longer."""
    for path in folder.glob(f"*{suffix}"):
        if path.name not in wanted:
            path.unlink()
    for name, content in wanted.items():
        (folder / name).write_text(content, encoding="utf-8")
