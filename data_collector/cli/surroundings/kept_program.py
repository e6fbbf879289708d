"""A program of ours beside a command: started, awaited, started again when it dies, and ended with the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from msgspec import Struct

from data_collector.model.backoff import Backoff
from data_collector.model.errors import Misconfigured, Unavailable
from data_collector.observe.logs import get_log
from data_collector.observe.output import tell

START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 5.0

TOLD_AFTER_S: Final = 5.0
"""A start that takes longer is told: nothing else is on the screen yet."""

AGAIN_FIRST_S: Final = 0.5
AGAIN_LONGEST_S: Final = 60.0

LOOK_S: Final = 0.05
"""Between two looks for what a program that starts writes down."""


class Kept(Struct, frozen=True):
    """What becomes of a program that ends by itself."""

    again: Callable[[Mapping[str, str]], Sequence[str]] | None = None
    """The arguments with which it is started again at the addresses that it had; None where that is of no use."""
    consequence: str = ""
    """For people, where it is not started again: what that means, and what to do."""


@contextmanager
def beside(
    name: str, arguments: Sequence[str], port_file: Path, kept: Kept, environment: Mapping[str, str] | None = None
) -> Iterator[dict[str, str]]:  # fmt: skip
    """Run `data-collector ARGUMENTS…`, and yield what it wrote into its port file. Raises `Unavailable`.

    `name` is what people call it. The program ends with us, whatever happens to us. If it ends before, that is told on
    the screen and in the log, and it is started again as `kept` says, with pauses that grow.
    """
    program = _Program(name, port_file, environment)
    try:
        program.start(arguments)
        addresses = program.awaited()
        threading.Thread(target=program.keep, args=(kept, addresses), name="kept", daemon=True).start()
        yield addresses
    finally:
        program.end()


class _Program:
    """One program, of which there are several processes, one after the other. A thread of its own keeps it."""

    def __init__(self, name: str, port_file: Path, environment: Mapping[str, str] | None) -> None:
        self._name = name
        self._port_file = port_file
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._ending = threading.Event()
        self._turn = threading.Lock()

    def start(self, arguments: Sequence[str]) -> None:
        """Start a process, unless we are ending. Raises `OSError`."""
        with self._turn:
            if self._ending.is_set():
                return
            self._port_file.unlink(missing_ok=True)
            # A session of its own: Ctrl-C must reach the collector first, and it hears of the end from us.
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
                [
                    sys.executable, "-m", "data_collector", *arguments, "--exit-with-parent", "--parent",
                    str(os.getpid()), "--port-file", str(self._port_file),
                ],
                start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=self._environment,
            )  # fmt: skip

    def awaited(self) -> dict[str, str]:
        """What it has written down of itself, once it has. Raises `Unavailable`."""
        assert self._process is not None, "start() comes first"
        begun_s, is_told = time.monotonic(), False
        while not self._port_file.exists():
            waited_s = time.monotonic() - begun_s
            if self._process.poll() is not None:
                raise Unavailable(f"{self._name} ended at once; its reason stands above.")
            if waited_s > START_TIMEOUT_S:
                raise Unavailable(f"{self._name} did not start within {START_TIMEOUT_S:.0f} s.")
            if waited_s > TOLD_AFTER_S and not is_told:
                is_told = True
                tell(f"Not up yet: {self._name[0].lower()}{self._name[1:]} is starting.")
            time.sleep(LOOK_S)
        variables: dict[str, object] = json.loads(self._port_file.read_text())
        return {key: str(value) for key, value in variables.items()}

    def keep(self, kept: Kept, addresses: Mapping[str, str]) -> None:
        """Until `end`, or until there is no use in another start."""
        backoff = Backoff(AGAIN_FIRST_S, AGAIN_LONGEST_S, jitter=False)
        begun_s = time.monotonic()
        while True:
            code = self._ended()
            if self._ending.is_set():
                return
            how = f"{self._name} has ended ({_told(code)})"
            if kept.again is None or code == Misconfigured.exit_code:
                get_log().error("program_ended", program=self._name, exit_code=code)
                tell(f"{how}. {kept.consequence or 'Its reason stands above; it is not started again.'}")
                return
            wait_s = backoff.next_delay_s(served_s=time.monotonic() - begun_s)
            get_log().error("program_restarts", program=self._name, exit_code=code, restart_s=wait_s)
            tell(f"{how}; it is started again in {wait_s:g} s.")
            if self._ending.wait(wait_s):
                return
            begun_s = time.monotonic()
            if self._is_up_again(kept.again(addresses)):
                get_log().info("program_up", program=self._name, seconds=round(time.monotonic() - begun_s, 1))
                tell(f"{self._name} runs again.")

    def end(self) -> None:
        """Start nothing more, and end what runs, by force if need be."""
        with self._turn:
            self._ending.set()
            process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _ended(self) -> int:
        assert self._process is not None, "start() comes first"
        return self._process.wait()

    def _is_up_again(self, arguments: Sequence[str]) -> bool:
        try:
            self.start(arguments)
            self.awaited()
        except OSError as error:
            get_log().error("program_not_started", program=self._name, reason=error.strerror)
        except Unavailable as error:
            if self._process is not None:
                # One that does not get ready must not stay beside its successor.
                self._process.kill()
            get_log().error("program_not_up", program=self._name, reason=str(error))
        else:
            return not self._ending.is_set()
        return False


def _told(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"killed by signal {-code}"
