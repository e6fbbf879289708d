"""One folder, one user: locks that end with the process that holds them, and tell who that is."""

from __future__ import annotations

import fcntl
import os
import stat
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from data_collector.model.errors import Misconfigured

COLLECTOR_LOCK = "lock"
SERVERS_LOCK = "servers.lock"
"""Of whoever runs the servers of a folder for several collectors."""
DEMO_LOCK = "demo.lock"
"""Of a demo, which writes down its market before any server runs."""
COMMAND_CHARACTERS_MAX = 120
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class Holder(Struct, frozen=True):
    """Who holds a lock, as written into its file."""

    pid: int
    command: str
    since: str
    """ISO-8601 UTC."""


class FileLock:
    """An advisory lock (flock) on a file. It ends when every process that inherited it has ended."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    @property
    def descriptor(self) -> int:
        """For a child that shall keep the lock alive (`pass_fds`)."""
        assert self._descriptor is not None, "the lock is not held"
        return self._descriptor

    def take(self) -> bool:
        """Take the lock if nobody holds it; True when it is ours. Writes who holds it into the file."""
        if self._descriptor is not None:
            return True
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self.path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, msgspec.json.encode(_myself()) + b"\n", 0)
        return True

    def release(self) -> None:
        """Give up our hold; children that inherited the lock still hold it. The file stays, it is harmless."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def holder(self) -> Holder | None:
        """Who wrote into the file last; None when that cannot be read."""
        try:
            return msgspec.json.decode(self.path.read_bytes()[:4096], type=Holder)
        except (OSError, msgspec.MsgspecError, RecursionError):
            return None


def lock_directory(directory: Path, name: str = COLLECTOR_LOCK) -> FileLock:
    """Make `directory` ours for the life of this process; the caller keeps the lock.

    Raises `Misconfigured` when another process has it, with a sentence that says who and since when, or when the
    folder cannot be used. Blocks for a moment (files).
    """
    prepare_directory(directory)
    lock = FileLock(directory / name)
    try:
        taken = lock.take()
    except OSError as error:
        raise _unusable(directory, error) from error
    if not taken:
        raise Misconfigured(
            f"The folder {directory} is in use by {_described(lock.holder())}. "
            "Stop that process, or choose another folder with VAR_DIR."
        )
    return lock


def prepare_directory(directory: Path) -> None:
    """Make the folder if it is missing and close it to other users. Raises `Misconfigured`."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = directory.stat()
        if state.st_uid == os.geteuid():
            directory.chmod(0o700)
        elif state.st_mode & _OTHERS_WRITE:
            raise Misconfigured(
                f"The folder {directory} belongs to another user and others may write into it. "
                "Choose another folder with VAR_DIR, or take it over: chown it, then chmod 700."
            )
        if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
    except OSError as error:
        raise _unusable(directory, error) from error


def _unusable(directory: Path, error: OSError) -> Misconfigured:
    return Misconfigured(
        f"The folder {directory} cannot be used ({error.strerror}). Make it writable, or choose another with VAR_DIR."
    )


def _described(holder: Holder | None) -> str:
    if holder is None:
        return "another process"
    return f"process {holder.pid} ({holder.command}), since {holder.since}"


def _myself() -> Holder:
    words = [Path(sys.argv[0]).name, *sys.argv[1:]] if sys.argv else ["python"]
    command = "".join(character for character in " ".join(words) if character.isprintable())
    return Holder(
        pid=os.getpid(),
        command=command[:COMMAND_CHARACTERS_MAX],
        since=datetime.now(UTC).isoformat(timespec="seconds"),
    )
