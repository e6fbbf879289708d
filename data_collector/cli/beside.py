"""Programs of ours that run beside a command for as long as it does: started, awaited, ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from data_collector.model.errors import Unavailable

START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 5.0


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
        told: dict[str, object] = json.loads(port_file.read_text())
        yield {key: str(value) for key, value in told.items()}
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
