"""Ends the embedded servers of a folder when whoever started them was killed, and nobody goes on with them.

Servers outlive a killed collector on purpose: a start soon afterwards adopts them, and nothing is loaded again. A
process of some lines, which costs no more than an interpreter that sleeps, waits for the end of its parent; when that
comes without a word, and nobody holds the folder's lock a minute later, it becomes the program below.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from pathlib import Path

import data_collector
from data_collector.embedded.lock import COLLECTOR_LOCK, SERVERS_LOCK, FileLock
from data_collector.embedded.postgres import EmbeddedPostgres
from data_collector.embedded.valkey import EmbeddedValkey
from data_collector.observe.logs import get_log

GRACE_S = 60.0
"""For a supervisor, or a person, to start it again."""

END_S = 5.0
"""For the guard to end at our word."""

_WAIT = """
import os, sys, time
if not os.read(0, 1):
    time.sleep(float(sys.argv[1]))
    os.execv(sys.executable, [sys.executable, "-m", "data_collector.embedded.guard", *sys.argv[2:]])
"""


class ServersGuard:
    """One for each folder whose servers we run. Methods block for a moment (a process)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin to be watched. Without a guard servers stay, which is no reason not to start."""
        home = Path(data_collector.__file__).parents[1]
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            told = os.open(self._folder / "guard.log", flags, 0o600)
        except OSError as error:
            get_log().warning("embedded_servers_not_guarded", reason=error.strerror)
            return
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
                [sys.executable, "-I", "-S", "-c", _WAIT, str(GRACE_S), str(self._folder)],
                stdin=subprocess.PIPE, stdout=told, stderr=told, cwd=self._folder,
                # Our own variables hold passwords, and this process outlives us.
                env={"LC_ALL": "C.UTF-8", "PYTHONPATH": str(home)}, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            get_log().warning("embedded_servers_not_guarded", reason=error.strerror)
        finally:
            os.close(told)

    def end(self) -> None:
        """We have ended them ourselves."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None, "it is a pipe"
        with contextlib.suppress(OSError), process.stdin as told:
            told.write(b"\n")
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_S)


async def end_left_behind(folder: Path) -> bool:
    """Whether nobody goes on with the servers of a folder: then they have been ended, with everything written out.

    Raises as their `stop`.
    """
    # A collector alone holds one of them, who runs servers for several, or restores, the other.
    owners = [FileLock(folder / name) for name in (SERVERS_LOCK, COLLECTOR_LOCK)]
    try:
        for owner in owners:
            if not await asyncio.to_thread(owner.take):
                return False
        log = get_log()
        log.warning(
            "embedded_servers_left_behind", folder=str(folder), advice="They are ended: nobody goes on with them."
        )
        await EmbeddedPostgres(folder / "postgres", log=log).end_left_behind()
        await EmbeddedValkey(folder, log=log).end_left_behind()
    except FileNotFoundError:
        # The folder is gone.
        return False
    finally:
        for owner in owners:
            owner.release()
    return True


if __name__ == "__main__":
    asyncio.run(end_left_behind(Path(sys.argv[1])))
