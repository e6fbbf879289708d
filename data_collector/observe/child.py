"""Processes of ours that hear from us on a line, and end when we hang up."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Mapping, Sequence

from data_collector.observe.environment import with_package


async def start_child(
    command: Sequence[str],
    line: socket.socket,
    *,
    flag: str = "--fd",
    environment: Mapping[str, str] | None = None,
    stdout: int | None = asyncio.subprocess.DEVNULL,
    stderr: int | None = None,
) -> asyncio.subprocess.Process:
    """The running process, told by `flag` where its end of the line is. Raises `OSError` when it cannot be started."""
    number = line.fileno()
    return await asyncio.create_subprocess_exec(
        *command, flag, str(number), pass_fds=(number,),
        stdin=asyncio.subprocess.DEVNULL, stdout=stdout, stderr=stderr,
        # Ctrl-C in a terminal goes to the whole foreground group. The child must not hear it, not even before
        # it can ignore it: it stops when we hang up.
        start_new_session=True, env=with_package(os.environ if environment is None else environment),
    )  # fmt: skip


async def is_over(child: asyncio.subprocess.Process, patience_s: float) -> bool:
    """Whether a child that has been hung up on has ended by then."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience_s):
            await child.wait()
            return True
    return False


def send_signal(child: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Also to one that has ended meanwhile."""
    with contextlib.suppress(ProcessLookupError):
        child.send_signal(number)
