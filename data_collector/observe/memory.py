"""How much memory this process holds, and how many files it may still open."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

from data_collector.model.errors import CollectorError
from data_collector.observe.output import last_words

LAST_WORDS = b'{"level": "critical", "event": "memory_exhausted"}\n'


class Shortage:
    """What is done when this process is refused memory: what failed half-way then, nobody can know.

    A process of ours ends at once, as one that was killed: the next one goes on where the store ends. In a user's
    process the error goes its way.
    """

    ends_process = False

    def meet(self, error: BaseException) -> None:
        """To be called with every error that would be passed over; only a `MemoryError` matters, in a group too."""
        if isinstance(error, BaseExceptionGroup):
            for each in error.exceptions:
                self.meet(each)
        elif isinstance(error, MemoryError):
            self.give_up()

    def give_up(self) -> None:
        """Memory is short."""
        if self.ends_process:
            last_words(LAST_WORDS, stacks=True)
            os._exit(CollectorError.exit_code)


_OPEN = next((path for path in (Path("/proc/self/fd"), Path("/dev/fd")) if path.is_dir()), None)
"""One entry for each open file."""

SHORTAGE = Shortage()
"""Of this process."""


def resident_bytes() -> int:
    """Memory of this process; where the system does not tell the present value, the highest so far."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize()
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return highest if sys.platform == "darwin" else highest * 1024


def free_descriptors() -> int | None:
    """How many files and sockets may still be opened; None without a limit, or where the system does not tell."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _OPEN is None or limit == resource.RLIM_INFINITY:
        return None
    # The listing needs one itself, which is closed again.
    return max(0, limit - sum(1 for _ in _OPEN.iterdir()) + 1)
