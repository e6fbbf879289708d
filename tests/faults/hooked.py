"""Our own command with hooks in it: `python -m tests.faults.hooked collect …`.

| variable | hook |
|---|---|
| `BLOCK_S` | SIGUSR1 holds up the event loop for so many seconds, as a blocking call in a callback would |
| `STUCK_BEATS` | so many beats may a loop miss |
| `SYNC_S` | a sync of a file takes so many seconds more |
| `SYNC_FAILURES` | so many syncs fail with EIO, once some have gone well |
| `SYNCED` | a file that gets path and size of all that is synced; once some have gone well, nothing is synced |
| `FUNCTIONS_NOTE` | a comment at the end of the server-side functions: another version of them |
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

GOOD_SYNCS = 5
"""Before a disk begins to fail."""

_sync = os.fdatasync if hasattr(os, "fdatasync") else os.fsync


def hook() -> None:
    """Put the hooks that the environment names in their places."""
    if "FUNCTIONS_NOTE" in os.environ:
        _change_functions(os.environ["FUNCTIONS_NOTE"])
    if "BLOCK_S" in os.environ:
        signal.signal(signal.SIGUSR1, lambda *_: time.sleep(float(os.environ["BLOCK_S"])))
    if "STUCK_BEATS" in os.environ:
        mock.patch("data_collector.service.watches.heartbeat.STUCK_BEATS", int(os.environ["STUCK_BEATS"])).start()
    if "SYNC_S" in os.environ:
        _replace_sync(_slow(float(os.environ["SYNC_S"])))
    if "SYNC_FAILURES" in os.environ:
        _replace_sync(_failing(int(os.environ["SYNC_FAILURES"])))
    if "SYNCED" in os.environ:
        _replace_sync(_forgetting(Path(os.environ["SYNCED"])))


def _replace_sync(sync: Callable[[int], None]) -> None:
    mock.patch.object(os, _sync.__name__, sync).start()


def _slow(seconds: float) -> Callable[[int], None]:
    def sync(descriptor: int) -> None:
        time.sleep(seconds)
        _sync(descriptor)

    return sync


def _failing(failures: int) -> Callable[[int], None]:
    numbers = itertools.count()

    def sync(descriptor: int) -> None:
        if GOOD_SYNCS <= next(numbers) < GOOD_SYNCS + failures:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        _sync(descriptor)

    return sync


def _forgetting(told: Path) -> Callable[[int], None]:
    numbers = itertools.count()

    def sync(descriptor: int) -> None:
        if next(numbers) < GOOD_SYNCS:
            _sync(descriptor)
            path = Path(f"/proc/self/fd/{descriptor}").readlink()
            with told.open("a") as file:
                file.write(f"{os.fstat(descriptor).st_size} {path}\n")

    return sync


def _change_functions(note: str) -> None:
    """Before anything imports their names."""
    read_text = Path.read_text

    def read(path: Path, encoding: str | None = None) -> str:
        text = read_text(path, encoding)
        return f"{text}\n-- {note}\n" if path.name == "functions.lua" else text

    with mock.patch.object(Path, "read_text", read):
        from data_collector.sinks.redis import functions
    assert hashlib.sha256(note.encode()).hexdigest() != functions.DIGEST


if __name__ == "__main__":
    hook()
    from data_collector.__main__ import main

    main()
