"""Programs of ours beside others: how they are started and awaited, their options, and how none outlives another."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer

from data_collector.model.errors import Misconfigured, Unavailable

START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 5.0

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


@contextmanager
def beside(
    name: str, arguments: Sequence[str], port_file: Path, environment: Mapping[str, str] | None = None
) -> Iterator[dict[str, str]]:
    """Run `data-collector ARGUMENTS…`, and yield what it wrote into its port file. Raises `Unavailable`.

    `name` is what people call it. The program ends with us, whatever happens to us.
    """
    port_file.unlink(missing_ok=True)
    # A session of its own: Ctrl-C must reach the collector first, and it hears of the end from us.
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
        [
            sys.executable, "-m", "data_collector", *arguments, "--exit-with-parent", "--parent", str(os.getpid()),
            "--port-file", str(port_file),
        ],
        start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment,
    )  # fmt: skip
    try:
        _await_ports(name, process, port_file)
        variables: dict[str, object] = json.loads(port_file.read_text())
        yield {key: str(value) for key, value in variables.items()}
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_ports(name: str, process: subprocess.Popen[bytes], port_file: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not port_file.exists():
        if process.poll() is not None:
            raise Unavailable(f"{name} ended at once; its reason stands above.")
        if time.monotonic() > deadline:
            raise Unavailable(f"{name} did not start within {START_TIMEOUT_S:.0f} s.")
        time.sleep(0.05)
