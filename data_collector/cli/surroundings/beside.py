"""Programs of ours beside others: their options, what they tell who started them, and how none outlives another."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import typer

from data_collector.model.errors import Misconfigured

PARENT_CHECK_S: Final = 0.5
"""How often `--exit-with-parent` looks whether the parent is still there."""

PortFileOption = Annotated[Path | None, typer.Option(help="Write the addresses there as JSON once it listens.")]
ParentOption = Annotated[bool, typer.Option(help="End when the process that started this one is gone.")]
ParentPidOption = Annotated[
    int, typer.Option(help="Which process that is, for starters that may end before this one runs.", hidden=True)
]


def end_with_parent(parent: int) -> None:
    """From now on this process gets SIGTERM when `parent`, or whoever started it where that is 0, is gone."""
    threading.Thread(target=_watch, args=(parent or os.getppid(),), name="parent", daemon=True).start()


def write_ports(path: Path, addresses: Mapping[str, str]) -> None:
    """Tell where we listen, and our process id. Raises `Misconfigured`."""
    # Renamed into place, so that a reader never sees half of it.
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        partial.write_text(json.dumps({**addresses, "pid": os.getpid()}) + "\n")
        partial.rename(path)
    except OSError as error:
        raise Misconfigured(f"--port-file {path} cannot be written ({error.strerror}).") from error


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_S)
    os.kill(os.getpid(), signal.SIGTERM)
