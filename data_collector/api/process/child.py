"""Starting and ending the collector process, the HTTP process's only child."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping, Sequence

from data_collector.child import Child, start_child
from data_collector.control import SNAPSHOTS
from data_collector.model.status import Snapshot
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


async def start_collector(command: Sequence[str], environment: Mapping[str, str] | None) -> Child[Snapshot]:
    """The running process. Raises `OSError` when it cannot be started."""
    return await start_child(command, SNAPSHOTS, flag="--control-fd", environment=environment, stdout=None)


async def end_collector(child: Child[Snapshot]) -> None:
    """Wait for a child that has been hung up on; one that does not stop in order is told ever more firmly."""
    for patience_s, firmer in ((ORDERLY_STOP_S, signal.SIGTERM), (TERMINATED_STOP_S, signal.SIGKILL)):
        if await child.is_over(patience_s):
            return
        _log.error("collector_does_not_stop", pid=child.pid, waited_s=patience_s, signal=firmer.name)
        child.send_signal(firmer)
    await child.wait()


def shell_code(returncode: int) -> int:
    """An exit code as shells tell it: a negative one is the signal that ended the process."""
    return returncode if returncode >= 0 else _KILLED_BY_SIGNAL - returncode
