"""What belongs to the project: the files of the tree without what is built, cached, collected or secret."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
_NOT_OURS = ("__pycache__", ".git", ".hypothesis", "build", "dist", "htmlcov", "node_modules", "results", "var")


def project_files(*suffixes: str) -> Iterator[Path]:
    """Every file whose name ends in one of `suffixes`; all of them when none is given."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if not _is_not_ours(name)]
        for name in names:
            if name.endswith(suffixes or "") and name != ".env" and not name.startswith(".coverage"):
                yield Path(folder, name)


def source_modules() -> list[Path]:
    """The Python that users run: package, shims and benchmarks."""
    folders = ("data_collector", "benchmarks", "api.py", "collector.py")
    return sorted(path for path in project_files(".py") if path.relative_to(ROOT).parts[0] in folders)


def read(path: Path | str) -> str:
    """The text of a file of the tree."""
    return (ROOT / path).read_text(encoding="utf-8")


def _is_not_ours(name: str) -> bool:
    return name in _NOT_OURS or name.startswith(".venv") or name.endswith(("_cache", ".egg-info"))
