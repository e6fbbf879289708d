"""The versions that are pinned."""

from __future__ import annotations

import re

from tests.docs.tree import read


def pins(name: str) -> dict[str, str]:
    """Package to version of a compiled file."""
    return dict(re.findall(r"^([A-Za-z0-9_.-]+)(?:\[[^\]]*\])?==([^\s;]+)", read(name), flags=re.MULTILINE))
