"""Starting and ending the collector process, the HTTP process's only child."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence

from data_collector.observe.environment import with_package
from data_collector.observe.logs import get_log

COLLECTOR_COMMAND = (sys.executable, "-m", "data_collector", "collect")
"""`--control-fd N` is appended: the end of the socket pair that the child answers on."""

ORDERLY_STOP_S = 15.0
"""The collector stops in three phases with deadlines of their own; past this it is stuck."""

TERMINATED_STOP_S = 5.0
"""What a stuck process gets between SIGTERM and SIGKILL."""

_KILLED_BY_SIGNAL = 128
"""Shells add this to the number of the signal that ended a process."""

_log = get_log()


async def start_child(
    command: Sequence[str], environment: Mapping[str, str] | None
) -> tuple[asyncio.subprocess.Process, socket.socket]:
    """The running process, and our end of the control line. Raises `OSError` when it cannot be started."""
    ours, theirs = socket.socketpair()
    with theirs:
        number = theirs.fileno()
        child = await asyncio.create_subprocess_exec(
            *command,
            "--control-fd",
            str(number),
            pass_fds=(number,),
            stdin=asyncio.subprocess.DEVNULL,
            # Ctrl-C in a terminal goes to the whole foreground group. The child must not hear it, not even before
            # it can ignore it: it stops when we hang up.
            start_new_session=True,
            env=with_package(os.environ if environment is None else environment),
        )
    ours.setblocking(False)
    return child, ours


async def end_child(child: asyncio.subprocess.Process) -> None:
    """Wait for a child that has been hung up on; one that does not stop in order is told ever more firmly."""
    for patience_s, firmer in ((ORDERLY_STOP_S, signal.SIGTERM), (TERMINATED_STOP_S, signal.SIGKILL)):
        if await _is_over(child, patience_s):
            return
        _log.error("collector_does_not_stop", pid=child.pid, waited_s=patience_s, signal=firmer.name)
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(firmer)
    await child.wait()


def shell_code(returncode: int) -> int:
    """An exit code as shells tell it: a negative one is the signal that ended the process."""
    return returncode if returncode >= 0 else _KILLED_BY_SIGNAL - returncode


async def _is_over(child: asyncio.subprocess.Process, patience_s: float) -> bool:
    try:
        async with asyncio.timeout(patience_s):
            await child.wait()
    except TimeoutError:
        return False
    return True
