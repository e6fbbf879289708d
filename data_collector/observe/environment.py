"""The environment of the processes that we start."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import data_collector


def with_package(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment in which this very package is found, also when we were started from another folder."""
    root = str(Path(data_collector.__file__).parent.parent)
    others = environment.get("PYTHONPATH")
    return {**environment, "PYTHONPATH": os.pathsep.join([root, others] if others else [root])}
