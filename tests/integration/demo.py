"""`data-collector demo` as a process, with its screen in a file."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.integration.processes import ROOT, end_embedded_postgres, family, get_json
from tests.integration.store_reader import Store
from tests.integration.waiting import DEADLINE_S, until

START_S = 60.0
"""It starts seven processes, one after the other where one needs another."""


@dataclass
class Demo:
    """A running demo in a terminal of its own."""

    process: subprocess.Popen[bytes]
    screen_file: Path
    store: Store
    url: str

    def screen(self) -> str:
        """All that it has printed."""
        return self.screen_file.read_text()

    def health(self) -> dict[str, object]:
        return get_json(f"{self.url}/health")

    def interrupt(self) -> int:
        """Ctrl-C, which a terminal sends to the whole group; the exit code."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(DEADLINE_S)


@contextmanager
def demo(
    folder: Path, *options: str, program: Path | None = None, intervals: str = "1s,1m"
) -> Iterator[Demo]:  # fmt: skip
    """The demo with its screen in a file, of the tree or of an installed `program`; killed hard if the test fails."""
    folder.mkdir(exist_ok=True)
    screen = folder / "screen.txt"
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "COVERAGE_PROCESS_START") if name in os.environ}
    environment = {**kept, "VAR_DIR": str(folder), "PORT": "0", "INTERVALS": intervals}
    environment["GX_AUDIT_SECONDS"] = "1"
    command: list[str | Path] = [program] if program else [sys.executable, "-m", "data_collector"]
    if not program:
        environment["PYTHONPATH"] = str(ROOT)
    with screen.open("w") as output:
        process = subprocess.Popen(
            [*command, "demo", "--trades-per-s", "20", "--past-days", "0", *options],
            cwd=folder, env=environment, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    store: Store | None = None
    try:
        until(
            lambda: "Ctrl-C ends" in screen.read_text(), "the welcome", deadline_s=START_S, output=screen.read_text
        )  # fmt: skip
        store = Store(first(r"REDIS_URL=(\S+)", screen.read_text()))
        yield Demo(process, screen, store, first(r"Page and API +(http://\S+?)/ ", screen.read_text()))
    finally:
        if store is not None:
            store.close()
        for pid in reversed([process.pid, *family(process.pid)]):
            # It may end by itself, as one whose starter is gone does.
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait(DEADLINE_S)
        end_embedded_postgres(folder / "demo")


def first(pattern: str, text: str) -> str:
    """What the pattern's group finds first."""
    found = re.search(pattern, text)
    assert found is not None, text
    return found[1]
